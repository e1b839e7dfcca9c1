package guard_test

import (
	"context"
	"testing"

	"cmkguard/internal/policy"
)

// What is open elsewhere is sent again after every sweep, be it one that failed.
func TestEachSweepRefreshesWhatIsOpenElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: year, mode: policy.DryRun})
	n := 0
	w.g.Refresh = func(context.Context) { n++ }
	must(t, w.g.Sweep(ctx))
	over, cancel := context.WithCancel(ctx)
	cancel()
	_ = w.g.Sweep(over)
	if n != 2 {
		t.Errorf("%d refreshes in two sweeps", n)
	}
}
