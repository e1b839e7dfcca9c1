package guard_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/guard"
	"cmkguard/internal/policy"
	"cmkguard/internal/store"
)

// watched is a world whose guard watches itself.
func watched(t *testing.T, watch guard.Watch) *world {
	w := newWorld(t, setup{kind: "v1", created: 72 * time.Hour, mode: policy.DryRun})
	w.g.Watch = watch
	return w
}

// work works off what is visible in the queue now.
func (w *world) work() {
	w.t.Helper()
	for {
		ms, err := w.b.Queue.Take(ctx, guard.WorkQueue, 16, time.Minute)
		must(w.t, err)
		if len(ms) == 0 {
			return
		}
		for _, m := range ms {
			must(w.t, w.g.Work(ctx, m.Body))
			must(w.t, w.b.Queue.Done(ctx, guard.WorkQueue, m))
		}
	}
}

// opened counts how often the check was told to be broken, afresh.
func (c *told) opened(check string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, a := range c.all {
		if a.Check == check && a.Lifecycle == alert.Trigger {
			n++
		}
	}
	return n
}

// times counts the delivered alerts of the check whose title begins so.
func (c *told) times(check, title string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, a := range c.all {
		if a.Check == check && strings.HasPrefix(a.Title, title) {
			n++
		}
	}
	return n
}

// want fails unless the check was told broken and fixed so often.
func (w *world) want(when, check string, broken, fixed int) {
	w.t.Helper()
	if b, f := w.told.opened(check), w.told.times(check, alert.Fixed); b != broken || f != fixed {
		for _, a := range w.told.all {
			if a.Check == check {
				w.t.Logf("%s: %s", a.Title, a.What)
			}
		}
		w.t.Fatalf("%s: %s told broken %d times and fixed %d times, want %d and %d", when, check, b, f, broken, fixed)
	}
}

// events lets one event come, and be worked on, every step of the time.
func (w *world) events(name string, during, step time.Duration) {
	w.t.Helper()
	for n := range int(during / step) {
		w.take(w.sim.NearExpiry(w.key, fmt.Sprintf("%s-%d", name, n)))
		w.work()
		w.sim.Clock().Advance(step)
	}
	w.work()
}

// A timer that is dead cannot tell of itself: the other paths do, once, and the
// sweep that comes back ends it.
func TestADeadTimerIsToldByTheOthers(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(*world){
		"never ran":      func(*world) {},
		"ran until then": func(w *world) { must(t, w.g.Sweep(ctx)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := watched(t, guard.Watch{Beats: true})
			before(w)
			w.events("early", 9*time.Minute, time.Minute)
			w.want("within the limit", "SELF-007", 0, 0)
			w.events("late", 30*time.Minute, time.Minute)
			w.want("after it", "SELF-007", 1, 0)
			must(t, w.g.Sweep(ctx)) // writes its heartbeat at its end
			w.sim.Clock().Advance(time.Minute)
			must(t, w.g.Sweep(ctx))
			w.events("again", 5*time.Minute, time.Minute)
			w.want("when it is back", "SELF-007", 1, 1)
			if r := w.verify(); len(r.Problems) > 0 {
				t.Fatalf("%+v", r)
			}
		})
	}
}

// After a time in which nothing ran at all, an event may come before the timer.
func TestAPauseIsNotADeadTimer(t *testing.T) {
	t.Parallel()
	w := watched(t, guard.Watch{Beats: true})
	must(t, w.g.Sweep(ctx))
	w.sim.Clock().Advance(8 * time.Hour)
	w.take(w.sim.NearExpiry(w.key, "e1"))
	w.work()
	w.sim.Clock().Advance(30 * time.Second)
	must(t, w.g.Sweep(ctx))
	w.events("later", 5*time.Minute, time.Minute)
	w.want("after a pause", "SELF-007", 0, 0)
}

