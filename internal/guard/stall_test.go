package guard_test

import (
	"context"
	"testing"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/guard"
	"cmkguard/internal/policy"
	"cmkguard/internal/remedy/rotate"
	"cmkguard/internal/wiring"
)

// stalled holds a worker up at one of its calls.
type stalled struct {
	rotate.Vault
	atLook, atSend chan struct{} // received from before the call goes on; nil: not held up
	reached        chan struct{}
}

func (s *stalled) Versions(ctx context.Context, k azureid.Key) wiring.Fact[[]wiring.KeyVersion] {
	seen := s.Vault.Versions(ctx, k)
	if hold := s.atLook; hold != nil {
		s.reached <- struct{}{}
		<-hold
	}
	return seen // by now it may be history
}

func (s *stalled) Rotate(ctx context.Context, k azureid.Key, id string) (azureid.Key, error) {
	if s.atSend != nil {
		s.reached <- struct{}{}
		<-s.atSend
	}
	return s.Vault.Rotate(ctx, k, id)
}

// TestAWorkerStalledPastItsLease holds one worker up, at the last look before
// it acts or with its request on the way, until another has taken its message.
func TestAWorkerStalledPastItsLease(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stall func(*stalled)
		lands time.Duration // when the stalled worker goes on
	}{
		"its request lands late, within the quiet time":       {func(s *stalled) { s.atSend = make(chan struct{}) }, 4 * time.Minute},
		"it wakes after another rotated, and must not send":   {func(s *stalled) { s.atLook = make(chan struct{}) }, 40 * time.Minute},
		"it wakes past its deadline, before anybody else did": {func(s *stalled) { s.atLook = make(chan struct{}) }, 3 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{kind: "v1", created: year, mode: policy.Auto})
			st := &stalled{reached: make(chan struct{}, 1)}
			c.stall(st)
			slow := w.boot(parts{backend: w.b, vault: func(v rotate.Vault) rotate.Vault { st.Vault = v; return st }})
			w.take(w.sim.NearExpiry(w.key, "e1"))
			ended := make(chan error, 1)
			go func() { ended <- w.pumpInto(slow) }()
			<-st.reached
			w.runFor(c.lands)
			if st.atSend != nil {
				close(st.atSend)
			} else {
				hold := st.atLook
				st.atLook = nil // of the looks to come; the one that is held up has its channel
				close(hold)
			}
			must(t, <-ended)
			w.run(3)
			if n := len(w.sim.Versions(w.key)); n != 2 || w.rotates() != 1 || !w.onNewest() {
				t.Fatalf("%d versions, %d rotations, follows %v", n, w.rotates(), w.onNewest())
			}
		})
	}
}

// pumpInto lets g work on what is due until nothing is.
func (w *world) pumpInto(g *guard.Guard) error {
	for {
		ms, err := w.b.Queue.Take(ctx, guard.WorkQueue, 4, time.Minute)
		if err != nil || len(ms) == 0 {
			return err
		}
		for _, m := range ms {
			if err := g.Work(ctx, m.Body); err != nil {
				return err
			}
			_ = w.b.Queue.Done(ctx, guard.WorkQueue, m) // another worker may have taken it meanwhile
		}
	}
}

// runFor lets the world's ordinary worker go on for d.
func (w *world) runFor(d time.Duration) {
	w.t.Helper()
	for end := w.sim.Clock().Now().Add(d); w.sim.Clock().Now().Before(end); w.sim.Clock().Advance(30 * time.Second) {
		must(w.t, w.pumpInto(w.g))
		must(w.t, w.g.Sweep(ctx))
	}
}
