package guard_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/fault"
	"cmkguard/internal/policy"
	"cmkguard/internal/store"
)

// downUntil is a channel that cannot be reached before a time.
type downUntil struct {
	alert.Channel
	now   func() time.Time
	until time.Time
}

func (c downUntil) Send(ctx context.Context, a alert.Alert) (string, error) {
	if c.now().Before(c.until) {
		return "", fault.New(fault.Transient, "channel", "503")
	}
	return c.Channel.Send(ctx, a)
}

// lostAndBack is a process that is killed once between the signal of a lost access and
// the receipt of the alert that it is back, while the only channel is down for an hour;
// another one goes on. It returns the lives of the check's alerts by their first
// arrival, and how many came twice.
func (w *world) lostAndBack(k *killer) (lives []alert.Lifecycle, doubles int) {
	w.t.Helper()
	clock := w.sim.Clock()
	until := clock.Now().Add(time.Hour)
	boot := func(k *killer) *worker {
		return &worker{b: store.Backend{Queue: killQueue{k, w.b.Queue}}, g: w.boot(parts{
			backend: store.Backend{State: killState{k, w.b.State}, Queue: killQueue{k, w.b.Queue}, Log: killLog{k, w.b.Log}},
			channel: killChannel{k, downUntil{w.told, clock.Now, until}},
		})}
	}
	p := boot(k)
	live := func(do func()) {
		if p.live(do); p.killed {
			p = boot(&killer{})
		}
	}
	take := func(id string) {
		body := w.sim.AccessPolicyChanged(host, id)
		for answered := false; !answered; {
			live(func() { answered = p.g.Take(ctx, "keyvaultevents", body) == nil })
		}
	}
	w.sim.Unassign(who)
	take("lost")
	for minute := range 80 {
		if minute == 20 {
			w.sim.Assign(root+"Microsoft.KeyVault/vaults/kv-a", azuresim.RoleCryptoServiceEncryptionUser, who)
			take("back")
		}
		live(func() { w.turn(p) })
		if minute%5 == 4 {
			live(func() { must(w.t, p.g.Sweep(ctx)) })
		}
		clock.Advance(time.Minute)
	}
	seen := map[string]bool{}
	for _, a := range w.told.all {
		if a.Check != "CMK-050" {
			continue
		}
		if seen[a.ID] {
			doubles++
			continue
		}
		seen[a.ID] = true
		lives = append(lives, a.Lifecycle)
	}
	return lives, doubles
}

// TestKilledBetweenSignalAndReceipt kills the process at writes and sendings of the
// whole path of an alert. CMKGUARD_CRASH=all tries every point.
func TestKilledBetweenSignalAndReceipt(t *testing.T) {
	t.Parallel()
	o := setup{kind: "v1", created: 30 * 24 * time.Hour, mode: policy.DryRun}
	want := []alert.Lifecycle{alert.Trigger, alert.Resolve}
	clean := &killer{}
	if lives, doubles := newWorld(t, o).lostAndBack(clean); !slices.Equal(lives, want) || doubles > 0 {
		t.Fatalf("undisturbed: %v, %d twice", lives, doubles)
	}
	points := crashPoints(clean.calls)
	tried := some(points, sparse(t, 10, 1))
	t.Logf("%d calls, %d crash points, %d of them tried", len(clean.calls), len(points), len(tried))
	for _, pt := range tried {
		t.Run(fmt.Sprintf("killed at call %d, %s, %s", pt.at, pt.name, pt.how), func(t *testing.T) {
			t.Parallel()
			if lives, doubles := newWorld(t, o).lostAndBack(&killer{at: pt.at, how: pt.how}); !slices.Equal(lives, want) || doubles > 1 {
				t.Errorf("told %v, %d twice", lives, doubles)
			}
		})
	}
}
