package alertmanager

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

const (
	// echo is how long what ended is sent again as ended: a Refresh that was under way
	// when it ended may have sent it once more as open.
	echo = time.Hour
	// atOnce is how many alerts go into one request.
	atOnce = 200
	page   = 500
)

// entry is what is kept of one incident: the alert as it is open there, and those of
// its former labels that are over.
type entry struct {
	Schema int       `json:"schema"`
	Open   *postable `json:"open,omitempty"`
	Over   []ended   `json:"over,omitempty"`
}

type ended struct {
	Alert postable  `json:"alert"`
	At    time.Time `json:"at"` // when it ended
}

// follow returns the entry after the alert: an alert under other labels ends the one
// that was open, and a resolve ends what was open under whatever labels it had.
func (e entry) follow(p postable, a alert.Alert, now time.Time) entry {
	next := entry{Schema: 1}
	for _, o := range e.Over {
		if now.Sub(o.At) < echo && !maps.Equal(o.Alert.Labels, p.Labels) {
			next.Over = append(next.Over, o)
		}
	}
	if e.Open != nil && !maps.Equal(e.Open.Labels, p.Labels) {
		next.Over = append(next.Over, ended{*e.Open, now.UTC()})
	}
	if a.Lifecycle == alert.Resolve {
		next.Over = append(next.Over, ended{p, now.UTC()})
		return next
	}
	next.Open = &p
	return next
}

// all are the entry's alerts as they are to be sent now.
func (e entry) all(now time.Time) []postable {
	var out []postable
	if e.Open != nil {
		out = append(out, *e.Open)
	}
	for _, o := range e.Over {
		if now.Sub(o.At) >= echo {
			continue
		}
		o.Alert.EndsAt = o.At
		if o.Alert.StartsAt.After(o.At) {
			o.Alert.StartsAt = o.At
		}
		out = append(out, o.Alert)
	}
	return out
}

// kept reads what is kept of the alert's incident. An alert that leaves without a
// record does so without this, too.
func (c *Channel) kept(ctx context.Context, a alert.Alert) (entry, store.Row, error) {
	var e entry
	if c.state == nil || a.Unrecorded {
		return e, store.Row{}, nil
	}
	row, ok, err := c.state.Get(ctx, c.partition, rowKey(a))
	if err != nil || !ok {
		return e, store.Row{}, again(err)
	}
	_ = json.Unmarshal(row.Value, &e) // what cannot be read is written anew
	return e, row, nil
}

// keep writes the entry. If it fails the alert is sent again: a receiver that has it
// twice is no worse off, and one that nobody would remind is.
func (c *Channel) keep(ctx context.Context, a alert.Alert, e entry, row store.Row) error {
	if c.state == nil || a.Unrecorded {
		return nil
	}
	value, err := json.Marshal(e)
	if err != nil {
		return fault.Wrap(fault.Invalid, "alertmanager.keep", err)
	}
	op := store.Op{Kind: store.Insert, Key: rowKey(a), Value: value}
	if row.ETag != "" {
		op.Kind, op.ETag = store.Replace, row.ETag
	}
	_, err = c.state.Apply(ctx, c.partition, []store.Op{op})
	return again(err)
}

func rowKey(a alert.Alert) string { return store.Name("open", a.DedupKey) }

// again: whatever the store says, the alert is to be sent again and not given up.
func again(err error) error {
	if err == nil {
		return nil
	}
	return fault.Wrap(fault.Transient, "alertmanager.keep", err)
}

// Refresh sends everything that is open once more, with a new end, and what ended a
// short while ago as ended; what ended before that is forgotten. Nobody needs to know
// which of them the receiver still has. An alert that cannot be read is left out and
// is an error beside the others.
func (c *Channel) Refresh(ctx context.Context) error {
	if c.state == nil {
		return nil
	}
	var problems []error
	var send []postable
	for from := ""; ; {
		rows, err := c.state.Scan(ctx, c.partition, from, "", page)
		if err != nil {
			return errors.Join(append(problems, err)...)
		}
		for _, row := range rows {
			all, err := c.again(ctx, row)
			problems = append(problems, err)
			send = append(send, all...)
		}
		if len(rows) < page {
			break
		}
		from = rows[len(rows)-1].Key + "-"
	}
	for chunk := range slices.Chunk(send, atOnce) {
		problems = append(problems, c.post(ctx, chunk))
	}
	return errors.Join(problems...)
}

// again returns what one row wants to be sent, and drops a row that wants nothing.
func (c *Channel) again(ctx context.Context, row store.Row) ([]postable, error) {
	var e entry
	if err := json.Unmarshal(row.Value, &e); err != nil {
		return nil, fault.New(fault.Invalid, "alertmanager.Refresh", "%s: %w", row.Key, err)
	}
	now := c.now()
	if e.Open != nil {
		e.Open.EndsAt = now.UTC().Add(hold)
	}
	all := e.all(now)
	if len(all) > 0 {
		return all, nil
	}
	_, err := c.state.Apply(ctx, c.partition, []store.Op{{Kind: store.Delete, Key: row.Key, ETag: row.ETag}})
	if fault.Is(err, fault.Conflict) {
		err = nil // it was opened again meanwhile
	}
	return nil, err
}
