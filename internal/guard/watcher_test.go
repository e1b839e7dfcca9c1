package guard_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"cmkguard/internal/azuresim"
	"cmkguard/internal/fault"
	"cmkguard/internal/guard"
	"cmkguard/internal/journal"
	"cmkguard/internal/policy"
	"cmkguard/internal/store"
)

// watcher counts the pings of a guard, and can be out of reach.
type watcher struct {
	pings atomic.Int64
	gone  atomic.Bool
}

func (w *watcher) Ping(context.Context) error {
	w.pings.Add(1)
	if w.gone.Load() {
		return fault.New(fault.Transient, "watcher", "connection refused")
	}
	return nil
}

func withWatcher(t *testing.T) (*world, *watcher) {
	t.Helper()
	w, dog := newWorld(t, setup{kind: "v2", created: 72 * time.Hour, mode: policy.DryRun}), &watcher{}
	w.g.Watcher, w.g.PingEvery = dog, 5*time.Minute
	return w, dog
}

func (w *watcher) want(t *testing.T, when string, n int64) {
	t.Helper()
	if got := w.pings.Load(); got != n {
		t.Fatalf("%s: %d pings, want %d", when, got, n)
	}
}

func TestASweepThatGoesThroughPings(t *testing.T) {
	t.Parallel()
	w, dog := withWatcher(t)
	for range 11 { // every minute, for ten minutes
		must(t, w.g.Sweep(ctx))
		w.sim.Clock().Advance(time.Minute)
	}
	dog.want(t, "ten minutes", 3)
	other := w.boot(parts{backend: w.b})
	other.Watcher, other.PingEvery = dog, 5*time.Minute
	must(t, other.Sweep(ctx))
	dog.want(t, "another instance within the period", 3)
	w.g.Watcher = nil
	w.sim.Clock().Advance(time.Hour)
	must(t, w.g.Sweep(ctx))
	dog.want(t, "without a watcher", 3)
}

// TestAWatcherOutOfReachFailsNothing and is called again by the next sweep, not
// only after its period.
func TestAWatcherOutOfReachFailsNothing(t *testing.T) {
	t.Parallel()
	w, dog := withWatcher(t)
	dog.gone.Store(true)
	for range 3 {
		must(t, w.g.Sweep(ctx))
		w.sim.Clock().Advance(time.Minute)
	}
	dog.want(t, "while it is out of reach", 3)
	dog.gone.Store(false)
	must(t, w.g.Sweep(ctx))
	w.sim.Clock().Advance(time.Minute)
	must(t, w.g.Sweep(ctx))
	dog.want(t, "when it is back", 4)
}

type deafQueue struct{ store.Queue }

func (deafQueue) Take(context.Context, string, int, time.Duration) ([]store.Message, error) {
	return nil, fault.New(fault.Transient, "store", "ServerBusy")
}

type brokenSeal struct{}

func (brokenSeal) Fold(context.Context) (journal.Checkpoint, error) {
	return journal.Checkpoint{}, errors.New("the log cannot be appended to")
}

// TestASweepThatFailsPingsNobody: whatever keeps us from doing our work keeps us
// from saying that all is well.
func TestASweepThatFailsPingsNobody(t *testing.T) {
	t.Parallel()
	for name, ail := range map[string]func(*world){
		"state gone":             func(w *world) { w.darken().all.Store(true) },
		"state can only be read": func(w *world) { w.darken().writes.Store(true) },
		"the queue is gone":      func(w *world) { w.g.Queue = deafQueue{w.g.Queue} },
		"the journal is stuck":   func(w *world) { w.g.Seal = brokenSeal{} },
		"no cluster can be listed": func(w *world) {
			w.g.Reconcile = time.Minute
			for _, m := range []string{http.MethodPost, http.MethodGet} { // Resource Graph, and the lists behind it
				w.sim.Inject(azuresim.Fault{Method: m, Host: "management.azure.com", Times: 1000, Mode: azuresim.Refuse, Status: 403, Code: "AuthorizationFailed"})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, dog := withWatcher(t)
			ail(w)
			err := w.g.Sweep(ctx)
			dog.want(t, name, 0)
			// A state that can only be read is noticed by the ping's own write where
			// nothing else had to be written.
			if err == nil && name != "state can only be read" {
				t.Error("the sweep did not say that it failed")
			}
		})
	}
	w, dog := withWatcher(t)
	over, cancel := context.WithCancel(ctx)
	cancel()
	_ = w.g.Sweep(over)
	dog.want(t, "out of time", 0)
}

var _ guard.Watcher = (*watcher)(nil)
