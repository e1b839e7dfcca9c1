package limit_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cmkguard/internal/limit"
	"cmkguard/internal/store"
	"cmkguard/internal/store/memstore"
)

var ctx = context.Background()

var rate = limit.Rate{Calls: 15, Per: 5 * time.Second}

type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.t }

func (c *clock) advance(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.t = c.t.Add(d) }

// TestInstancesTogetherKeepToTheRate: however many instances take, and however
// time passes between, no window of the rate's length sees more than twice the
// burst, and over a long time the rate holds.
func TestInstancesTogetherKeepToTheRate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := newClock()
		state := memstore.New(c.now).Backend().State
		all := make([]*limit.Limiter, rapid.IntRange(1, 6).Draw(t, "instances"))
		for i := range all {
			all[i] = limit.New(state, c.now)
		}
		start := c.now()
		var begun []time.Time
		for range rapid.IntRange(50, 300).Draw(t, "takes") {
			if all[rapid.IntRange(0, len(all)-1).Draw(t, "who")].Take(ctx, "b", rate) == 0 {
				begun = append(begun, c.now())
			}
			c.advance(time.Duration(rapid.IntRange(0, 400).Draw(t, "ms")) * time.Millisecond)
		}
		for i := range begun {
			n := 0
			for _, at := range begun[i:] {
				if at.Sub(begun[i]) < rate.Per {
					n++
				}
			}
			if n > 2*rate.Calls {
				t.Fatalf("%d calls in %s", n, rate.Per)
			}
		}
		passed := c.now().Sub(start)
		if most := rate.Calls + int(passed*time.Duration(rate.Calls)/rate.Per) + rate.Calls; len(begun) > most {
			t.Fatalf("%d calls in %s, want at most %d", len(begun), passed, most)
		}
	})
}

func TestABusyBucketLetsTheRateThrough(t *testing.T) {
	t.Parallel()
	c := newClock()
	l := limit.New(memstore.New(c.now).Backend().State, c.now)
	got := 0
	for range 1000 { // 100 seconds
		if l.Take(ctx, "b", rate) == 0 {
			got++
		}
		c.advance(100 * time.Millisecond)
	}
	if got < 250 || got > 320 {
		t.Fatalf("%d calls in 100 s at 3 per second", got)
	}
}

func TestAServiceThatSaysNoShutsTheBucketForAll(t *testing.T) {
	t.Parallel()
	c := newClock()
	state := memstore.New(c.now).Backend().State
	a, b := limit.New(state, c.now), limit.New(state, c.now)
	if a.Take(ctx, "b", rate) != 0 || b.Take(ctx, "other", rate) != 0 {
		t.Fatal("an open bucket gives")
	}
	a.Shut(ctx, "b", time.Minute)
	for _, l := range []*limit.Limiter{a, b} {
		if w := l.Take(ctx, "b", rate); w != time.Minute {
			t.Fatalf("wait %s, want a minute", w)
		}
	}
	if b.Take(ctx, "other", rate) != 0 {
		t.Fatal("another bucket was shut too")
	}
	a.Shut(ctx, "b", time.Second) // a shorter one does not open it earlier
	c.advance(30 * time.Second)
	if w := b.Take(ctx, "b", rate); w != 30*time.Second {
		t.Fatalf("wait %s, want 30 s", w)
	}
	c.advance(31 * time.Second)
	if b.Take(ctx, "b", rate) != 0 {
		t.Fatal("it never opens")
	}
}

// gone is a store that does not answer.
type gone struct{ store.State }

func (gone) Get(context.Context, string, string) (store.Row, bool, error) {
	return store.Row{}, false, errors.New("gone")
}

func TestWithoutStateCallsGoOn(t *testing.T) {
	t.Parallel()
	c := newClock()
	l := limit.New(gone{}, c.now)
	for range 5 {
		if l.Take(ctx, "b", rate) != 0 {
			t.Fatal("people could not be told while storage is gone")
		}
	}
	l.Shut(ctx, "b", time.Minute)
	if l.Take(ctx, "b", rate) == 0 {
		t.Fatal("a service's own no must hold without state too")
	}
}
