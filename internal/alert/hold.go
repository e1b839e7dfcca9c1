package alert

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kinds of hold.
const (
	HoldSilence    = "silence"    // a person asked for it
	HoldMute       = "mute"       // a window of the policy
	HoldInhibition = "inhibition" // it follows from another incident that is open
	HoldFlap       = "flap"       // its incident comes and goes
)

const (
	// heldLook is how often what is held is looked at again: just above the sweep's
	// minute, which comes by itself.
	heldLook = 61 * time.Second
	// heldSettles is how long a delivery is held before it may be dropped as healed: a
	// process that read it before it was held is past it by then.
	heldSettles = 30 * time.Second
	maxRun      = 40 // deliveries of one incident that are written in one batch
)

// Hold is what keeps an alert from a channel for a while.
type Hold struct {
	Kind  string     `json:"kind"`
	ID    string     `json:"id"`              // of the silence, the window or the incident
	Why   string     `json:"why"`             // as half a sentence: "silence s-1 of anna: maintenance"
	Until *time.Time `json:"until,omitempty"` // nil: until something changes
}

// Held says what holds a delivery, and since when anything has.
type Held struct {
	Hold
	Since time.Time `json:"since"`
}

// Holder says what holds alerts. It is asked when an alert would be sent, so that
// what was added or ended meanwhile counts.
type Holder interface {
	// Look reads what the judgements of one call of Dispatch rest on.
	Look(ctx context.Context) (Judge, error)
}

// Judge judges single alerts.
type Judge interface {
	// Hold returns what keeps the alert from the channel now, or nil.
	Hold(ctx context.Context, a Alert, channel string) (*Hold, error)
	// Mark notes that the hold keeps a delivery back, before that is written to its
	// outbox: it may come twice for one.
	Mark(ctx context.Context, h Hold, n Notification) error
}

// pick returns the delivery to be sent now: x, or a later one of its incident, to
// which what was held yields; nil if nothing is to be sent. Held deliveries are
// marked; a problem that came and went while it was held is dropped, because nobody
// was told of either.
func (p *pass) pick(ctx context.Context, x *parcel) (*parcel, error) {
	p.look(ctx)
	run := p.run(x)
	holds, free, err := p.judgeRun(ctx, run)
	switch {
	case err != nil:
		return nil, err
	case free < 0:
		return nil, p.keep(ctx, run, holds)
	case free == 0, x.n.waitsSince().IsZero() && !x.n.Yields && holds[0] == nil:
		return x, nil
	}
	switch fate, err := p.healed(ctx, run[:free+1]); {
	case err != nil:
		return nil, err
	case fate == healedNow:
		return nil, p.drop(ctx, run[:free+1])
	case fate == healedSoon:
		return nil, p.keep(ctx, run, holds)
	case run[free].n.NextAt.After(p.now()):
		x.n.NextAt = run[free].n.NextAt
		return nil, nil
	}
	return run[free], p.yield(ctx, run[:free])
}

// look asks the holder, once in a call. Where it cannot say, nothing is held: noise
// is better than silence.
func (p *pass) look(ctx context.Context) {
	if p.judge != nil {
		return
	}
	if p.judge = Judge(nobody{}); p.rules.Holds == nil {
		return
	}
	judge, err := p.rules.Holds.Look(ctx)
	if err != nil {
		p.problems = append(p.problems, err)
		return
	}
	p.judge = judge
}

// nobody holds nothing.
type nobody struct{}

func (nobody) Hold(context.Context, Alert, string) (*Hold, error) { return nil, nil }
func (nobody) Mark(context.Context, Hold, Notification) error     { return nil }

// ofState reports whether the alert says how an incident stands, so that a later one
// says it better. Other notices tell different things under one key and are each for
// themselves.
func ofState(a Alert) bool { return a.DedupKey != "" && (a.Lifecycle != Notice || a.Check != "") }

// run is the deliveries of one channel and incident that wait, in their order, from
// x on.
func (p *pass) run(x *parcel) []*parcel {
	out := []*parcel{x}
	if !ofState(x.n.Alert) {
		return out
	}
	at := slices.Index(p.parcels, x)
	for _, o := range p.parcels[at+1:] {
		if sameIncident(o.n) != sameIncident(x.n) || o.n.State != Pending {
			continue
		}
		if !ofState(o.n.Alert) {
			break
		}
		out = append(out, o)
	}
	return out
}

