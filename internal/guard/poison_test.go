package guard_test

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
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

// byTake is the door of a function that takes events.
func byTake(ctx context.Context, in *guard.Retake, source string, body []byte) error {
	return in.Take(ctx, source, body)
}

func byWork(ctx context.Context, in *guard.Retake, _ string, body []byte) error {
	return in.Work(ctx, body)
}

func byLogs(ctx context.Context, in *guard.Retake, source string, body []byte) error {
	_, err := in.TakeLogs(ctx, source, [][]byte{body})
	return err
}

func (w *world) kept() []guard.Kept {
	w.t.Helper()
	var out []guard.Kept
	must(w.t, w.g.EachKept(ctx, func(k guard.Kept) error { out = append(out, k); return nil }))
	return out
}

func (w *world) replay(id string, door guard.Door) guard.Replayed {
	w.t.Helper()
	r, err := w.g.ReplayKept(ctx, id, "ops", door)
	must(w.t, err)
	return r
}

// What an older version could not read is taken in by one that can, once.
func TestAReplayTakesWhatCanBeReadNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v2", created: year, mode: policy.Auto})
	body := w.sim.NearExpiry(w.key, "e1")
	must(t, w.g.Poison(ctx, "keyvaultevents", "an older version could not read it", body))
	kept := w.kept()
	if len(kept) != 1 || kept[0].Source != "keyvaultevents" || kept[0].Size != len(body) || !bytes.Equal(kept[0].Body, body) || kept[0].Cut || kept[0].Redacted {
		t.Fatalf("%+v", kept)
	}
	if r := w.replay(kept[0].ID, byTake); !r.Taken || r.Why != "" || len(r.Left) != 0 {
		t.Fatalf("%+v", r)
	}
	w.take(body) // and Event Grid brings it once more
	w.run(4)
	if w.rotates() != 1 || len(w.kept()) != 0 || !w.journalHas("replayed by ops: taken in by keyvaultevents") {
		t.Fatalf("%d rotations, %d kept", w.rotates(), len(w.kept()))
	}
	if _, err := w.g.ReplayKept(ctx, kept[0].ID, "ops", byTake); !fault.Is(err, fault.Invalid) {
		t.Fatalf("%v: what is gone was replayed", err)
	}
}

func TestWhatIsPoisonStillStaysAndSaysWhy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v2", created: year, mode: policy.Auto})
	huge := []byte(`{"id":"` + strings.Repeat("a", 400<<10) + `"}`)
	for name, c := range map[string]struct {
		body []byte
		door guard.Door
		why  string
	}{
		"no JSON":              {[]byte("junk"), byTake, "not JSON"},
		"an event of nothing":  {[]byte(`{"id":"x","eventType":"Microsoft.KeyVault.KeyExpired"}`), byTake, "topic is missing"},
		"a record of nothing":  {[]byte(`{"records":[{"category":"AuditEvent"}]}`), byLogs, "operationName is missing"},
		"a message of no kind": {[]byte(`{"kind":"dance"}`), byWork, "dance"},
		"a look at nothing":    {[]byte(`{"kind":"look"}`), byWork, "names no subject"},
		"more than a row":      {huge, byTake, "only the first 348160 of its"},
	} {
		must(t, w.g.Poison(ctx, "door", "because", c.body))
		kept := w.kept()
		if len(kept) != 1 {
			t.Fatalf("%s: %d kept", name, len(kept))
		}
		for range 2 {
			if r := w.replay(kept[0].ID, c.door); r.Taken || !strings.Contains(r.Why, c.why) || len(r.Left) != 0 {
				t.Errorf("%s: %+v, want it to stay because %q", name, r, c.why)
			}
		}
		if again := w.kept(); len(again) != 1 || !bytes.Equal(again[0].Body, kept[0].Body) {
			t.Fatalf("%s: it did not stay as it was", name)
		}
		if err := w.g.DropKept(ctx, kept[0].ID, "ops", " "); !fault.Is(err, fault.Invalid) || len(w.kept()) != 1 {
			t.Errorf("%s: dropped without a reason: %v", name, err)
		}
		must(t, w.g.DropKept(ctx, kept[0].ID, "ops", "ticket 7: "+name))
		must(t, w.g.Tend(ctx))
		if len(w.kept()) != 0 || !w.journalHas("dropped by ops: ticket 7: "+name) {
			t.Errorf("%s: not dropped, or not on the record", name)
		}
	}
}

