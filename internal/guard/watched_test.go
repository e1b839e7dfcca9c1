package guard_test

import (
	"testing"
	"time"

	"cmkguard/internal/azuresim"
	"cmkguard/internal/policy"
)

// sweepAll looks at every key, and lets what follows happen.
func (w *world) sweepAll() {
	w.t.Helper()
	w.g.Reconcile = time.Hour
	must(w.t, w.g.Sweep(ctx))
	w.run(1)
}

// Every event of a stranger's version is lost, and the cache has taken it up before
// the sweep looks: it is told all the same, because it was made under our eyes. One
// that was there before we were is nobody's.
func TestAStrangersVersionThatEveryoneTookUpIsTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ before, told bool }{"made under our eyes": {false, true}, "made before us": {true, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{kind: "v2", created: year, mode: policy.DryRun})
			if !c.before {
				w.sweepAll()
			}
			w.sim.Clock().Advance(time.Hour)
			w.sim.CreateVersion(w.key, azuresim.KeyOptions{})
			w.sim.Clock().Advance(3 * time.Hour)
			if !w.onNewest() {
				t.Fatal("the cache did not take it up")
			}
			w.sweepAll()
			w.sim.Clock().Advance(2 * time.Hour)
			w.sweepAll()
			if w.told.has("CMK-067", "no intent of ours names it") != c.told {
				t.Fatalf("told %v, want %v", !c.told, c.told)
			}
			if r := w.verify(); len(r.Problems) > 0 {
				t.Fatal(r.Problems)
			}
		})
	}
}
