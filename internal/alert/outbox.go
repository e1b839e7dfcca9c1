package alert

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"cmkguard/internal/canonical"
	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

const (
	outboxPrefix = "outbox~"
	outboxEnd    = "outbox~~" // above every outbox row: row names go on with a letter
	page         = 500
)

// Notifications returns one delivery of a to each of the targets, due at once.
// The alert is bounded first (see Fit): a row that storage refuses for its size
// would take the incident that it is written with along.
func Notifications(a Alert, targets []Target, now time.Time) []Notification {
	if a.At.IsZero() {
		a.At = now.UTC()
	}
	a = Fit(a)
	out := make([]Notification, 0, len(targets))
	seen := make(map[string]bool, len(targets))
	for _, t := range targets {
		if seen[t.Channel] { // a second row of the same name would fail the whole batch
			continue
		}
		seen[t.Channel] = true
		out = append(out, Notification{
			Schema: 1, ID: notificationID(a.ID, t.Channel), Alert: a, Channel: t.Channel, State: Pending, NextAt: now.UTC(),
			Why: Clean(t.Why, maxLine), Fallback: t.Fallback,
		})
	}
	return out
}

func notificationID(alertID, channel string) string { return store.Name("n", alertID+"|"+channel) }

// To returns targets of the names, without anything special.
func To(channels ...string) []Target {
	out := make([]Target, len(channels))
	for i, c := range channels {
		out[i].Channel = c
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

// parcel is one row of an outbox and what it says.
type parcel struct {
	row    store.Row
	stored Notification // as the row has it
	n      Notification
	stale  bool // it was written since: what the row now is, the next call reads
}

// Outbox reads a partition's deliveries, the oldest alert first.
func Outbox(ctx context.Context, state store.State, partition string) ([]Notification, error) {
	parcels, err := readOutbox(ctx, state, partition)
	out := make([]Notification, len(parcels))
	for i, p := range parcels {
		out[i] = p.n
	}
	return out, err
}

// readOutbox reads a partition's deliveries, the oldest alert first. A row that
// cannot be read is an error beside the others, never a reason to keep them.
func readOutbox(ctx context.Context, state store.State, partition string) ([]*parcel, error) {
	var out []*parcel
	var problems []error
	for from := outboxPrefix; ; {
		rows, err := state.Scan(ctx, partition, from, outboxEnd, page)
		if err != nil {
			problems = append(problems, err)
			break
		}
		for _, row := range rows {
			p := &parcel{row: row}
			if err := json.Unmarshal(row.Value, &p.n); err != nil {
				problems = append(problems, fault.New(fault.Invalid, "alert.Dispatch", "%s/%s: %w", partition, row.Key, err))
				continue
			}
			p.stored = p.n
			out = append(out, p)
		}
		if len(rows) < page {
			break
		}
		from = rows[len(rows)-1].Key + "-" // the next name that a key can have
	}
	slices.SortStableFunc(out, oldestFirst)
	return out, errors.Join(problems...)
}

// encode gives the canonical JSON of our own plain structs, which cannot fail.
func encode(v any) []byte {
	raw, err := canonical.JSON(v)
	if err != nil {
		return []byte("null") // unreachable: no channel, func or float is in them
	}
	return raw
}
