package app_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestHealthOfTheRealProcess(t *testing.T) {
	t.Parallel()
	sim, _, env, dir := azure(t)
	if text, code := run(t, env, "health"); code != 1 || !strings.Contains(text, "UNHEALTHY state:") {
		t.Fatalf("without state: exit %d:\n%s", code, text)
	}
	file := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(file, []byte("version: 1\nremedies: {rotate: always}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, out, kill := serve(t, append(env, "CMKGUARD_POLICY="+file))
	eventually(t, out, "health", func() bool {
		sim.Clock().Advance(time.Minute) // the timer's
		_, code := run(t, env, "health")
		return code == 0
	})
	kill()
	text, code := run(t, env, "health", "--json")
	var h struct {
		Healthy bool
		Sweep   struct{ At time.Time }
		Open    []struct{ Check, Why string }
	}
	if err := json.Unmarshal([]byte(text), &h); err != nil || code != 0 || !h.Healthy || h.Sweep.At.IsZero() ||
		len(h.Open) != 1 || h.Open[0].Check != "SELF-011" || !strings.Contains(h.Open[0].Why, "policy.yaml:2") {
		t.Fatalf("exit %d, %v:\n%s", code, err, text)
	}
	sim.Clock().Advance(time.Hour)
	if text, code = run(t, env, "health"); code != 1 || !strings.Contains(text, "UNHEALTHY SELF-007") || !strings.Contains(text, "open since") {
		t.Fatalf("an hour after it was killed: exit %d:\n%s", code, text)
	}
}