// A sweep that is cut short is no heartbeat.
func TestASweepThatIsCutShort(t *testing.T) {
	t.Parallel()
	w := watched(t, guard.Watch{Beats: true})
	must(t, w.g.Sweep(ctx))
	for range 15 {
		w.sim.Clock().Advance(time.Minute)
		short, cancel := context.WithCancel(ctx)
		cancel()
		if err := w.g.Sweep(short); err == nil {
			t.Fatal("a sweep that was cut short says so")
		}
		w.take(w.sim.NearExpiry(w.key, w.sim.Clock().Now().String()))
		w.work()
	}
	w.want("cut short for 15 minutes", "SELF-007", 1, 0)
}

// reads counts reads of one row.
type reads struct {
	store.State
	n *atomic.Int64
}

func (r reads) Get(ctx context.Context, p, k string) (store.Row, bool, error) {
	if k == "beat" {
		r.n.Add(1)
	}
	return r.State.Get(ctx, p, k)
}

func TestAFloodLooksForTheHeartbeatOnceAMinute(t *testing.T) {
	t.Parallel()
	w := watched(t, guard.Watch{Beats: true})
	r := reads{w.g.State, &atomic.Int64{}}
	w.g.State = r
	for range 200 {
		if _, err := w.g.TakeLogs(ctx, "vaultlogs", [][]byte{[]byte(`{"records":[]}`)}); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.n.Load(); n != 1 {
		t.Fatalf("%d reads of the heartbeat, want 1", n)
	}
}

func TestThePolicyThatIsNotInForceIsAnIncident(t *testing.T) {
	t.Parallel()
	w := watched(t, guard.Watch{})
	start := func(observe string) {
		w.g.Observe = observe
		must(t, w.g.Started(ctx))
		w.work()
	}
	start("")
	w.want("a good start", "SELF-011", 0, 0)
	start("policy.yaml:3: no such mode")
	start("policy.yaml:3: no such mode") // every instance starts with it
	w.want("a bad start", "SELF-011", 1, 0)
	if !w.told.has("SELF-011", "policy.yaml:3") || !w.told.asks("cmkguard policy check") {
		t.Fatal("the line or the mend is not told")
	}
	start("policy.yaml:9: another")
	if !w.told.has("SELF-011", "policy.yaml:9") {
		t.Fatal("another reason was not told")
	}
	start("")
	w.want("the next good start", "SELF-011", 1, 1)
}

func TestABadStartWithoutStorageIsToldAllTheSame(t *testing.T) {
	t.Parallel()
	w := watched(t, guard.Watch{})
	w.darken().all.Store(true)
	w.g.Observe = "policy.yaml:3: no such mode"
	if err := w.g.Started(ctx); err == nil {
		t.Fatal("what could not be recorded is an error")
	}
	if w.told.unrecorded("SELF-011") != 1 {
		t.Fatalf("told %d times", w.told.unrecorded("SELF-011"))
	}
}

func TestHealthReadsStateAlone(t *testing.T) {
	t.Parallel()
	w := watched(t, guard.Watch{Beats: true})
	before := len(w.sim.Calls())
	h, err := w.g.Health(ctx)
	if err != nil || h.Healthy || len(h.Reasons) != 1 || !strings.Contains(h.Reasons[0], "SELF-007") {
		t.Fatalf("without a sweep: %+v %v", h, err)
	}
	must(t, w.g.Sweep(ctx))
	w.g.Observe = "policy.yaml:3: no such mode"
	must(t, w.g.Started(ctx))
	if h, err = w.g.Health(ctx); err != nil || !h.Healthy || len(h.Open) != 1 || h.Open[0].Check != "SELF-011" {
		t.Fatalf("with a bad policy: %+v %v", h, err)
	}
	w.sim.Clock().Advance(11 * time.Minute)
	if h, err = w.g.Health(ctx); err != nil || h.Healthy {
		t.Fatalf("after eleven minutes: %+v %v", h, err)
	}
	if n := len(w.sim.Calls()); n != before {
		t.Fatalf("%d calls to Azure", n-before)
	}
	w.darken().all.Store(true)
	if _, err = w.g.Health(ctx); err == nil {
		t.Fatal("state that cannot be read is an error")
	}
}