// A row that holds good and bad together is taken apart: nothing of it is lost.
func TestAReplayKeepsThePartsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v2", created: year, mode: policy.Auto})
	bad := `{"id":"bad","eventType":"Microsoft.KeyVault.KeyExpired"}`
	must(t, w.g.Poison(ctx, "eventqueue", "because", []byte("["+string(w.sim.NearExpiry(w.key, "e1"))+","+bad+"]")))
	r := w.replay(w.kept()[0].ID, byTake)
	kept := w.kept()
	if !r.Taken || len(r.Left) != 1 || len(kept) != 1 || kept[0].ID != r.Left[0] || string(kept[0].Body) != bad {
		t.Fatalf("%+v, kept %+v", r, kept)
	}
	if w.run(4); w.rotates() != 1 {
		t.Fatal("what was good was lost")
	}
}

// A message that the queue gave up goes back to the queue, as another one: should it
// fail again it is kept again.
func TestAWorkMessageIsReplayedThroughItsQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v2", created: year, mode: policy.Auto})
	w.take(w.sim.NearExpiry(w.key, "e1"))
	ms, err := w.b.Queue.Take(ctx, guard.WorkQueue, 16, time.Minute)
	must(t, err)
	must(t, w.b.Queue.Done(ctx, guard.WorkQueue, ms[0]))
	must(t, w.g.Poison(ctx, guard.WorkQueue, "because", ms[0].Body))
	var m struct{ Partition string }
	must(t, json.Unmarshal(ms[0].Body, &m))
	row, _, err := w.b.State.Get(ctx, m.Partition, "signal")
	must(t, err)
	etags, err := w.b.State.Apply(ctx, m.Partition, []store.Op{{Kind: store.Replace, Key: "signal", Value: []byte("{"), ETag: row.ETag}})
	must(t, err)
	id := w.kept()[0].ID
	if r := w.replay(id, byWork); r.Taken || !strings.Contains(r.Why, "cannot be read") {
		t.Fatalf("%+v: its payload is damaged", r)
	}
	_, err = w.b.State.Apply(ctx, m.Partition, []store.Op{{Kind: store.Replace, Key: "signal", Value: row.Value, ETag: etags[0]}})
	must(t, err)
	if r := w.replay(id, byWork); !r.Taken {
		t.Fatalf("%+v", r)
	}
	sent, err := w.b.Queue.Take(ctx, guard.WorkQueue, 16, time.Second)
	must(t, err)
	if !slices.ContainsFunc(sent, func(m store.Message) bool { return strings.Contains(string(m.Body), `"tries":1`) }) {
		t.Fatalf("the same bytes were sent: should they fail again, they would count as kept\n%s", sent[0].Body)
	}
	if w.run(4); w.rotates() != 1 || len(w.kept()) != 0 {
		t.Fatalf("%d rotations, %d kept", w.rotates(), len(w.kept()))
	}
}

// dies fails at a call, once.
type dies struct {
	store.State
	at func(partition string, ops []store.Op) bool
}

func (d *dies) Apply(ctx context.Context, partition string, ops []store.Op) ([]string, error) {
	if d.at != nil && d.at(partition, ops) {
		d.at = nil
		return nil, fault.New(fault.Transient, "store", "gone")
	}
	return d.State.Apply(ctx, partition, ops)
}

func TestAReplayThatDiesInTheMiddleIsRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v2", created: year, mode: policy.Auto})
	must(t, w.g.Poison(ctx, "keyvaultevents", "because", w.sim.NearExpiry(w.key, "e1")))
	id := w.kept()[0].ID
	d := &dies{State: w.b.State}
	w.g.State, w.g.Rec = d, journal.NewRecorder(d, "test", w.sim.Clock().Now)
	for i, at := range []func(partition string, ops []store.Op) bool{
		func(p string, _ []store.Op) bool { return strings.HasPrefix(p, "signal~") },                // taking
		func(p string, ops []store.Op) bool { return p == "poison" && ops[0].Kind == store.Delete }, // letting go
	} {
		d.at = at
		if _, err := w.g.ReplayKept(ctx, id, "ops", byTake); err == nil || d.at != nil || len(w.kept()) != 1 {
			t.Fatalf("death %d: %v, %d kept", i, err, len(w.kept()))
		}
	}
	if r := w.replay(id, byTake); !r.Taken {
		t.Fatalf("%+v", r)
	}
	if w.run(4); w.rotates() != 1 || len(w.kept()) != 0 {
		t.Fatalf("%d rotations, %d kept", w.rotates(), len(w.kept()))
	}
}

