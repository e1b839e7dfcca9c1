// Package sweep is the function that the timer calls to reconcile everything,
// event or no event. It knows no schedule but the one in its function.json,
// and no clock.
package sweep

import (
	"context"

	"cmkguard/internal/funchost"
)

// Name is the function's name: its folder, and the path that the host posts to.
const Name = "sweep"

// Binding is the name of the trigger's binding; the embedded host needs it.
const Binding = "timer"

// Sweeper runs one reconcile.
type Sweeper interface {
	// Sweep may be called twice for one tick, and late.
	Sweep(ctx context.Context) error
}

// Handler returns the function's handler. The tick's own times are not read:
// the host writes them in varying formats, and nothing depends on them.
func Handler(s Sweeper) funchost.Handler {
	return func(ctx context.Context, inv *funchost.Invocation) error {
		if _, err := inv.Object(Binding); err != nil {
			return err
		}
		return s.Sweep(ctx)
	}
}