// judgeRun says what holds each delivery, and which is the last that nothing holds;
// -1 if all are held. An incident that comes and goes holds what was made since it
// does.
func (p *pass) judgeRun(ctx context.Context, run []*parcel) (holds []*Hold, free int, err error) {
	holds, free = make([]*Hold, len(run)), -1
	settles, since := p.settles(run)
	for i, x := range run {
		if holds[i] = settles; settles == nil || i < since {
			if holds[i], err = p.judge.Hold(ctx, x.n.Alert, x.n.Channel); err != nil {
				return nil, 0, err
			}
		}
		if holds[i] == nil {
			free = i
		}
	}
	for free >= 0 && free < len(run)-1 && run[free].n.Yields {
		free++ // what it yielded to may have been told, though it would be held now
	}
	return holds, free, nil
}

// settles is the hold of an incident that comes and goes, from which delivery on; nil
// for any other.
func (p *pass) settles(run []*parcel) (h *Hold, since int) {
	since = -1
	for i, x := range run {
		at := x.n.Alert.Settles
		if at == nil || !p.people(x.n.Channel) {
			continue
		}
		if since < 0 { // though its own time is over: the incident turned again since
			since = i
		}
		if at.After(p.now()) && (h == nil || at.After(*h.Until)) {
			h = &Hold{Kind: HoldFlap, ID: x.n.Alert.DedupKey, Why: "it comes and goes", Until: at}
		}
	}
	return h, since
}

// people reports whether somebody reads the channel.
func (d *Dispatcher) people(channel string) bool { return slices.Contains(d.rules.Everybody, channel) }

// keep marks what is held, with the journal's line where that is new, and lets it
// wait.
func (p *pass) keep(ctx context.Context, run []*parcel, holds []*Hold) error {
	now := p.now().UTC()
	next := now.Add(heldLook)
	var fresh []*parcel
	var ns []Notification
	var b batch
	for i, x := range run[:min(len(run), maxRun)] {
		h := holds[i]
		if h == nil || x.n.Held != nil && x.n.Held.Kind == h.Kind && x.n.Held.ID == h.ID {
			continue
		}
		if err := p.judge.Mark(ctx, *h, x.n); err != nil {
			return err
		}
		n := x.stored
		n.Held = &Held{Hold: *h, Since: now}
		if x.n.Held != nil {
			n.Held.Since = x.n.Held.Since
		}
		b.entries = append(b.entries, p.entry(n, fmt.Sprintf("held for %s%s by %s: %s", n.Channel, untilWhen(h.Until), h.Why, Clean(n.Alert.Title, maxTitle))))
		fresh, ns = append(fresh, x), append(ns, n)
	}
	err := p.commitAll(ctx, fresh, ns, b)
	if h := holds[0]; h != nil && h.Until != nil && h.Until.Before(next) {
		next = *h.Until
	}
	run[0].n.NextAt = next // in this call only
	return err
}

// yield marks what gives way to a later delivery before that is sent: whatever
// happens then, it is never told after it.
func (p *pass) yield(ctx context.Context, run []*parcel) error {
	for len(run) > 0 {
		part := run[:min(len(run), maxRun)]
		run = run[len(part):]
		var fresh []*parcel
		var ns []Notification
		for _, x := range part {
			if !x.n.Yields {
				n := x.stored
				n.Yields = true
				fresh, ns = append(fresh, x), append(ns, n)
			}
		}
		if err := p.commitAll(ctx, fresh, ns, batch{}); err != nil {
			return err
		}
	}
	return nil
}

func untilWhen(at *time.Time) string {
	if at == nil {
		return ""
	}
	return " until " + at.UTC().Format(timeLayout)
}

// fate is what becomes of a run that begins with a problem and ends with its end.
type fate int

const (
	toldOn     fate = iota // people are told: they know of it, or may
	healedNow              // nobody can know of it
	healedSoon             // the same, but another process may be about to tell
)

