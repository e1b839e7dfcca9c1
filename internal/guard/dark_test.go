package guard_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/fault"
	"cmkguard/internal/guard"
	"cmkguard/internal/journal"
	"cmkguard/internal/policy"
	"cmkguard/internal/store"
)

// refusing is a store that can be taken away.
type refusing struct {
	store.State
	all    *atomic.Bool // nothing is answered
	writes *atomic.Bool // reads are answered
}

func (r refusing) Get(ctx context.Context, p, k string) (store.Row, bool, error) {
	if r.all.Load() {
		return store.Row{}, false, fault.New(fault.Denied, "store", "AuthorizationFailure: this request is not authorized")
	}
	return r.State.Get(ctx, p, k)
}

func (r refusing) Scan(ctx context.Context, p, from, to string, n int) ([]store.Row, error) {
	if r.all.Load() {
		return nil, fault.New(fault.Transient, "store", "ServerBusy")
	}
	return r.State.Scan(ctx, p, from, to, n)
}

func (r refusing) Apply(ctx context.Context, p string, ops []store.Op) ([]string, error) {
	if r.all.Load() || r.writes.Load() {
		return nil, fault.New(fault.Denied, "store", "AuthorizationPermissionMismatch")
	}
	return r.State.Apply(ctx, p, ops)
}

// darken gives the world a store that can be taken away.
func (w *world) darken() refusing {
	r := refusing{w.b.State, &atomic.Bool{}, &atomic.Bool{}}
	rec := journal.NewRecorder(r, "test", w.sim.Clock().Now)
	w.g.State, w.g.Rec = r, rec
	w.g.Effects.State, w.g.Effects.Rec = r, rec
	return r
}

func (c *told) unrecorded(check string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, a := range c.all {
		if a.Unrecorded && a.Check == check {
			n++
		}
	}
	return n
}

func (w *world) journalHas(text string) bool {
	found := false
	must(w.t, journal.Read(ctx, w.b.Log, 0, func(_ int64, e journal.Entry) error {
		found = found || strings.Contains(e.Text, text)
		return nil
	}))
	return found
}

func TestWithoutARecordNothingIsDoneAndPeopleAreTold(t *testing.T) {
	t.Parallel()
	for name, take := range map[string]func(refusing) *atomic.Bool{
		"storage gone":      func(r refusing) *atomic.Bool { return r.all },
		"storage read-only": func(r refusing) *atomic.Bool { return r.writes },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{kind: "v1", created: year, mode: policy.Auto})
			gone := take(w.darken())
			w.sim.Unassign(who) // the cache has lost its key
			body := w.sim.NearExpiry(w.key, "e1")
			gone.Store(true)
			for range 5 { // Event Grid delivers again and again
				if err := w.g.Take(ctx, "keyvaultevents", body); !comesAgain(err) {
					t.Fatalf("an event that cannot be stored must come again: %v", err)
				}
			}
			if n := w.told.unrecorded("CMK-050"); n != 1 || w.told.unrecorded("") != 1 {
				t.Fatalf("the lost key was told %d times, the storage %d times, want once each", n, w.told.unrecorded(""))
			}
			if w.writes() != 0 {
				t.Fatal("an effect without a record")
			}
			gone.Store(false)
			w.take(body)
			w.run(1)
			if !w.told.has("CMK-050", "Identity lost its access to the key") || !w.journalHas("told without a record at") || !w.journalHas("CMK-050 opened") {
				t.Fatal("what was told was not recorded when storage came back")
			}
		})
	}
}

// comesAgain reports whether the sender is answered so that it tries again: a
// Denied, a Conflict or an Invalid is answered 200 (funchost).
func comesAgain(err error) bool {
	k := fault.KindOf(err)
	return err != nil && (k == fault.Transient || k == fault.Unknown)
}

// Storage that refuses us for an hour loses no event of that hour, whichever door
// it came by, and no message of the queue.
func TestWhatStorageRefusesComesAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: year, mode: policy.DryRun})
	r := w.darken()
	w.take(w.sim.NearExpiry(w.key, "e0"))
	message := w.next()
	r.all.Store(true)
	w.g.Queue = refusedQueue{}
	w.g.Alerts = nowhere{w.g.Alerts}
	record := fmt.Sprintf(`{"records":[{"time":"2026-11-01T00:00:00Z","category":"AuditEvent","operationName":"KeyDelete","resourceId":"%sMicrosoft.KeyVault/vaults/kv-a",
		"properties":{"id":%q,"httpStatusCode":200}}]}`, root, w.key.Base().String())
	_, logs := w.g.TakeLogs(ctx, "vaultlogs", [][]byte{[]byte(record)})
	for what, err := range map[string]error{
		"an event": w.g.Take(ctx, "keyvaultevents", w.sim.NearExpiry(w.key, "e1")), "a record": logs, "a message": w.g.Work(ctx, message),
		"poison": w.g.Take(ctx, "keyvaultevents", json.RawMessage(`{"no":"event"}`)), "poison of a log": func() error {
			_, err := w.g.TakeLogs(ctx, "vaultlogs", [][]byte{[]byte("nonsense")})
			return err
		}(),
	} {
		if !comesAgain(err) {
			t.Errorf("%s that was refused is answered as if it were done: %v", what, err)
		}
	}
}

