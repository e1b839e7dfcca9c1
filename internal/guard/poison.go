package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/canonical"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/journal"
	"cmkguard/internal/redact"
	"cmkguard/internal/store"
)

const (
	// maxPoison is how much of a poison body is kept: a row's limit less the frame.
	maxPoison = 340 << 10
	// poisonPage is how many rows of poison are read at once: each may be a row's
	// limit long.
	poisonPage = 16
)

// poisonRow is what could not be handled, as it is stored.
type poisonRow struct {
	Schema   int       `json:"schema"`
	Source   string    `json:"source"`
	Reason   string    `json:"reason"`
	Received time.Time `json:"received"`
	Size     int       `json:"size"`
	SHA256   string    `json:"sha256"` // of what came, before anything was cut or redacted
	Cut      bool      `json:"cut"`
	Body     []byte    `json:"body"`
}

const poisonPrefix = "poison~"

func poisonID(sum string) string { return poisonPrefix + sum[:40] }

// Poison keeps what could not be handled, whole up to a row's size but for
// credentials, and alerts.
func (g *Guard) Poison(ctx context.Context, source, reason string, raw []byte) error {
	r := poisonRow{Schema: 1, Source: source, Reason: reason, Received: g.Now().UTC(), Size: len(raw), SHA256: canonical.Hash(raw)}
	kept := raw
	if len(kept) > maxPoison {
		kept, r.Cut = kept[:maxPoison], true
	}
	r.Body = redact.Bytes(kept)
	value, err := canonical.JSON(r)
	if err != nil {
		return err
	}
	subject := event.Subject{Kind: event.SubjectScope, ID: source}
	id := poisonID(r.SHA256)
	entry := journal.Entry{Kind: journal.KindPoison, Subject: subject.String(), Ref: id, Text: clip(reason, 500)}
	ops := []store.Op{{Kind: store.Insert, Key: id, Value: value}}
	if g.flood.tell(source, g.Now()) {
		ops = append(ops, g.outbox(g.poisonAlert(subject, id, reason))...)
	}
	err = g.commit(ctx, poisonPartition, []journal.Entry{entry}, ops...)
	switch {
	case fault.Is(err, fault.Conflict):
		return nil // the same bytes are kept already
	case err != nil:
		return err
	}
	return g.tendSoon(ctx, poisonPartition)
}

// Kept is something that waits for a person: input that nobody could handle, or an
// alert that no attempt could deliver.
type Kept struct {
	ID       string    `json:"id"`
	Source   string    `json:"source"` // the function or queue that it came by, or "alert to CHANNEL"
	Reason   string    `json:"reason"`
	Received time.Time `json:"received"`
	Size     int       `json:"size"` // bytes of what came
	Cut      bool      `json:"cut"`  // longer than a row: only its beginning is kept
	// Redacted: credentials were taken out before it was stored.
	Redacted bool   `json:"redacted"`
	Body     []byte `json:"-"`

	row    store.Row
	listed store.Row           // of an alert: its name in alert.GivenUp
	note   *alert.Notification // not nil: it is an alert
}

// readPoison reads a row. One that cannot be read is kept like any other, and that
// is its reason.
func readPoison(row store.Row) Kept {
	var r poisonRow
	if err := json.Unmarshal(row.Value, &r); err != nil {
		return Kept{ID: row.Key, Reason: "the row cannot be read: " + err.Error(), Size: len(row.Value), Body: row.Value, row: row}
	}
	return Kept{
		ID: row.Key, Source: r.Source, Reason: r.Reason, Received: r.Received, Size: r.Size, Cut: r.Cut,
		Redacted: !r.Cut && canonical.Hash(r.Body) != r.SHA256, Body: r.Body, row: row,
	}
}

// EachKept calls fn for everything that waits for a person: input first, then
// alerts, each in the order of their ids.
func (g *Guard) EachKept(ctx context.Context, fn func(Kept) error) error {
	err := g.eachOf(ctx, poisonPartition, poisonPrefix, poisonPage, func(row store.Row) (bool, error) {
		return true, fn(readPoison(row))
	})
	if err != nil {
		return err
	}
	return g.each(ctx, alert.GivenUp, "", func(row store.Row) (bool, error) {
		k, ok, err := g.undelivered(ctx, row)
		if err == nil && ok {
			err = fn(k)
		}
		return true, err
	})
}

// FindKept returns what waits under the id; an Invalid fault if nothing does.
func (g *Guard) FindKept(ctx context.Context, id string) (Kept, error) {
	const op = "guard.FindKept"
	if store.CheckKey(op, id) != nil {
		return Kept{}, fault.New(fault.Invalid, op, "%q is no id of something kept: cmkguard poison list shows them", clip(id, 100))
	}
	partition := alert.GivenUp
	if strings.HasPrefix(id, poisonPrefix) {
		partition = poisonPartition
	}
	row, ok, err := g.get(ctx, partition, id)
	if err != nil {
		return Kept{}, err
	}
	if ok && partition == poisonPartition {
		return readPoison(row), nil
	}
	if ok {
		k, ok, err := g.undelivered(ctx, row)
		if err != nil || ok {
			return k, err
		}
	}
	return Kept{}, fault.New(fault.Invalid, op, "nothing is kept under %s: it was replayed or dropped, or never was", id)
}

// undelivered returns the alert that a row of alert.GivenUp names; ok is false if
// it was sent, put back or dropped since.
func (g *Guard) undelivered(ctx context.Context, listed store.Row) (k Kept, ok bool, err error) {
	unreadable := func(row store.Row, err error) (Kept, bool, error) {
		return Kept{ID: listed.Key, Source: "alert", Reason: "the row cannot be read: " + err.Error(), Size: len(row.Value), Body: row.Value, row: row, listed: listed}, true, nil
	}
	var lost alert.Lost
	if err := json.Unmarshal(listed.Value, &lost); err != nil {
		return unreadable(listed, err)
	}
	row, ok, err := g.get(ctx, lost.Partition, alert.OutboxRow(listed.Key))
	if err != nil || !ok {
		return k, false, err
	}
	n, err := alert.ReadNotification(row)
	if err != nil {
		return unreadable(row, err)
	}
	if n.State != alert.Poison {
		return k, false, nil
	}
	body := encode(n.Alert)
	return Kept{
		ID: listed.Key, Source: "alert to " + n.Channel, Reason: fmt.Sprintf("given up after %d attempts: %s: %s", n.Attempt, n.Alert.Title, n.LastError),
		Received: lost.At, Size: len(body), Body: body, row: row, listed: listed, note: &n,
	}, true, nil
}
