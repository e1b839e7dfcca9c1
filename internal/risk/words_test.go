package risk_test

import (
	"strings"
	"testing"

	"cmkguard/internal/risk"
)

// An alert's head is read on a lock screen: each check has a few words for it, and
// no two the same.
func TestEveryCheckHasAHeadline(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, c := range risk.Catalogue() {
		s := risk.Headline(c.ID)
		if s == "" || len(s) > 60 || strings.HasSuffix(s, ".") {
			t.Errorf("%s: headline %q: want 1 to 60 characters without a full stop", c.ID, s)
		}
		if other, twice := seen[s]; twice {
			t.Errorf("%s and %s have the same headline", c.ID, other)
		}
		seen[s] = c.ID
	}
	if risk.Headline("CMK-999") != "" {
		t.Error("a check that there is not has a headline")
	}
}
