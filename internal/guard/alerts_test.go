package guard_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/hold"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/incident"
	"cmkguard/internal/policy"
	"cmkguard/internal/risk"
)

// byName keeps what each channel was told, in its order.
type byName struct {
	mu   sync.Mutex
	got  map[string][]alert.Alert
	down map[string]bool // channels that cannot be reached
}

// on is the channel of the name.
type on struct {
	b    *byName
	name string
}

func (c on) Send(_ context.Context, a alert.Alert) (string, error) {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	if c.b.down[c.name] {
		return "", fault.New(fault.Transient, "channel", "503")
	}
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

// states are how the check's deliveries to the channel stand, in the order in which
// their alerts were made.
func (w *world) states(s event.Subject, channel, check string) (out []alert.NotificationState) {
	w.t.Helper()
	ns, err := alert.Outbox(ctx, w.b.State, incident.Partition(s))
	must(w.t, err)
	for _, n := range ns {
		if n.Channel == channel && n.Alert.Check == check {
			out = append(out, n.State)
		}
	}
	return out
}

func people() ([]policy.Channel, policy.Route) {
	return []policy.Channel{{Name: "chat", Kind: "slack"}, {Name: "bus", Kind: "eventgrid"}},
		policy.Route{Match: policy.AlertMatch{MinSeverity: risk.Info}, Channels: []string{"chat", "bus"}}
}

// A deleted vault is told once, and what follows from it only when it is still so
// after the vault is back: its key is back with it, its grants are not.
func TestADeletedVaultMutesWhatFollowsFromIt(t *testing.T) {
	t.Parallel()
	channels, route := people()
	w, told := routed(t, channels, route)
	cluster := event.Subject{Kind: event.SubjectCluster, ID: w.cluster.Key()}
	w.sim.ChangeVault(host, func(v *azuresim.Vault) { v.Deleted = true })
	w.sim.Unassign(who)
	w.hint()
	w.run(1)
	if got := told.lives("chat", "CMK-036"); !slices.Equal(got, []alert.Lifecycle{alert.Trigger}) {
		t.Fatalf("the vault: %v", got)
	}
	if got := told.lives("chat", "CMK-050"); len(got) != 0 || !slices.Equal(w.states(cluster, "chat", "CMK-050"), []alert.NotificationState{alert.Pending}) {
		t.Fatalf("what follows from it: told %v, %v", got, w.states(cluster, "chat", "CMK-050"))
	}
	if got := told.lives("bus", "CMK-050"); !slices.Equal(got, []alert.Lifecycle{alert.Notice}) {
		t.Errorf("a topic is for machines and gets everything: %v", got)
	}
	if !w.journalHas("held for chat by the open incident CMK-036/" + incident.Partition(cluster)) {
		t.Error("the journal does not say that it was held")
	}
	w.sim.ChangeVault(host, func(v *azuresim.Vault) { v.Deleted = false })
	w.hint()
	w.run(1)
	w.sim.Clock().Advance(2 * time.Minute)
	must(t, w.g.Sweep(ctx))
	if got := told.lives("chat", "CMK-050"); !slices.Equal(got, []alert.Lifecycle{alert.Trigger}) {
		t.Errorf("the vault is back and the access is not: told %v", got)
	}
}

// A silence holds what it names, in a world where the problem is looked at again and
// again; its end is told, with what it kept back, and so is what is still wrong.
func TestASilenceIsKeptToldAndRecorded(t *testing.T) {
	t.Parallel()
	channels, route := people()
	w, told := routed(t, channels, route)
	cluster := event.Subject{Kind: event.SubjectCluster, ID: w.cluster.Key()}
	s, err := w.g.Silence(ctx, hold.Silence{
		Owner: "anna", Reason: "change 7", Match: policy.AlertMatch{Vaults: []string{"kv-a"}, Checks: []string{"CMK-050"}}, Until: w.sim.Clock().Now().Add(3 * time.Hour),
	}, "the holder of the state")
	must(t, err)
	w.sim.Unassign(who)
	w.hint()
	w.run(2)
	if got := told.lives("chat", "CMK-050"); len(got) != 0 || !slices.Equal(w.states(cluster, "chat", "CMK-050"), []alert.NotificationState{alert.Pending}) {
		t.Fatalf("told %v, %v", got, w.states(cluster, "chat", "CMK-050"))
	}
	w.sim.Clock().Advance(time.Hour)
	for range 2 {
		must(t, w.g.Sweep(ctx))
		w.sim.Clock().Advance(2 * time.Minute)
	}
	if got := told.lives("chat", "CMK-050"); !slices.Equal(got, []alert.Lifecycle{alert.Trigger}) {
		t.Fatalf("after its end: told %v", got)
	}
	over := slices.IndexFunc(told.got["chat"], func(a alert.Alert) bool { return a.Title == "A silence is over: "+s.ID+" of anna" })
	if over < 0 || !strings.Contains(told.got["chat"][over].What, "kept back 1 alerts") {
		for _, a := range told.got["chat"] {
			t.Log(a.Title, a.What)
		}
		t.Fatal("its end was not told")
	}
	for _, text := range []string{"added by the holder of the state until", "held for chat until", "is over; it kept back 1 alerts"} {
		if !w.journalHas(text) {
			t.Errorf("the journal does not say %q", text)
		}
	}
	if _, err := w.g.Unsilence(ctx, s.ID, "ops", ""); !fault.Is(err, fault.Invalid) {
		t.Errorf("one that is over was ended: %v", err)
	}
}

// A problem that comes and goes within a silence is told to nobody, and both its ends
// are in the record.
func TestWhatHealsWithinASilenceIsTheRecordsOnly(t *testing.T) {
	t.Parallel()
	channels, route := people()
	w, told := routed(t, channels, route)
	cluster := event.Subject{Kind: event.SubjectCluster, ID: w.cluster.Key()}
	s, err := w.g.Silence(ctx, hold.Silence{
		Owner: "anna", Reason: "change 7", Match: policy.AlertMatch{Subjects: []string{w.cluster.Name()}}, Until: w.sim.Clock().Now().Add(24 * time.Hour),
	}, "ops")
	must(t, err)
	w.sim.Unassign(who)
	w.hint()
	w.run(1)
	w.sim.Assign(root+"Microsoft.KeyVault/vaults/kv-a", azuresim.RoleCryptoServiceEncryptionUser, who)
	w.hint()
	w.run(1)
	if got := told.lives("chat", "CMK-050"); len(got) != 0 || !slices.Equal(w.states(cluster, "chat", "CMK-050"), []alert.NotificationState{alert.Dropped, alert.Dropped}) {
		t.Fatalf("told %v, %v", got, w.states(cluster, "chat", "CMK-050"))
	}
	if _, err := w.g.Unsilence(ctx, s.ID, "ops", ""); err != nil {
		t.Fatal(err)
	}
	must(t, w.g.Sweep(ctx))
	if !w.journalHas("told chat nothing: it healed while it was held") || !w.journalHas("ended by ops") || !w.journalHas("is over; it kept back 1 alerts") {
		t.Error("the journal does not say it")
	}
}
