package guard_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/guard"
	"cmkguard/internal/incident"
	"cmkguard/internal/policy"
	"cmkguard/internal/store"
)

// sweeps lets the timer fire every minute for a while, and work happen if asked.
func (w *world) sweeps(minutes int, working bool) {
	w.t.Helper()
	for range minutes {
		w.sim.Clock().Advance(time.Minute)
		must(w.t, w.g.Sweep(ctx))
		if working {
			w.work()
		}
	}
	must(w.t, w.g.Tend(ctx))
}

func TestAQueueThatIsNotDrained(t *testing.T) {
	t.Parallel()
	w := watched(t, guard.Watch{Beats: true})
	w.sweeps(10, true)
	w.sweeps(59, false) // the sweep runs, and work does not
	w.want("within the limit", "SELF-008", 0, 0)
	w.sweeps(10, false)
	w.want("after it", "SELF-008", 1, 0)
	if h, err := w.g.Health(ctx); err != nil || h.Healthy || !strings.Contains(h.Reasons[0], "SELF-008") {
		t.Fatalf("%+v %v", h, err)
	}
	w.sweeps(10, true)
	w.want("drained", "SELF-008", 1, 1)
	// What was in the queue is lost: no alarm, for another message comes through.
	w.sweeps(6, false)
	for {
		ms, err := w.b.Queue.Take(ctx, guard.WorkQueue, 16, time.Minute)
		must(t, err)
		if len(ms) == 0 {
			break
		}
		for _, m := range ms {
			must(t, w.b.Queue.Done(ctx, guard.WorkQueue, m))
		}
	}
	w.sweeps(120, true)
	w.want("a message was lost, another came", "SELF-008", 1, 1)
	w.sweeps(70, false)
	w.want("not drained again", "SELF-008", 2, 1)
}

// broken refuses writes to one partition.
type broken struct {
	store.State
	partition string
	on        *atomic.Bool
}

func (b broken) Apply(ctx context.Context, p string, ops []store.Op) ([]string, error) {
	if b.on.Load() && p == b.partition {
		return nil, fault.New(fault.Transient, "store", "ServerBusy")
	}
	return b.State.Apply(ctx, p, ops)
}

func TestWorkThatFailsAgainAndAgain(t *testing.T) {
	t.Parallel()
	w := watched(t, guard.Watch{Beats: true})
	bad := broken{w.g.State, incident.Partition(event.Subject{Kind: event.SubjectKey, ID: w.key.ID()}), &atomic.Bool{}}
	w.g.State = bad
	bad.on.Store(true)
	w.take(w.sim.NearExpiry(w.key, "e1"))
	w.sweeps(55, true)
	w.want("within the hour", "SELF-008", 0, 0)
	w.sweeps(30, true)
	w.want("after it", "SELF-008", 1, 0)
	if !w.told.has("SELF-008", "1 pieces of work fail again and again") || !w.told.has("SELF-008", "ServerBusy") {
		t.Fatal("what fails, or why, is not told")
	}
	bad.on.Store(false)
	w.sweeps(15, true)
	w.want("when it works again", "SELF-008", 1, 1)
}

// losing is a queue that loses the messages of sagas.
type losing struct {
	store.Queue
	on *atomic.Bool
}

func (l losing) Put(ctx context.Context, queue string, body []byte, delay time.Duration) error {
	if l.on.Load() && strings.Contains(string(body), `"kind":"saga"`) {
		return nil
	}
	return l.Queue.Put(ctx, queue, body, delay)
}

func TestStepsThatNobodyTakes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: year, mode: policy.Auto})
	w.g.Watch = guard.Watch{Beats: true}
	lost := losing{w.g.Queue, &atomic.Bool{}}
	w.g.Queue = lost
	lost.on.Store(true)
	w.take(w.sim.NearExpiry(w.key, "e1"))
	w.sweeps(60, true)
	w.want("within the hour", "SELF-008", 0, 0)
	w.sweeps(5, true)
	w.want("after it", "SELF-008", 1, 0)
	lost.on.Store(false)
	w.sweeps(60, true)
	w.want("carried out", "SELF-008", 1, 1)
	if w.rotates() != 1 {
		t.Fatalf("%d rotations", w.rotates())
	}
}

func TestEventsThatWereNeverQueued(t *testing.T) {
	t.Parallel()
	w := watched(t, guard.Watch{Beats: true})
	queue := w.g.Queue
	w.g.Queue = deaf{queue}
	for n := range 101 {
		if err := w.g.Take(ctx, "keyvaultevents", w.sim.NearExpiry(w.key, fmt.Sprintf("e%d", n))); err == nil {
			t.Fatal("a queue that refuses must fail the invocation")
		}
	}
	w.g.Queue = queue
	w.sim.Clock().Advance(5 * time.Minute)
	w.sweeps(1, true)
	w.want("found by a sweep", "SELF-008", 1, 0)
	w.sweeps(2, true)
	w.want("queued", "SELF-008", 1, 1)
}

// letters is a dead-letter container.
type letters struct {
	n   *atomic.Int64
	err error
}

func (l letters) Count(_ context.Context, most int) (int, error) {
	return min(int(l.n.Load()), most), l.err
}

func TestWhatNobodyLooksAtPilesUp(t *testing.T) {
	t.Parallel()
	dead := &letters{n: &atomic.Int64{}}
	w := watched(t, guard.Watch{Beats: true, DeadLetters: dead})
	w.g.Reconcile = time.Hour
	for n := range 26 {
		must(t, w.g.Poison(ctx, "vaultlogs", "junk", fmt.Appendf(nil, "junk %d", n)))
	}
	dead.n.Store(3)
	w.sweepAndWork()
	w.want("26 kept", "SELF-003", 1, 0)
	w.want("three given up", "SELF-002", 1, 0)
	if !w.told.has("SELF-003", "26 or more") || !w.told.has("SELF-002", "1 or more") || !w.told.asks("cmkguard poison list") {
		t.Fatal("how many, or what to do, is not told")
	}
	// What cannot be counted resolves nothing.
	dead.n.Store(0)
	dead.err = fault.New(fault.Denied, "storage", "AuthorizationPermissionMismatch")
	w.sweepAndWork()
	w.want("cannot be counted", "SELF-002", 1, 0)
	dead.err = nil
	rows, err := w.b.State.Scan(ctx, "poison", "poison~", "poison~~", 1)
	must(t, err)
	_, err = w.b.State.Apply(ctx, "poison", []store.Op{{Kind: store.Delete, Key: rows[0].Key, ETag: rows[0].ETag}})
	must(t, err)
	w.sweepAndWork()
	w.want("one was looked at", "SELF-003", 1, 1)
	w.want("replayed", "SELF-002", 1, 1)
}
