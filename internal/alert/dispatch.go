package alert

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cmkguard/internal/fault"
	"cmkguard/internal/journal"
	"cmkguard/internal/store"
)

const (
	sendTimeout  = 10 * time.Second
	firstDelay   = 5 * time.Second
	longestDelay = 5 * time.Minute // a channel that is back has what waited within these
	// longestAsked bounds Retry-After: a receiver may slow us down, not silence us.
	longestAsked = time.Hour
	// giveUpAfter is how long a delivery is tried; of refused credentials, which
	// people have to mend, a week.
	giveUpAfter     = 24 * time.Hour
	giveUpAuthAfter = 7 * 24 * time.Hour
	keepSent        = 7 * 24 * time.Hour
	maxErrorText    = 500
)

// Recorder commits a receipt with the delivery that it proves.
type Recorder interface {
	Commit(ctx context.Context, partition string, entries []journal.Entry, ops ...store.Op) error
}

// Dispatcher delivers what is in outboxes, each at least once: a crash between
// the sending and its receipt sends again, under the same alert id.
type Dispatcher struct {
	state    store.State
	rec      Recorder
	channels map[string]Channel
	now      func() time.Time
	jitter   func() float64
	rules    Rules
}

// NewDispatcher returns a Dispatcher; jitter gives numbers in [0, 1).
func NewDispatcher(state store.State, rec Recorder, channels map[string]Channel, now func() time.Time, jitter func() float64) *Dispatcher {
	return &Dispatcher{state: state, rec: rec, channels: channels, now: now, jitter: jitter}
}

// batch is what is written together.
type batch struct {
	entries []journal.Entry
	ops     []store.Op
}

// pass is one call of Dispatch: what it read, and what it learned on its way.
type pass struct {
	*Dispatcher
	partition string
	parcels   []*parcel
	resting   waiting
	desks     map[string]deskState // as this call first saw them
	judge     Judge                // of holds; nil until it is needed
	added     int                  // deliveries that this call put into the outbox
	alone     map[string]bool      // deliveries that are told by themselves, though they may have waited for others
	problems  []error
}

// Dispatch sends what is due in one partition, the oldest alert first. It
// returns how many deliveries are still to be made and when the next is due.
//
// A channel that fails stands in nobody's way, and costs one time-out per call:
// its other deliveries wait for the next call without losing an attempt. On one
// channel the alerts of one incident keep their order, so that "resolved" never
// arrives before "broken": a later one waits until the earlier is sent or given
// up. Only trouble with the store is an error.
func (d *Dispatcher) Dispatch(ctx context.Context, partition string) (left int, next time.Time, err error) {
	var problem error
	if Gathers(partition) {
		left, next, problem = d.gather(ctx, partition)
	}
	parcels, err := readOutbox(ctx, d.state, partition)
	p := &pass{problems: []error{problem, err}, Dispatcher: d, partition: partition, parcels: parcels, resting: waiting{}, desks: map[string]deskState{}, alone: map[string]bool{}}
	for _, x := range parcels {
		p.problems = append(p.problems, p.handle(ctx, x))
		if x.n.State != Pending {
			continue
		}
		left++
		if next.IsZero() || x.n.NextAt.Before(next) {
			next = x.n.NextAt
		}
	}
	if p.added > 0 { // the next call reads them
		left, next = left+p.added, d.now()
	}
	return left, next, errors.Join(p.problems...)
}

// handle does what is due with one row, and leaves in x how it stands.
func (p *pass) handle(ctx context.Context, x *parcel) error {
	if x.n.State != Pending {
		return p.tidy(ctx, x)
	}
	var err error
	if at := p.resting.until(x.n); at.After(x.n.NextAt) {
		x.n.NextAt = at // in this call only: the row keeps its time
	}
	switch {
	case ctx.Err() != nil:
	case !x.n.NextAt.After(p.now()):
		err = p.deliver(ctx, x)
	case len(x.n.StoodIn) == 0 && (x.n.Attempt > 0 || !p.resting[x.n.Channel].IsZero()): // its channel may be down
		err = p.standInIfDown(ctx, x)
	}
	if x.n.State == Pending {
		p.resting[sameIncident(x.n)] = x.n.NextAt
	}
	return err
}

