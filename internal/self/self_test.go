package self_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/risk"
	"cmkguard/internal/self"
)

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// Every check is whole, and explained on its page: what it means and what to do.
func TestTheCatalogueAndItsPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "selfguard.md"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range self.Catalogue() {
		got = append(got, c.ID)
		if !regexp.MustCompile(`^SELF-\d{3}$`).MatchString(c.ID) || c.Title == "" || c.Severity.Rank() < risk.Medium.Rank() ||
			c.Breaks == "" || strings.HasSuffix(c.Breaks, ".") || !strings.HasSuffix(c.Guidance, ".") {
			t.Errorf("%+v is not whole", c)
		}
		if !strings.Contains(string(page), "### "+c.ID+"\n\n**"+c.Title+".** ") {
			t.Errorf("docs/selfguard.md does not explain %s: %s", c.ID, c.Title)
		}
	}
	if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
		t.Errorf("ids %v: want each once, in order", got)
	}
}

func TestTheHeartbeat(t *testing.T) {
	t.Parallel()
	at := func(ago time.Duration) self.Beat { return self.Beat{At: now.Add(-ago)} }
	for name, c := range map[string]struct {
		beat self.Beat
		ok   bool
		want risk.Answer
		why  string
	}{
		"just now":       {at(time.Second), true, risk.OK, "ended at 2026-11-01T11:59:59Z"},
		"at the limit":   {at(self.Silence), true, risk.OK, ""},
		"past the limit": {at(self.Silence + time.Second), true, risk.Broken, "10m1s ago"},
		"for days":       {at(50 * time.Hour), true, risk.Broken, "50h0m0s ago"},
		"never":          {self.Beat{At: now.Add(-time.Hour), Awaited: true}, true, risk.Broken, "no sweep has ever"},
		"unread":         {self.Beat{}, false, risk.Unknown, "AuthorizationFailure"},
	} {
		v := self.JudgeBeat(c.beat, c.ok, "AuthorizationFailure", now)
		if v.Answer != c.want || !strings.Contains(v.Why, c.why) || v.Subject != self.Us() || v.Severity != risk.Critical {
			t.Errorf("%s: %+v", name, v)
		}
		if (v.Answer == risk.Broken) != (v.Breaks != "" && len(v.Reasons) == 1 && len(v.Evidence) == 1) && v.Answer != risk.OK {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	if v := self.JudgeSettings("", now); v.Answer != risk.OK {
		t.Errorf("%+v", v)
	}
	a, b := self.JudgeSettings("policy.yaml:3: no such mode", now), self.JudgeSettings(strings.Repeat("é", 1000), now)
	if a.Answer != risk.Broken || !strings.Contains(a.Why, "policy.yaml:3") || a.Breaks == b.Breaks || len(b.Breaks) > 600 {
		t.Errorf("%+v\n%+v", a, b)
	}
}
