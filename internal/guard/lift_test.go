package guard_test

import (
	"testing"
	"time"

	"cmkguard/internal/guard"
	"cmkguard/internal/plan"
	"cmkguard/internal/policy"
)

// What holds a plan for longer than a queue can keep a message back is neither an error
// of the signal nor a reason to queue a look with every look; what ends today is looked
// at when it does.
func TestWhatHoldsForLongIsNoError(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		holds time.Duration
		asks  int // looks that wait
	}{"for a month": {30 * 24 * time.Hour, 0}, "for two hours": {2 * time.Hour, 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{kind: "v1", created: year, mode: policy.Auto})
			w.g.Policy.Exemptions = []policy.Exemption{{Name: "migration", Owner: "anna", Reason: "moves in March", Expires: w.sim.Clock().Now().Add(c.holds)}}
			w.take(w.sim.NearExpiry(w.key, "e1"))
			must(t, w.pumpInto(w.g))
			if list := w.plans(plan.Rotate); len(list) != 1 || list[0].Started {
				t.Fatalf("%v", list)
			}
			rows, err := w.b.State.Scan(ctx, "poison", "", "", 10)
			must(t, err)
			if len(rows) > 0 {
				t.Fatalf("kept as unreadable: %s", rows[0].Value)
			}
			w.sim.Clock().Advance(c.holds + 2*time.Second)
			ms, err := w.b.Queue.Take(ctx, guard.WorkQueue, 16, time.Second)
			must(t, err)
			if len(ms) != c.asks {
				t.Errorf("%d looks were queued, want %d", len(ms), c.asks)
			}
			w.hint()
			w.run(3)
			if w.rotates() != 1 {
				t.Errorf("%d rotations afterwards", w.rotates())
			}
		})
	}
}
