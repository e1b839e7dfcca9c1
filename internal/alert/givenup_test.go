package alert_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/alerttest"
	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

func (b *bench) givenUp() (rows []store.Row) {
	b.t.Helper()
	rows, err := b.state.Scan(context.Background(), alert.GivenUp, "", "", 100)
	if err != nil {
		b.t.Fatal(err)
	}
	return rows
}

// A delivery is listed before it is given up: storage that fails in between leaves
// one that is tried again, and no crash leaves one that nobody finds.
func TestWhatIsGivenUpIsListedFirst(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.receiver(func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	b.connect(map[string]*receiver{"ops": r})
	b.put(alerttest.Sample("a-1", start()), "ops")
	b.state.fail = func(ops []store.Op) error {
		if ops[0].Kind == store.Insert && len(ops) == 1 && len(ops[0].Key) > 2 && ops[0].Key[:2] == "n~" {
			return fault.New(fault.Transient, "test", "storage is away")
		}
		return nil
	}
	if left, _, err := b.d.Dispatch(context.Background(), part); !fault.Is(err, fault.Transient) || left != 1 {
		t.Fatalf("%d left, %v", left, err)
	}
	if ns, _ := b.rows(); ns[0].State != alert.Pending || len(b.givenUp()) != 0 {
		t.Fatalf("%+v: given up and on no list", ns[0])
	}
	b.state.fail = nil
	b.clock = b.clock.Add(time.Minute) // the claim of the call that failed is over
	b.dispatch()
	ns, _ := b.rows()
	rows := b.givenUp()
	var lost alert.Lost
	if len(rows) != 1 || rows[0].Key != ns[0].ID || json.Unmarshal(rows[0].Value, &lost) != nil || lost.Partition != part || !lost.At.Equal(b.clock) || ns[0].State != alert.Poison {
		t.Fatalf("%+v, listed %+v", ns, rows)
	}
}

// Put back and given up again, its name is written anew: whoever read it before and
// would take it away now finds that it changed.
func TestGivenUpAgainIsListedAnew(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(map[string]*receiver{"gone": b.receiver(func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })})
	b.put(alerttest.Sample("a-1", start()), "gone")
	b.dispatch()
	before := b.givenUp()
	ns, _ := b.rows()
	next, what, err := alert.Again(ns[0], "ops", start())
	if err != nil || next.State != alert.Pending || next.Attempt != 0 || what == "" {
		t.Fatalf("%+v %q %v", next, what, err)
	}
	if _, _, err := alert.Again(next, "ops", start()); !fault.Is(err, fault.Invalid) {
		t.Fatalf("%v: what is due was put back", err)
	}
	row, _, _ := b.state.Get(context.Background(), part, alert.OutboxRow(next.ID))
	raw, _ := json.Marshal(next)
	if _, err := b.state.State.Apply(context.Background(), part, []store.Op{{Kind: store.Replace, Key: row.Key, Value: raw, ETag: row.ETag}}); err != nil {
		t.Fatal(err)
	}
	b.dispatch()
	after := b.givenUp()
	if len(before) != 1 || len(after) != 1 || before[0].ETag == after[0].ETag {
		t.Fatalf("before %+v, after %+v", before, after)
	}
}
