package guard_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/policy"
	"cmkguard/internal/risk"
)

// byName keeps what each channel was told, in its order.
type byName struct {
	mu  sync.Mutex
	got map[string][]alert.Alert
}

// on is the channel of the name.
type on struct {
	b    *byName
	name string
}

func (c on) Send(_ context.Context, a alert.Alert) (string, error) {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	c.b.got[c.name] = append(c.b.got[c.name], a)
	return a.ID, nil
}

// lives are the states of the check's alerts that the channel was told, in order.
func (b *byName) lives(channel, check string) (out []alert.Lifecycle) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.got[channel] {
		if a.Check == check {
			out = append(out, a.Lifecycle)
		}
	}
	return out
}

// routed is a world whose policy has the channels and routes.
func routed(t *testing.T, channels []policy.Channel, routes ...policy.Route) (*world, *byName) {
	t.Helper()
	b := &byName{got: map[string][]alert.Alert{}}
	w := newWorld(t, setup{kind: "v1", created: year, mode: policy.DryRun, change: func(p *policy.Policy, at map[string]alert.Channel) {
		p.Channels, p.Routes = channels, routes
		for _, c := range channels {
			at[c.Name] = on{b, c.Name}
		}
	}})
	w.sim.ChangeVersion(w.key, func(v *azuresim.Version) { v.Expires = nil })
	return w, b
}

// Who was woken at night is told in the morning that it is over; who was not asked
// at night is not told of the end of what he never heard of.
func TestWhoWasToldOfAnIncidentIsToldOfItsEnd(t *testing.T) {
	t.Parallel()
	at := func(from, to int) *policy.Freeze {
		return &policy.Freeze{Zone: time.UTC, From: time.Duration(from) * time.Hour, To: time.Duration(to) * time.Hour}
	}
	w, told := routed(t,
		[]policy.Channel{{Name: "night", Kind: "pagerduty"}, {Name: "day", Kind: "slack"}},
		policy.Route{Match: policy.AlertMatch{MinSeverity: risk.High, Hours: at(20, 8)}, Channels: []string{"night"}},
		policy.Route{Match: policy.AlertMatch{MinSeverity: risk.High, Hours: at(8, 20), Lifecycle: []string{"trigger", "update"}}, Channels: []string{"day"}},
	)
	clock := w.sim.Clock()
	until := func(hour int) {
		for clock.Now().UTC().Hour() != hour {
			clock.Advance(30 * time.Minute)
		}
	}
	want := func(day, night []alert.Lifecycle) {
		t.Helper()
		if d, n := told.lives("day", "CMK-050"), told.lives("night", "CMK-050"); !slices.Equal(d, day) || !slices.Equal(n, night) {
			t.Fatalf("day %v, night %v; want %v, %v", d, n, day, night)
		}
	}
	grant := func() {
		w.sim.Assign(root+"Microsoft.KeyVault/vaults/kv-a", azuresim.RoleCryptoServiceEncryptionUser, who)
	}
	until(22)
	w.sim.Unassign(who)
	w.hint()
	w.run(1)
	want(nil, []alert.Lifecycle{alert.Trigger})
	until(10)
	grant()
	w.hint()
	w.run(1)
	want(nil, []alert.Lifecycle{alert.Trigger, alert.Resolve})
	until(12) // a new episode is of the day, and only of the day
	w.sim.Unassign(who)
	w.hint()
	w.run(1)
	until(22)
	grant()
	w.hint()
	w.run(1)
	want([]alert.Lifecycle{alert.Trigger, alert.Resolve}, []alert.Lifecycle{alert.Trigger, alert.Resolve})
}