// refusedQueue takes nothing.
type refusedQueue struct{ store.Queue }

func (refusedQueue) Put(context.Context, string, []byte, time.Duration) error {
	return fault.New(fault.Denied, "queue", "AuthorizationPermissionMismatch")
}

// nowhere delivers nothing.
type nowhere struct{ guard.Dispatcher }

func (nowhere) Direct(context.Context, alert.Alert, []string) []error { return nil }

func TestAKeyIsDeletedWhileStorageIsDenied(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: year, mode: policy.Auto})
	gone := w.darken()
	w.sim.DeleteKey(w.key)
	gone.all.Store(true)
	if err := w.g.Take(ctx, "keyvaultevents", w.sim.AccessPolicyChanged(host, "e1")); !comesAgain(err) {
		t.Fatal("an event that cannot be stored must come again")
	}
	told := false
	for _, a := range w.told.all {
		told = told || a.Unrecorded && a.Severity == "critical" && strings.Contains(a.What, "deleted") && len(a.Impact) == 1
	}
	if !told {
		for _, a := range w.told.all {
			t.Logf("%s", alert.Render(a, w.sim.Clock().Now()))
		}
		t.Fatal("the responder was not told that the key is deleted")
	}
}

func TestStorageLostBetweenIntakeAndWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: year, mode: policy.Auto})
	r := w.darken()
	w.take(w.sim.NearExpiry(w.key, "e1"))
	w.sim.Unassign(who)
	r.all.Store(true)
	ms, err := w.b.Queue.Take(ctx, guard.WorkQueue, 16, time.Minute)
	must(t, err)
	must(t, w.g.Work(ctx, ms[0].Body)) // comes back by its own message
	if w.told.unrecorded("CMK-050") != 1 || w.writes() != 0 {
		t.Fatalf("told %d times, %d writes", w.told.unrecorded("CMK-050"), w.writes())
	}
	if err := w.g.Sweep(ctx); err == nil {
		t.Fatal("a sweep that can do nothing says so")
	}
	r.all.Store(false)
	w.run(1)
	if !w.journalHas("CMK-050 opened") {
		t.Fatal("the signal was lost")
	}
}

func TestTheHostsPoisonQueueIsDrained(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v2", created: year, mode: policy.Auto})
	w.take(w.sim.NearExpiry(w.key, "e1"))
	ms, err := w.b.Queue.Take(ctx, guard.WorkQueue, 16, time.Minute)
	must(t, err)
	for _, m := range ms { // the host gave these up
		must(t, w.b.Queue.Put(ctx, guard.WorkQueue+"-poison", m.Body, 0))
		must(t, w.b.Queue.Done(ctx, guard.WorkQueue, m))
	}
	must(t, w.b.Queue.Put(ctx, guard.WorkQueue+"-poison", []byte("junk"), 0))
	must(t, w.g.Sweep(ctx))
	w.run(4)
	if w.rotates() != 1 || !w.told.has("", "The host gave up a message") || !w.told.has("", "Could not be handled") {
		t.Fatalf("%d rotations", w.rotates())
	}
	rows, err := w.b.State.Scan(ctx, "poison", "poison~", "poison~~", 10)
	must(t, err)
	var kept struct{ Body []byte }
	must(t, json.Unmarshal(rows[0].Value, &kept))
	if len(rows) != 1 || string(kept.Body) != "junk" {
		t.Fatalf("%d poison rows, body %q", len(rows), kept.Body)
	}
}

func TestAStoppedRotationStartsAgainAfterItsRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v2", created: year, mode: policy.Auto})
	w.g.Vault.Versions(ctx, w.key) // the client knows its tenant: the fault meets the request itself
	w.sim.Inject(azuresim.Fault{Method: http.MethodPost, Path: "/keys/kek/rotate", Times: 1, Mode: azuresim.Refuse, Status: 403, Code: "Forbidden"})
	w.take(w.sim.NearExpiry(w.key, "e1"))
	w.run(1)
	if !w.told.has("", "Stopped: rotate") || len(w.sim.Versions(w.key)) != 1 {
		for _, a := range w.told.all {
			t.Logf("%s\n", alert.Render(a, w.sim.Clock().Now()))
		}
		t.Fatal("a refused rotation was not told as stopped")
	}
	w.take(w.sim.NearExpiry(w.key, "e2"))
	w.run(1)
	if len(w.sim.Versions(w.key)) != 1 {
		t.Fatal("it started again before its rest was over")
	}
	w.run(6)
	w.take(w.sim.NearExpiry(w.key, "e3"))
	w.run(4)
	if len(w.sim.Versions(w.key)) != 2 || !w.onNewest() {
		t.Fatal("it never started again")
	}
}
