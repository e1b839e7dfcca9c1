package alert

import (
	"context"
	"slices"
	"strings"

	"cmkguard/internal/risk"
)

// standIn puts the alert into the outbox for the channels that stand in for one
// that cannot be reached. The channel's own copy stays, until it is back or too old.
func (p *pass) standIn(ctx context.Context, x *parcel, why string) error {
	n := x.n
	at := n.NextAt
	n.NextAt = x.stored.NextAt // the row keeps its time
	b := p.withStandIns(ctx, &n, batch{}, why)
	if len(b.ops) == 0 {
		return nil
	}
	err := p.commit(ctx, x, n, b)
	x.n.NextAt = at
	return err
}

// standInIfDown has others told of what waits for its next attempt, once the breaker
// of its channel is open.
func (p *pass) standInIfDown(ctx context.Context, x *parcel) error {
	if len(p.standIns(x.n)) == 0 {
		return nil
	}
	k, err := p.desk(ctx, x.n.Channel)
	if err != nil || !k.Breaker.open() {
		return err
	}
	return p.standIn(ctx, x, k.Breaker.why())
}

// desk is the channel's desk as this call first saw it.
func (p *pass) desk(ctx context.Context, channel string) (deskState, error) {
	if k, ok := p.desks[channel]; ok {
		return k, nil
	}
	k, err := p.readDesk(ctx, channel)
	if err == nil {
		p.desks[channel] = k
	}
	return k, err
}

// withStandIns adds the stand-ins that the delivery has not had yet, and names them
// in it.
func (p *pass) withStandIns(ctx context.Context, n *Notification, b batch, why string) batch {
	var names []string
	for _, name := range p.standIns(*n) {
		if slices.Contains(n.StoodIn, name) || p.find(notificationID(n.Alert.ID, name)) != nil || !p.reachable(ctx, name) {
			continue // it is told already, or cannot be told either
		}
		names = append(names, name)
		b.ops = append(b.ops, Rows([]Notification{p.copyFor(*n, name, why)})...)
	}
	if len(names) > 0 {
		n.StoodIn = append(slices.Clone(n.StoodIn), names...)
		b.entries = append(b.entries, p.entry(*n, strings.Join(names, ", ")+" told in the place of "+n.Channel+", "+why+": "+Clean(n.Alert.Title, maxTitle)))
	}
	return b
}

// standIns are the channels that a delivery's route names; of a severe alert without
// any, everybody: it does not wait for a channel to come back. What stands in itself
// has none.
func (d *Dispatcher) standIns(n Notification) []string {
	switch {
	case n.StandsInFor != "", n.Stands > 0: // each that a digest stands for has its own
		return nil
	case len(n.Fallback) > 0:
		return n.Fallback
	case n.Alert.Severity.Rank() >= risk.High.Rank():
		return slices.DeleteFunc(slices.Clone(d.rules.Everybody), func(s string) bool { return s == n.Channel })
	}
	return nil
}

// copyFor is the delivery of the same alert to a stand-in.
func (p *pass) copyFor(n Notification, name, why string) Notification {
	a := n.Alert
	a.Notes = append(slices.Clone(a.Notes), "you are told in the place of "+n.Channel+": "+why)
	out := Notifications(a, []Target{{Channel: name, Why: "stands in for " + n.Channel}}, p.now())[0]
	out.StandsInFor = n.Channel
	return out
}

// reachable reports whether the channel is there and its breaker closed.
func (p *pass) reachable(ctx context.Context, name string) bool {
	if _, ok := p.channels[name]; !ok {
		return false
	}
	s, err := p.readDesk(ctx, name)
	return err == nil && !s.Breaker.open()
}

// follow has those who stood in for an earlier alert of the incident told of what
// becomes of it, as long as they were told of that one.
func (p *pass) follow(ctx context.Context, x *parcel) error {
	n := x.n
	if n.Alert.DedupKey == "" || n.StandsInFor != "" {
		return nil
	}
	var b batch
	for _, name := range p.stoodInBefore(x) {
		if slices.Contains(n.StoodIn, name) || p.find(notificationID(n.Alert.ID, name)) != nil {
			continue
		}
		n.StoodIn = append(slices.Clone(n.StoodIn), name)
		b.ops = append(b.ops, Rows([]Notification{p.copyFor(n, name, "you were told of this problem in its place before")})...)
	}
	if len(b.ops) == 0 {
		return nil
	}
	return p.commit(ctx, x, n, b)
}

// stoodInBefore are the channels that were told of the incident's present episode in
// the place of the delivery's.
func (p *pass) stoodInBefore(x *parcel) []string {
	var out []string
	for _, o := range p.parcels {
		switch {
		case o == x:
			return out // the rest is later
		case sameIncident(o.n) != sameIncident(x.n):
		case o.n.Alert.Lifecycle == Resolve:
			out = nil
		default:
			out = append(out, o.n.StoodIn...)
		}
	}
	return out
}
