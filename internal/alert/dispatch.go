package alert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"cmkguard/internal/fault"
	"cmkguard/internal/journal"
	"cmkguard/internal/store"
)

const (
	sendTimeout  = 10 * time.Second
	maxTries     = 12
	firstDelay   = 5 * time.Second
	longestDelay = 30 * time.Minute
	// longestAsked bounds Retry-After: a receiver may slow us down, not silence us.
	longestAsked = time.Hour
	keepSent     = 7 * 24 * time.Hour
	maxErrorText = 500
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
}

// NewDispatcher returns a Dispatcher; jitter gives numbers in [0, 1).
func NewDispatcher(state store.State, rec Recorder, channels map[string]Channel, now func() time.Time, jitter func() float64) *Dispatcher {
	return &Dispatcher{state: state, rec: rec, channels: channels, now: now, jitter: jitter}
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
	parcels, err := readOutbox(ctx, d.state, partition)
	problems := []error{err}
	queue := waiting{}
	for i := range parcels {
		p := &parcels[i]
		problems = append(problems, d.handle(ctx, partition, p, queue))
		if p.n.State != Pending {
			continue
		}
		left++
		if next.IsZero() || p.n.NextAt.Before(next) {
			next = p.n.NextAt
		}
	}
	return left, next, errors.Join(problems...)
}

// handle does what is due with one row, and leaves in p how it stands.
func (d *Dispatcher) handle(ctx context.Context, partition string, p *parcel, queue waiting) error {
	var err error
	switch p.n.State {
	case Pending:
		if at := queue.until(p.n); at.After(p.n.NextAt) {
			p.n.NextAt = at // in this call only: the row keeps its time
		}
		if ctx.Err() == nil && !p.n.NextAt.After(d.now()) {
			err = d.deliver(ctx, partition, p, queue)
		}
		if p.n.State == Pending {
			queue[sameIncident(p.n)] = p.n.NextAt
		}
	case Sent:
		if p.n.SentAt != nil && d.now().Sub(*p.n.SentAt) > keepSent {
			err = d.drop(ctx, partition, p.row)
		}
	case Poison: // kept, to be replayed
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

func (d *Dispatcher) drop(ctx context.Context, partition string, row store.Row) error {
	_, err := d.state.Apply(ctx, partition, []store.Op{{Kind: store.Delete, Key: row.Key, ETag: row.ETag}})
	if fault.Is(err, fault.Conflict) {
		return nil // somebody else did
	}
	return err
}

// deliver tries once and commits what came of it. If the commit fails the row
// stays as it was and is sent again, under the same alert id.
func (d *Dispatcher) deliver(ctx context.Context, partition string, p *parcel, queue waiting) error {
	id, err := d.send(ctx, p.n.Channel, p.n.Alert)
	n, text := d.after(p.n, id, err)
	if n.State == Pending {
		queue[n.Channel] = n.NextAt
	}
	var entries []journal.Entry
	if text != "" {
		entries = append(entries, journal.Entry{Kind: journal.KindReceipt, Subject: n.Alert.Subject, Ref: n.Alert.ID, Text: text, Body: receipt(n)})
	}
	if n.State == Poison {
		if err := d.list(ctx, partition, n.ID); err != nil {
			return err // the row stays as it was: it is sent, and given up, once more
		}
	}
	op := store.Op{Kind: store.Replace, Key: p.row.Key, Value: encode(n), ETag: p.row.ETag}
	if err := d.rec.Commit(ctx, partition, entries, op); err != nil {
		if fault.Is(err, fault.Conflict) {
			return nil // another dispatcher was faster; what it wrote is read next time
		}
		return err
	}
	p.n = n
	return nil
}

// after returns the delivery as one more attempt left it, and the journal's
// line if it is over.
func (d *Dispatcher) after(n Notification, providerID string, err error) (Notification, string) {
	now := d.now().UTC()
	n.Attempt++
	title := Clean(n.Alert.Title, 300)
	if err == nil {
		n.State, n.SentAt, n.ProviderID, n.LastError = Sent, &now, providerID, ""
		return n, fmt.Sprintf("told %s: %s", n.Channel, title)
	}
	n.LastError = Clean(err.Error(), maxErrorText)
	if hopeless(err) || n.Attempt >= maxTries {
		n.State = Poison
		return n, fmt.Sprintf("gave up telling %s after %d attempts (%s): %s", n.Channel, n.Attempt, fault.KindOf(err), title)
	}
	n.NextAt = now.Add(d.delay(n.Attempt, fault.RetryAfter(err)))
	return n, ""
}

func (d *Dispatcher) send(ctx context.Context, channel string, a Alert) (string, error) {
	ch, ok := d.channels[channel]
	if !ok {
		return "", fault.New(fault.Invalid, "alert.send", "channel %q is not configured (policy: channels)", channel)
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	return ch.Send(ctx, a)
}

func hopeless(err error) bool { return fault.Is(err, fault.Invalid) || fault.Is(err, fault.Denied) }

// delay doubles from 5 s to 30 min, spread over its upper half so that many
// deliveries do not come back together; never shorter than the channel asked,
// within longestAsked.
func (d *Dispatcher) delay(attempt int, asked time.Duration) time.Duration {
	w := firstDelay
	for range min(attempt-1, 10) {
		w *= 2
	}
	w = min(w, longestDelay)
	return max(min(asked, longestAsked), w/2+time.Duration(d.jitter()*float64(w/2)))
}

func receipt(n Notification) json.RawMessage {
	return encode(struct {
		Channel    string            `json:"channel"`
		State      NotificationState `json:"state"`
		Attempt    int               `json:"attempt"`
		ProviderID string            `json:"providerId"`
		Dedup      string            `json:"dedupKey"`
		Error      string            `json:"error,omitempty"`
	}{n.Channel, n.State, n.Attempt, n.ProviderID, n.Alert.DedupKey, n.LastError})
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