// healed says whether the run begins with a problem and ends with its end, and nobody
// can have been told of any of it.
func (p *pass) healed(ctx context.Context, run []*parcel) (fate, error) {
	first, last := run[0].n, run[len(run)-1].n
	begins := first.Alert.Lifecycle == Trigger || first.Alert.Lifecycle == Notice
	if len(run) < 2 || !begins || last.Alert.Lifecycle != Resolve || p.knows(run[0]) {
		return toldOn, nil
	}
	k, err := p.readDesk(ctx, first.Channel)
	if err != nil {
		return toldOn, err
	}
	for _, x := range run {
		if k.let(x.n.ID) || x.n.Attempt > 0 || len(x.n.StoodIn) > 0 { // somebody may have it, though no receipt says so
			return toldOn, nil
		}
	}
	since := first.waitsSince()
	if since.IsZero() { // it yielded before it was held
		since = first.Alert.At
	}
	if p.now().Sub(since) < heldSettles {
		return healedSoon, nil
	}
	return healedNow, nil
}

// waitsSince is since when it was held, or waits to be told with others; zero: neither.
func (n Notification) waitsSince() time.Time {
	switch {
	case n.Held != nil:
		return n.Held.Since
	case n.Gathered != nil:
		return n.Gathered.Since
	}
	return time.Time{}
}

// knows reports whether the channel was last told that the incident is open.
func (p *pass) knows(x *parcel) bool {
	open := false
	for _, o := range p.parcels[:slices.Index(p.parcels, x)] {
		if sameIncident(o.n) == sameIncident(x.n) && (o.n.State == Sent || o.n.State == Folded) && ofState(o.n.Alert) {
			open = o.n.Alert.Lifecycle != Resolve
		}
	}
	return open
}

// drop ends deliveries of a problem that healed while it was held, the oldest first:
// a crash in between leaves an end without its beginning, which harms nobody.
func (p *pass) drop(ctx context.Context, run []*parcel) error {
	for len(run) > 0 {
		part := run[:min(len(run), maxRun)]
		run = run[len(part):]
		if err := p.end(ctx, part, Dropped, "", "told "+part[0].n.Channel+" nothing: it healed while it was held"); err != nil {
			return err
		}
	}
	return nil
}

// fold ends a delivery that yielded to a later one of its incident, which was sent.
func (p *pass) fold(ctx context.Context, x *parcel, into Notification) error {
	if into.State == Folded { // the later one was told in a digest
		return p.end(ctx, []*parcel{x}, Folded, into.Into, "folded for "+x.n.Channel+" into the digest "+into.Into)
	}
	return p.end(ctx, []*parcel{x}, Folded, into.Alert.ID, "folded for "+x.n.Channel+" into the later message "+into.Alert.ID)
}

// end writes that deliveries are over without having been sent themselves.
func (p *pass) end(ctx context.Context, xs []*parcel, state NotificationState, into, text string) error {
	now := p.now().UTC()
	var b batch
	ns := make([]Notification, len(xs))
	for i, x := range xs {
		n := x.stored
		n.State, n.OverAt, n.Into = state, &now, into
		ns[i] = n
		b.entries = append(b.entries, p.entry(n, text+": "+Clean(n.Alert.Title, maxTitle)))
	}
	if err := p.commitAll(ctx, xs, ns, b); err != nil {
		return err
	}
	for _, n := range ns {
		p.note(Event{Channel: n.Channel, What: n.State, Age: now.Sub(n.Alert.At)})
	}
	return nil
}

// yielded returns the later message of the incident that was told, by itself or in a
// digest, to which a held delivery yielded; or nil.
func (p *pass) yielded(x *parcel) *parcel {
	if !x.n.Yields {
		return nil
	}
	var out *parcel
	for _, o := range p.parcels[slices.Index(p.parcels, x)+1:] {
		if sameIncident(o.n) == sameIncident(x.n) && (o.n.State == Sent || o.n.State == Folded) && ofState(o.n.Alert) {
			out = o
		}
	}
	return out
}

// heldNote is what an alert says that was held: for how long, and by what.
func heldNote(h Held, now time.Time) string {
	return strings.TrimSpace(fmt.Sprintf("held back for %s, because of %s", count(now.Sub(h.Since)), h.Why))
}
