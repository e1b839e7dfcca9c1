package app_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azuresim"
	"cmkguard/internal/localhost"
)

// An event that Event Grid lost, and the log tells of, is named by the day's account,
// before the day is closed and after.
func TestAuditLosses(t *testing.T) {
	t.Parallel()
	w := &witness{}
	sim := azuresim.New(azuresim.Options{OnEvent: w.note(&w.events), OnAudit: w.note(&w.audit)})
	m := sim.AddSample("v2", 100*24*time.Hour)
	srv, err := sim.Serve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	dir := t.TempDir()
	profile, err := srv.WriteProfile(dir, m.Token)
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"CMKGUARD_STATE=file:" + dir + "/state", "CMKGUARD_CLOUD=" + profile, "CMKGUARD_SUBSCRIPTIONS=" + m.Subscription}
	url, out, _ := serve(t, env)
	sweep := func() {
		body, err := localhost.TimerEnvelope(call("sweep"), "timer", localhost.Tick{})
		deliver(t, url, "sweep", body, err)
	}
	sweep()
	eventually(t, out, "the first look", func() bool { return strings.Contains(out.String(), "CMK-013") })
	w.told()
	sim.ChangeVault(m.Host, func(v *azuresim.Vault) { v.Policies = make([]azuresim.AccessPolicy, 1) })
	_, audit := w.told() // the event is lost
	raw, err := json.Marshal(map[string]any{"records": audit})
	if err != nil {
		t.Fatal(err)
	}
	body, err := localhost.EventHubEnvelope(call("vaultlogs"), "logs", localhost.HubMessages{Hub: "h", Partition: "0", Enqueued: time.Now(), Bodies: [][]byte{raw}})
	deliver(t, url, "vaultlogs", body, err)
	says := func(day string, code int, texts ...string) func() bool {
		return func() bool {
			text, got := run(t, env, "audit", "losses", "--day", day)
			for _, want := range texts {
				if !strings.Contains(text, want) {
					t.Logf("%s: exit %d: %s", day, got, text)
					return false
				}
			}
			return got == code
		}
	}
	lost := "LOST by event-grid: access-policy-changed of vault kv-a at 2026-11-01T00:00:00Z (told by vault-logs as audit-"
	eventually(t, out, "the account so far", says("2026-11-01", 3, "so far", lost, "subscription-events: not known: it has no second witness", "waiting"))
	sim.Clock().Advance(49*time.Hour + time.Minute)
	sweep()
	eventually(t, out, "the closed account", says("2026-11-01", 3, "closed 2026-11-03T01:01:00Z", lost, "event-grid: not known: we watch since 2026-11-01T00:00:00Z"))
	eventually(t, out, "the alert", func() bool { return strings.Contains(out.String(), "LOSS-001") })
	for day, c := range map[string]struct {
		code int
		text string
	}{"2026-11-02": {0, "the second witness is missing"}, "2026-10-31": {1, "nothing is known of 2026-10-31"}, "soon": {2, `--day "soon": want 2006-01-02`}} {
		if text, code := run(t, env, "audit", "losses", "--day", day); code != c.code || !strings.Contains(text, c.text) || strings.Contains(text, "unknown  0  ") {
			t.Errorf("%s: exit %d: %s", day, code, text)
		}
	}
	if text, code := run(t, env, "audit", "losses", "--json"); code != 3 || !strings.Contains(text, `"date":"2026-11-01"`) {
		t.Errorf("exit %d: %s", code, text)
	}
}
