package app_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azuresim"
)

// TestADeletedKeyBecomesTheEventThatAzureLacks: published once to the user's topic,
// taken as a hint by another installation, and fed back to the first without an
// echo.
func TestADeletedKeyBecomesTheEventThatAzureLacks(t *testing.T) {
	t.Parallel()
	sim, key, env, dir := keyed(t)
	sim.ChangeVersion(key, func(v *azuresim.Version) { v.Expires = nil })
	file := filepath.Join(dir, "policy.yaml")
	text := "version: 1\nchannels:\n  - {name: log, kind: console}\n  - {name: bus, kind: eventgrid, url: \"https://cmk.westeurope-1.eventgrid.azure.net/api/events\"}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env = append(env, "CMKGUARD_POLICY="+file)
	url, out, _ := serve(t, env)
	facts := func() (list []json.RawMessage) {
		for _, raw := range sim.Published() {
			if strings.Contains(string(raw), `"type":"CmkGuard.Key`) || strings.Contains(string(raw), `"type":"CmkGuard.Access`) {
				list = append(list, raw)
			}
		}
		return list
	}
	sim.DeleteKey(key)
	post(t, url, sim.AccessPolicyChanged(key.Host, "e1"))
	eventually(t, out, "the event", func() bool { sim.Clock().Advance(time.Second); return len(facts()) > 0 })
	var ev struct {
		ID, Type, Source string
		Data             struct {
			ID               string `json:"Id"`
			RecoverableUntil time.Time
			Clusters         []string
		}
	}
	if err := json.Unmarshal(facts()[0], &ev); err != nil || ev.Type != "CmkGuard.KeyDeleted" || ev.Data.ID != key.String() || len(ev.Data.Clusters) != 1 ||
		ev.Data.RecoverableUntil.Before(sim.Clock().Now().AddDate(0, 0, 80)) {
		t.Fatalf("%v: %s", err, facts()[0])
	}
	other := append([]string{}, env...)
	other[0] = "CMKGUARD_STATE=file:" + filepath.Join(t.TempDir(), "state")
	there, heard, _ := serve(t, other)
	post(t, there, facts()[0])
	eventually(t, heard, "the other installation's alert", func() bool {
		sim.Clock().Advance(time.Second)
		return strings.Contains(heard.String(), "CRITICAL Key deleted: kv-a/kek (CMK-010)")
	})
	eventually(t, heard, "its own event", func() bool { sim.Clock().Advance(time.Second); return len(facts()) == 2 })
	for _, raw := range facts() { // each hears the other's and its own
		post(t, url, raw)
		post(t, there, raw)
	}
	looked := strings.Count(out.String(), `"function":"work"`)
	eventually(t, out, "the look that they lead to", func() bool {
		sim.Clock().Advance(time.Second)
		return strings.Count(out.String(), `"function":"work"`) >= looked+2
	})
	if n := len(facts()); n != 2 {
		t.Fatalf("%d events: they feed each other", n)
	}
}
