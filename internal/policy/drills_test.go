package policy

import (
	"strings"
	"testing"
)

func TestDrillsInAPolicy(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"drills: {every: 30d, scenarios: [key-deleted, key-deleted]}": "",
		"drills: {every: 1h, scenarios: [key-deleted]}":               "below 1d: every exercise alerts people",
		"drills: {every: 30d, scenarios: [key-lost]}":                 `"key-lost" is no exercise: want near-expiry, key-deleted`,
		"drills: {every: 30d}":                                        "scenarios",
		"drills: {scenarios: [key-deleted]}":                          "every: 30d",
		"drills: {every: 30d, scenarios: [key-deleted], at: noon}":    "at",
	} {
		p, err := Parse("policy.yaml", []byte("version: 1\n"+text+"\n"), map[string]Mode{"rotate": Auto})
		if want == "" {
			if err != nil || len(p.Drills.Scenarios) != 1 {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "policy.yaml:2") {
			t.Errorf("%s: %v, want line 2 and %q", text, err, want)
		}
	}
}
