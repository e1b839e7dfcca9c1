package alert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"cmkguard/internal/canonical"
	"cmkguard/internal/fault"
	"cmkguard/internal/journal"
	"cmkguard/internal/store"
)

const (
	outboxPrefix = "outbox~"
	sendTimeout  = 10 * time.Second
	maxTries     = 12
	firstDelay   = 5 * time.Second
	longestDelay = 30 * time.Minute
	keepSent     = 7 * 24 * time.Hour
)

// Notifications returns one delivery of a per channel, due at once.
func Notifications(a Alert, channels []string, now time.Time) []Notification {
	out := make([]Notification, 0, len(channels))
	for _, c := range channels {
		out = append(out, Notification{
			Schema: 1, ID: store.Name("n", a.ID+"|"+c), Alert: a, Channel: c, State: Pending, NextAt: now.UTC(),
		})
	}
	return out
}

// Rows returns the operations that put deliveries into a partition's outbox:
// they go into the batch of what the alert tells.
func Rows(ns []Notification) []store.Op {
	out := make([]store.Op, 0, len(ns))
	for _, n := range ns {
		out = append(out, store.Op{Kind: store.Insert, Key: outboxPrefix + n.ID, Value: encode(n)})
	}
	return out
}

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

// Dispatch sends what is due in one partition. It returns how many deliveries
// are still to be made and when the next is due. A channel that fails stands in
// nobody's way; only trouble with the store is an error.
func (d *Dispatcher) Dispatch(ctx context.Context, partition string) (left int, next time.Time, err error) {
	rows, err := d.state.Scan(ctx, partition, outboxPrefix, outboxPrefix+"~", 1000)
	if err != nil {
		return 0, next, err
	}
	var problems []error
	for _, row := range rows {
		var n Notification
		if err := json.Unmarshal(row.Value, &n); err != nil {
			problems = append(problems, fault.New(fault.Invalid, "alert.Dispatch", "%s/%s: %w", partition, row.Key, err))
			continue
		}
		if n.State == Pending && !n.NextAt.After(d.now()) {
			if err := d.deliver(ctx, partition, row, &n); err != nil {
				problems = append(problems, err)
			}
		}
		switch {
		case n.State == Pending:
			left++
			if next.IsZero() || n.NextAt.Before(next) {
				next = n.NextAt
			}
		case n.State == Sent && n.SentAt != nil && d.now().Sub(*n.SentAt) > keepSent:
			problems = append(problems, d.drop(ctx, partition, row))
		}
	}
	return left, next, errors.Join(problems...)
}

func (d *Dispatcher) drop(ctx context.Context, partition string, row store.Row) error {
	_, err := d.state.Apply(ctx, partition, []store.Op{{Kind: store.Delete, Key: row.Key, ETag: row.ETag}})
	if fault.Is(err, fault.Conflict) {
		return nil
	}
	return err
}

func (d *Dispatcher) deliver(ctx context.Context, partition string, row store.Row, n *Notification) error {
	id, err := d.send(ctx, *n)
	n.Attempt++
	now := d.now().UTC()
	var text string
	switch {
	case err == nil:
		n.State, n.SentAt, n.ProviderID, n.LastError = Sent, &now, id, ""
		text = fmt.Sprintf("told %s: %s", n.Channel, n.Alert.Title)
	case hopeless(err) || n.Attempt >= maxTries:
		n.State, n.LastError = Poison, err.Error()
		text = fmt.Sprintf("gave up telling %s after %d attempts (%s): %s", n.Channel, n.Attempt, fault.KindOf(err), n.Alert.Title)
	default:
		n.LastError, n.NextAt = err.Error(), now.Add(d.delay(n.Attempt, fault.RetryAfter(err)))
	}
	op := store.Op{Kind: store.Replace, Key: row.Key, Value: encode(*n), ETag: row.ETag}
	var entries []journal.Entry
	if text != "" {
		entries = append(entries, journal.Entry{Kind: journal.KindReceipt, Subject: n.Alert.Subject, Ref: n.Alert.ID, Text: text, Body: receipt(*n)})
	}
	err = d.rec.Commit(ctx, partition, entries, op)
	if fault.Is(err, fault.Conflict) {
		return nil // another dispatcher settled it
	}
	return err
}

func (d *Dispatcher) send(ctx context.Context, n Notification) (string, error) {
	ch, ok := d.channels[n.Channel]
	if !ok {
		return "", fault.New(fault.Invalid, "alert.send", "channel %q is not configured (policy: channels)", n.Channel)
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	return ch.Send(ctx, n.Alert)
}

func hopeless(err error) bool { return fault.Is(err, fault.Invalid) || fault.Is(err, fault.Denied) }

// delay doubles from 5 s to 30 min, spread over its upper half so that many
// deliveries do not come back together; never shorter than the channel asked.
func (d *Dispatcher) delay(attempt int, asked time.Duration) time.Duration {
	w := firstDelay
	for range min(attempt-1, 10) {
		w *= 2
	}
	w = min(w, longestDelay)
	return max(asked, w/2+time.Duration(d.jitter()*float64(w/2)))
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
// written: the alert says so, and is recorded when storage returns.
func (d *Dispatcher) Direct(ctx context.Context, a Alert, channels []string) error {
	a.Unrecorded = true
	var problems []error
	for _, c := range channels {
		if _, err := d.send(ctx, Notification{Alert: a, Channel: c}); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", c, err))
		}
	}
	return errors.Join(problems...)
}

// encode gives the canonical JSON of our own plain structs, which cannot fail.
func encode(v any) []byte {
	raw, err := canonical.JSON(v)
	if err != nil {
		return []byte("null") // unreachable: no channel, func or float is in them
	}
	return raw
}
