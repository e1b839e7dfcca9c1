package app_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"cmkguard/internal/plan"
	"cmkguard/internal/policy"
)

// Every line that the page shows for a policy is taken by the policy's reader, and
// every kind of channel is shown.
func TestTheChannelsPageIsTrue(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../docs/alerts-channels.md")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for n, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(raw), -1) {
		text := "version: 1\n" + m[1]
		if !strings.HasPrefix(m[1], "templates:") && !strings.HasPrefix(m[1], "runbooks:") {
			text = "version: 1\nchannels:\n" + m[1]
		}
		p, err := policy.Parse("alerts-channels.md", []byte(text), plan.Ceilings())
		if err != nil {
			t.Errorf("example %d: %v\n%s", n, err, text)
			continue
		}
		for _, c := range p.Channels {
			kinds[c.Kind] = true
		}
	}
	for _, k := range policy.Kinds() {
		if !kinds[k] {
			t.Errorf("%s is not shown", k)
		}
	}
}