// tidy takes away a delivery that was over long ago. What was given up is kept, to
// be replayed.
func (p *pass) tidy(ctx context.Context, x *parcel) error {
	over, keep := cmp.Or(x.n.SentAt, x.n.OverAt), keepSent
	if x.n.Stands > 0 {
		keep = gatheredFor
	}
	if x.n.State == Poison || over == nil || p.now().Sub(*over) <= keep || p.recalls(x) {
		return nil
	}
	_, err := p.state.Apply(ctx, p.partition, []store.Op{{Kind: store.Delete, Key: x.row.Key, ETag: x.row.ETag}})
	if fault.Is(err, fault.Conflict) {
		return nil // somebody else did
	}
	return err
}

// waiting holds until when deliveries wait for another of the same call: by
// channel, and by channel and incident.
type waiting map[string]time.Time

func sameIncident(n Notification) string { return n.Channel + "\x00" + n.Alert.DedupKey }

func (w waiting) until(n Notification) time.Time {
	at := w[n.Channel]
	if n.Alert.DedupKey != "" && w[sameIncident(n)].After(at) {
		at = w[sameIncident(n)]
	}
	return at
}

// commit writes a delivery as it stands after something happened to it. If that
// fails, the row stays as it was.
func (p *pass) commit(ctx context.Context, x *parcel, n Notification, b batch) error {
	return p.commitAll(ctx, []*parcel{x}, []Notification{n}, b)
}

// commitAll is the same of several, in one batch.
func (p *pass) commitAll(ctx context.Context, xs []*parcel, ns []Notification, b batch) error {
	if len(xs) == 0 {
		return nil
	}
	added := len(b.ops)
	for i, x := range xs {
		b.ops = append(b.ops, store.Op{Kind: store.Replace, Key: x.row.Key, Value: encode(ns[i]), ETag: x.row.ETag})
	}
	if err := p.rec.Commit(ctx, p.partition, b.entries, b.ops...); err != nil {
		if fault.Is(err, fault.Conflict) {
			return nil // another dispatcher was faster; what it wrote is read next time
		}
		return err
	}
	for i, x := range xs {
		x.n, x.stored, x.stale = ns[i], ns[i], true
	}
	p.added += added
	return nil
}

// entry is the journal's line about a delivery.
func (p *pass) entry(n Notification, text string) journal.Entry {
	return journal.Entry{Kind: journal.KindReceipt, Subject: n.Alert.Subject, Ref: n.Alert.ID, Text: text, Body: receipt(n)}
}

// Direct tells people without any storage, for when the record cannot be
// written: the alert says so, and is recorded when storage returns. It returns
// one error per channel that was not told; nobody was told if there are as
// many as channels.
func (d *Dispatcher) Direct(ctx context.Context, a Alert, channels []string) []error {
	a.Unrecorded = true
	if a.At.IsZero() {
		a.At = d.now().UTC()
	}
	var problems []error
	for _, c := range channels {
		if _, err := d.send(ctx, c, a); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", c, err))
		}
	}
	return problems
}

// oldestFirst is the order of deliveries: by when their alerts were made, and of the
// same moment a problem before its end.
func oldestFirst(a, b *parcel) int {
	return cmp.Or(a.n.Alert.At.Compare(b.n.Alert.At), cmp.Compare(stage(a.n.Alert), stage(b.n.Alert)), cmp.Compare(a.row.Key, b.row.Key))
}

func stage(a Alert) int {
	switch a.Lifecycle {
	case Trigger:
		return 0
	case Resolve:
		return 2
	case Update, Acknowledge, Notice:
	}
	return 1
}

// row returns the delivery of the id in this outbox, or nil.
func (p *pass) find(id string) *parcel {
	if i := slices.IndexFunc(p.parcels, func(x *parcel) bool { return x.n.ID == id }); i >= 0 {
		return p.parcels[i]
	}
	return nil
}
