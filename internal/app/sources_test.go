package app_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"cmkguard/internal/azuresim"
	"cmkguard/internal/localhost"
	"cmkguard/internal/store"
)

// witness keeps what a simulated Azure tells.
type witness struct {
	mu            sync.Mutex
	events, audit []json.RawMessage
}

func (w *witness) note(list *[]json.RawMessage) func([]byte) {
	return func(raw []byte) {
		w.mu.Lock()
		defer w.mu.Unlock()
		*list = append(*list, raw)
	}
}

// told returns what was told since the last call.
func (w *witness) told() (events, audit []json.RawMessage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	events, audit = w.events, w.audit
	w.events, w.audit = nil, nil
	return events, audit
}

// watched is a sample world whose events and logs are kept, and the program.
func watched(t *testing.T) (sim *azuresim.Sim, m azuresim.Sample, w *witness, url string, out *output) {
	t.Helper()
	w = &witness{}
	sim = azuresim.New(azuresim.Options{OnEvent: w.note(&w.events), OnAudit: w.note(&w.audit)})
	m = sim.AddSample("v2", 100*24*time.Hour)
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
	url, out, _ = serve(t, []string{"CMKGUARD_STATE=file:" + dir + "/state", "CMKGUARD_CLOUD=" + profile, "CMKGUARD_SUBSCRIPTIONS=" + m.Subscription})
	return sim, m, w, url, out
}

func call(function string) localhost.Call {
	return localhost.Call{Function: function, UtcNow: time.Now(), RandGuid: "00000000-0000-4000-8000-000000000000"}
}

func deliver(t *testing.T, url, function string, body []byte, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if err := localhost.Post(t.Context(), http.DefaultClient, url, function, "00000000-0000-4000-8000-000000000002", body); err != nil {
		t.Fatal(err)
	}
}

// Event Grid has no event of a deleted key; the vault's log has a record. Among
// unrelated ones it leads to the incident with the date until which it can be
// recovered, and the caller as a claim.
func TestADeletedKeyIsSeenInTheVaultsLog(t *testing.T) {
	t.Parallel()
	sim, m, w, url, out := watched(t)
	w.told()
	sim.DeleteKey(m.Key)
	_, audit := w.told()
	if len(audit) == 0 {
		t.Fatal("the world tells nothing")
	}
	records := append([]json.RawMessage{[]byte(`{"category":"AuditEvent","operationName":"SecretGet","properties":{"httpStatusCode":200}}`)}, audit...)
	raw, err := json.Marshal(map[string]any{"records": records})
	if err != nil {
		t.Fatal(err)
	}
	body, err := localhost.EventHubEnvelope(call("vaultlogs"), "logs", localhost.HubMessages{
		Hub: "insights-logs-auditevent", Partition: "0", Enqueued: time.Now(), Bodies: [][]byte{raw, raw, []byte(`{"records":[{"category":"AppServiceLogs"}]}`)}})
	deliver(t, url, "vaultlogs", body, err)
	eventually(t, out, "the alert", func() bool { return strings.Contains(out.String(), "can be recovered until") })
	all := out.String()
	for _, want := range []string{"CMK-010", "CRITICAL", "cache-a", `"dropped":3`} {
		if !strings.Contains(all, want) {
			t.Errorf("nobody is told of %s:\n%s", want, all)
		}
	}
	if n := strings.Count(all, "CRITICAL Key deleted: kv-a/kek (CMK-010)"); n != 1 {
		t.Errorf("told %d times of one deletion:\n%s", n, all)
	}
}

// The event of a deleted role assignment names neither principal nor role; what
// was seen before does.
func TestALostGrantIsSeenThroughTheSubscriptionsEvents(t *testing.T) {
	t.Parallel()
	sim, m, w, url, out := watched(t)
	body, err := localhost.EventGridEnvelope(call("keyvaultevents"), "event", sim.NearExpiry(m.Key, "e1"))
	deliver(t, url, "keyvaultevents", body, err)
	eventually(t, out, "the first look", func() bool { return strings.Contains(out.String(), "CMK-013") })
	w.told()
	sim.Unassign(m.Principal)
	events, _ := w.told()
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	body, err = localhost.EventGridEnvelope(call("resourceevents"), "event", events[0])
	deliver(t, url, "resourceevents", body, err)
	eventually(t, out, "the alert", func() bool { return strings.Contains(out.String(), "CMK-050") })
}

// The same events come over a Storage queue as well.
func TestTheQueueIsADoorToo(t *testing.T) {
	t.Parallel()
	sim, m, w, url, out := watched(t)
	w.told()
	sim.ChangeVault(m.Host, func(v *azuresim.Vault) { v.PurgeProtection = false })
	events, _ := w.told()
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	body, err := localhost.QueueEnvelope(call("eventqueue"), "item", store.Message{ID: "1", Receipt: "r", Body: events[0], Inserted: time.Now(), Dequeued: 1}, time.Now())
	deliver(t, url, "eventqueue", body, err)
	eventually(t, out, "the alert", func() bool { return strings.Contains(out.String(), "CMK-031") })
}
