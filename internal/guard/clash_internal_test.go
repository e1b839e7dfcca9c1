package guard

import (
	"testing"
	"time"

	"cmkguard/internal/fault"
	"cmkguard/internal/journal"
)

// Who was too late comes again within seconds, for a quarter of an hour at the most: then
// it counts as a failure, which is seen. Anything else counts at once.
func TestHowLongOthersMayBeFaster(t *testing.T) {
	t.Parallel()
	busy := fault.New(fault.Transient, "test", "%w", journal.ErrBusy)
	var m message
	var all time.Duration
	for {
		again, yes := m.clashed(busy)
		if !yes {
			break
		}
		if all += again; again < turnAgain || again > 30*time.Second || all > time.Hour {
			t.Fatalf("again after %s, %s in all", again, all)
		}
	}
	if all < 10*time.Minute || all > 20*time.Minute {
		t.Errorf("a failure after %s", all)
	}
	for _, err := range []error{nil, fault.New(fault.Transient, "test", "throttled"), fault.New(fault.Unknown, "test", "lost")} {
		if _, yes := (&message{}).clashed(err); yes {
			t.Errorf("%v: others were faster", err)
		}
	}
	if _, yes := (&message{}).clashed(fault.New(fault.Conflict, "test", "moved on")); !yes {
		t.Error("a conflict is no failure")
	}
}
