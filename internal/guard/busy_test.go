package guard_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cmkguard/internal/journal"
	"cmkguard/internal/policy"
	"cmkguard/internal/store"
)

// crowded is a store in which another instance commits to the partition of the key
// first, as long as it is crowded.
type crowded struct {
	store.State
	yes   *atomic.Bool
	other *journal.Recorder
}

func (c crowded) Apply(ctx context.Context, p string, ops []store.Op) ([]string, error) {
	if c.yes.Load() && strings.HasPrefix(p, "key~") {
		if err := c.other.Commit(ctx, p, []journal.Entry{{Kind: journal.KindNote, Text: "somebody else"}}); err != nil {
			return nil, err
		}
	}
	return c.State.Apply(ctx, p, ops)
}

// A burst that others are faster with is no broken storage: nobody is told so, and the
// work comes again within seconds, not after the pauses of failures.
func TestACrowdedPartitionCostsSeconds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: year, mode: policy.DryRun})
	c := crowded{w.b.State, &atomic.Bool{}, journal.NewRecorder(w.b.State, "other", w.sim.Clock().Now)}
	rec := journal.NewRecorder(c, "test", w.sim.Clock().Now)
	w.g.State, w.g.Rec, w.g.Effects.State, w.g.Effects.Rec = c, rec, c, rec
	c.yes.Store(true)
	w.take(w.sim.NearExpiry(w.key, "e1"))
	w.runFor(330 * time.Second)
	for _, a := range w.told.all {
		if a.Unrecorded {
			t.Fatalf("told: %s: %s", a.Title, a.What)
		}
	}
	c.yes.Store(false)
	w.runFor(time.Minute)
	if w.told.triggers("CMK-013") != 1 {
		t.Errorf("a minute later: %v", w.told.all)
	}
}