// refuser is a channel that refuses until it is mended.
type refuser struct {
	*told
	mended atomic.Bool
}

func (d *refuser) Send(ctx context.Context, a alert.Alert) (string, error) {
	if !d.mended.Load() {
		return "", fault.New(fault.Invalid, "channel", "410")
	}
	return d.told.Send(ctx, a)
}

// unheard is a world whose lost key nobody was told of.
func unheard(t *testing.T) (*world, *refuser) {
	t.Helper()
	w := newWorld(t, setup{kind: "v1", created: year, mode: policy.DryRun})
	d := &refuser{told: w.told}
	w.g = w.boot(parts{backend: w.b, channel: d})
	w.sim.Unassign(who)
	w.take(w.sim.AccessPolicyChanged(host, "e1"))
	w.run(1)
	return w, d
}

func TestAnAlertThatWasGivenUpIsKeptAndToldAgain(t *testing.T) {
	t.Parallel()
	w, d := unheard(t)
	var lost guard.Kept
	for _, k := range w.kept() {
		if strings.Contains(k.Reason, "CMK-050") {
			lost = k
		}
	}
	if lost.ID == "" || !strings.HasPrefix(lost.Source, "alert to ") || !strings.Contains(lost.Reason, "410") || !strings.Contains(string(lost.Body), "CMK-050") {
		t.Fatalf("%+v", lost)
	}
	if r := w.replay(lost.ID, nil); !r.Taken {
		t.Fatalf("%+v", r)
	}
	if _, err := w.g.FindKept(ctx, lost.ID); err == nil {
		t.Fatal("it is due and kept at once")
	}
	w.run(1) // the channel is as deaf as before
	if k, err := w.g.FindKept(ctx, lost.ID); err != nil || k.Source != lost.Source {
		t.Fatalf("given up again and not kept: %v", err)
	}
	d.mended.Store(true)
	if r := w.replay(lost.ID, nil); !r.Taken {
		t.Fatalf("%+v", r)
	}
	w.run(1)
	if !w.told.has("CMK-050", "Identity lost") || !w.journalHas("again, by ops") {
		t.Fatal("nobody was told")
	}
	rows, err := w.b.State.Scan(ctx, alert.GivenUp, lost.ID, lost.ID+"-", 10)
	if _, found := w.g.FindKept(ctx, lost.ID); !fault.Is(found, fault.Invalid) || err != nil || len(rows) != 0 {
		t.Fatalf("%v %v: what was told is kept, or its name is: %+v", found, err, rows)
	}
}

func TestAnAlertOfWhatIsOverWakesNobody(t *testing.T) {
	t.Parallel()
	w, d := unheard(t)
	w.sim.Assign(root+"Microsoft.KeyVault/vaults/kv-a", azuresim.RoleCryptoServiceEncryptionUser, who)
	w.take(w.sim.AccessPolicyChanged(host, "e2"))
	w.run(1)
	d.mended.Store(true)
	for _, k := range w.kept() {
		r := w.replay(k.ID, nil)
		old := strings.Contains(k.Reason, "Identity lost its access") && !strings.Contains(k.Reason, "Fixed")
		if old && (r.Taken || !strings.Contains(r.Why, "is over since")) {
			t.Errorf("%s: %+v", k.Reason, r)
		}
		if old {
			must(t, w.g.DropKept(ctx, k.ID, "ops", "it is over"))
		}
	}
	w.run(1)
	if w.told.triggers("CMK-050") != 0 || !w.told.has("CMK-050", "Fixed") || len(w.kept()) != 0 {
		t.Fatalf("old news was told, or something is left: %+v", w.kept())
	}
}
