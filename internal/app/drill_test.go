package app_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/drill"
)

// TestDrillsFromTheCommandLine: the table names every stage, the journal holds the
// evidence and verifies, and Azure was only read.
func TestDrillsFromTheCommandLine(t *testing.T) {
	t.Parallel()
	sim, _, env, _ := keyed(t)
	if text, code := run(t, env, "drill"); code != 0 || !strings.Contains(text, "near-expiry") {
		t.Fatalf("exit %d:\n%s", code, text)
	}
	var all string
	for _, sc := range drill.Scenarios() {
		sim.Clock().Advance(10 * time.Second) // Resource Graph's quota comes back
		text, code := run(t, env, "drill", sc.Name)
		if code != 0 || !strings.Contains(text, "got through") || strings.Contains(text, "MISSED") || !strings.Contains(text, "[DRILL]") {
			t.Errorf("exit %d:\n%s", code, text)
		}
		all += text
	}
	for _, stage := range []string{"look", "signal", "verdict", "incident", "plan and gates", "end", "alert", "receipt"} {
		if !strings.Contains(all, "  "+stage+" ") {
			t.Errorf("no stage %s:\n%s", stage, all)
		}
	}
	for _, c := range sim.Calls() {
		if c.Method != http.MethodGet && c.Status != http.StatusUnauthorized && !strings.HasSuffix(c.Path, "/resources") {
			t.Errorf("%s %s", c.Method, c.Path)
		}
	}
	if text, code := run(t, env, "audit", "verify"); code != 0 {
		t.Errorf("exit %d:\n%s", code, text)
	}
	for name, args := range map[string][]string{
		"no such exercise": {"drill", "key-lost"}, "both": {"drill", "near-expiry", "--all"}, "no cluster": {"drill", "near-expiry", "--cluster", "cache-a"},
	} {
		if text, code := run(t, env, args...); code != 2 {
			t.Errorf("%s: exit %d:\n%s", name, code, text)
		}
	}
}
