package guard_test

import (
	"testing"
	"time"

	"cmkguard/internal/guard"
)

func TestAClockThatIsWrong(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string]time.Duration{"ours is behind": 6 * time.Minute, "ours is ahead": -6 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := watched(t, guard.Watch{Beats: true})
			w.g.Watch.Clock, w.g.Reconcile = w.drift, time.Hour
			w.sim.SetAhead(ahead / 2)
			w.hours(1)
			w.want("three minutes", "SELF-010", 0, 0)
			w.sim.SetAhead(ahead)
			w.hours(4)
			w.want("six minutes", "SELF-010", 1, 0)
			if !w.told.has("SELF-010", "6m") {
				t.Fatal(w.told.first(t, "SELF-010").What)
			}
			// Nobody answers: nobody can tell.
			w.g.Reconcile = 0
			w.sweeps(70, true)
			w.want("no answers", "SELF-010", 1, 0)
			w.g.Reconcile = time.Hour
			w.sim.SetAhead(0)
			w.hours(3)
			w.want("set right", "SELF-010", 1, 1)
		})
	}
}
