package app_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azureid"
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

// A subscription whose own events lead nowhere shows there, by the real process, and
// is gone from there once they do.
func TestHealthShowsASubscriptionThatIsNotHeard(t *testing.T) {
	t.Parallel()
	sim, _, env, dir := azure(t)
	const function = scope + "Microsoft.Web/sites/cmkguard/functions/resourceevents"
	file := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(file, []byte("version: 1\nresourceEvents: {function: "+function+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, out, kill := serve(t, append(env, "CMKGUARD_POLICY="+file))
	defer kill()
	says := func(text string) func() bool {
		return func() bool {
			sim.Clock().Advance(10 * time.Minute)
			got, _ := run(t, env, "health") // the last sweep may be ten minutes ago
			return !strings.Contains(got, "UNHEALTHY state") && strings.Contains(got, "SELF-001") == (text != "") && strings.Contains(got, text)
		}
	}
	eventually(t, out, "deaf", says("SELF-001 What is done in the subscription reaches us (high): subscription 11111111-1111-1111-1111-111111111111: it has no system topic"))
	sim.SetResourceEvents(azureid.MustResource(scope+"Microsoft.EventGrid/systemTopics/cmkguard-resources"), map[string]map[string]any{"all": {
		"provisioningState": "Succeeded", "destination": map[string]any{"endpointType": "AzureFunction", "properties": map[string]any{"resourceId": function}},
	}})
	eventually(t, out, "heard", says(""))
}
