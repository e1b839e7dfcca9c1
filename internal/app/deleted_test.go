package app_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/event"
	"cmkguard/internal/incident"
	"cmkguard/internal/localhost"
	"cmkguard/internal/risk"
	"cmkguard/internal/store/filestore"
)

// A deleted key has no event in Event Grid. The vault's log alone and the sweep
// alone lead to the same incidents, byte for byte; a sweep that comes later differs
// in when it saw them, and all say until when the key can be recovered. What only a
// sweep asks (CadenceSweep) the log cannot have opened.
func TestADeletedKeyIsTheSameIncidentByLogAndBySweep(t *testing.T) {
	t.Parallel()
	onlySweeps := map[string]bool{}
	byLog := func(url string, audit []json.RawMessage) {
		raw, err := json.Marshal(map[string]any{"records": audit})
		if err != nil {
			t.Fatal(err)
		}
		body, err := localhost.EventHubEnvelope(call("vaultlogs"), "logs", localhost.HubMessages{Hub: "h", Partition: "0", Enqueued: time.Now(), Bodies: [][]byte{raw}})
		deliver(t, url, "vaultlogs", body, err)
	}
	bySweep := func(url string, _ []json.RawMessage) {
		body, err := localhost.TimerEnvelope(call("sweep"), "timer", localhost.Tick{})
		deliver(t, url, "sweep", body, err)
	}
	for _, c := range risk.Catalogue() {
		onlySweeps[c.ID] = c.Cadence != risk.CadenceSignal && c.Cadence != ""
	}
	log, told := deleted(t, 0, byLog)
	sweep, toldBySweep := deleted(t, 0, bySweep)
	late, toldLate := deleted(t, 37*time.Minute, bySweep)
	for _, all := range []map[string]string{sweep, late} {
		maps.DeleteFunc(all, func(check, _ string) bool { return onlySweeps[check] })
	}
	if d := cmp.Diff(log, sweep); d != "" {
		t.Errorf("- by the log, + by the sweep:\n%s", d)
	}
	if d := cmp.Diff(unseen(t, log), unseen(t, late)); d != "" {
		t.Errorf("- by the log, + by a later sweep:\n%s", d)
	}
	const until = "2027-01-30"
	if !strings.Contains(log["CMK-010"], `"by":"`+until+`T00:00:00Z"`) {
		t.Errorf("the incident does not say until when:\n%s", log["CMK-010"])
	}
	for how, alert := range map[string]string{"log": told, "sweep": toldBySweep, "later sweep": toldLate} {
		for _, want := range []string{"CRITICAL Key deleted: kv-a/kek (CMK-010)", "hits:     cache-a", "can be recovered until " + until, "until:    " + until} {
			if !strings.Contains(alert, want) {
				t.Errorf("by the %s nobody is told %q:\n%s", how, want, alert)
			}
		}
	}
}

// unseen takes out of incidents when they were seen, and the names of plans, which
// hold it.
func unseen(t *testing.T, incidents map[string]string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for check, text := range incidents {
		var i struct {
			Opened, Changed time.Time
			Verdict         struct{ Evidence []struct{ At time.Time } }
		}
		if err := json.Unmarshal([]byte(text), &i); err != nil {
			t.Fatal(err)
		}
		seen := []time.Time{i.Opened, i.Changed}
		for _, e := range i.Verdict.Evidence {
			seen = append(seen, e.At)
		}
		for _, at := range seen {
			text = strings.ReplaceAll(text, fmt.Sprintf("%q", at.Format(time.RFC3339Nano)), `"SEEN"`)
		}
		out[check] = regexp.MustCompile(`recover-key~[0-9a-f]{40}`).ReplaceAllString(text, "PLAN")
	}
	return out
}

// deleted deletes the sample's key, lets the clock go on, tells the program by one
// door, and returns the key's incidents by check, as they are stored, and what was
// told.
func deleted(t *testing.T, later time.Duration, tell func(url string, audit []json.RawMessage)) (incidents map[string]string, alerts string) {
	t.Helper()
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
	sim.DeleteKey(m.Key)
	events, audit := w.told()
	if len(events) != 0 || len(audit) == 0 {
		t.Fatalf("%d events and %d records of a deletion", len(events), len(audit))
	}
	sim.Clock().Advance(later)
	url, out, kill := serve(t, []string{"CMKGUARD_STATE=file:" + dir + "/state", "CMKGUARD_CLOUD=" + profile, "CMKGUARD_SUBSCRIPTIONS=" + m.Subscription})
	tell(url, audit)
	eventually(t, out, "the alert", func() bool { return strings.Contains(out.String(), "can be recovered until") })
	kill()
	if n := sim.Count(http.MethodGet, "/deletedkeys/kek"); n == 0 {
		t.Error("what the incident says was not read")
	}
	return incidentsOf(t, dir+"/state", m.Key.Base()), out.String()
}

func incidentsOf(t *testing.T, dir string, k azureid.Key) map[string]string {
	t.Helper()
	st, err := filestore.Open(dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	rows, err := st.Backend().State.Scan(t.Context(), incident.Partition(event.Subject{Kind: event.SubjectKey, ID: k.ID()}), "incident~", "incident~~", 100)
	if err != nil || len(rows) == 0 {
		t.Fatalf("%d incidents, %v", len(rows), err)
	}
	out := map[string]string{}
	for _, row := range rows {
		out[strings.TrimPrefix(row.Key, "incident~")] = string(row.Value)
	}
	return out
}
