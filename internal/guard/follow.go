package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/route"
	"cmkguard/internal/fault"
	"cmkguard/internal/incident"
	"cmkguard/internal/journal"
	"cmkguard/internal/store"
)

const followPrefix = "follow~"

// follow is a row beside an open incident that nobody acknowledged: when to tell
// again, and whom. It is written with the incident and not with a receipt, because
// people must be called when the first channel cannot be reached, and then most of
// all.
type follow struct {
	Schema   int          `json:"schema"`
	Check    string       `json:"check"`
	Alert    alert.Alert  `json:"alert"` // the last that told of it
	Since    time.Time    `json:"since"` // when it was first told, or got worse
	Repeat   []again      `json:"repeat,omitempty"`
	Escalate []escalation `json:"escalate,omitempty"`
}

// again is a channel that is told once more.
type again struct {
	Channel string        `json:"channel"`
	Every   time.Duration `json:"every"` // ns
	At      time.Time     `json:"at"`
}

// escalation tells further channels, once.
type escalation struct {
	Channels []string  `json:"channels"`
	At       time.Time `json:"at"`
}

func followRow(check string) string { return followPrefix + check }

// due is when there is something to do next; zero: never.
func (f follow) due() time.Time {
	var at time.Time
	next := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	for _, r := range f.Repeat {
		next(r.At)
	}
	for _, e := range f.Escalate {
		next(e.At)
	}
	return at
}

// after is the row as an alert about the incident leaves it; false: there is none.
// afresh: it was opened or got worse, and time counts from now.
func (f follow) after(i incident.Incident, a alert.Alert, c route.Choice, afresh bool, now time.Time) (follow, bool) {
	if i.State != incident.Open || i.Acked != nil || len(c.Repeat)+len(c.Escalate) == 0 {
		return follow{}, false
	}
	next := follow{Schema: 1, Check: i.Check, Alert: alert.Fit(a), Since: f.Since, Escalate: f.Escalate}
	if afresh || f.Check == "" {
		next.Since, next.Escalate = now.UTC(), nil
		for _, e := range c.Escalate {
			next.Escalate = append(next.Escalate, escalation{Channels: e.Channels, At: now.Add(e.After).UTC()})
		}
	}
	for _, r := range c.Repeat { // told just now: again after as long
		next.Repeat = append(next.Repeat, again{Channel: r.Channel, Every: r.Every, At: now.Add(r.Every).UTC()})
	}
	return next, !next.due().IsZero()
}

// followOp is the operation that brings the incident's row of follow-ups up to date.
func (g *Guard) followOp(ctx context.Context, partition string, i incident.Incident, a alert.Alert, c route.Choice, afresh bool) ([]store.Op, error) {
	row, ok, err := g.get(ctx, partition, followRow(i.Check))
	if err != nil {
		return nil, err
	}
	var f follow
	if ok && json.Unmarshal(row.Value, &f) != nil {
		f = follow{} // damaged: begin afresh rather than call nobody
	}
	next, wanted := f.after(i, a, c, afresh, g.Now())
	switch {
	case wanted:
		return []store.Op{putOp(followRow(i.Check), encode(next), row.ETag)}, nil
	case ok:
		return []store.Op{{Kind: store.Delete, Key: followRow(i.Check), ETag: row.ETag}}, nil
	}
	return nil, nil
}

// followUp tells again, and further people, what is due in the partition.
func (g *Guard) followUp(ctx context.Context, partition string) error {
	return g.each(ctx, partition, followPrefix, func(row store.Row) (bool, error) {
		var f follow
		if err := json.Unmarshal(row.Value, &f); err != nil {
			return false, fault.New(fault.Invalid, "guard.followUp", "%s/%s: %w", partition, row.Key, err)
		}
		if f.due().After(g.Now()) {
			return true, nil
		}
		err := g.followOne(ctx, partition, row, f)
		if fault.Is(err, fault.Conflict) {
			return true, nil // the incident changed meanwhile: what is due is seen by the next look
		}
		return true, err
	})
}

// followOne does what is due of one incident. The incident's row is written along, as
// it was or with those who are told now: one that was resolved or acknowledged in
// between makes the batch fail.
func (g *Guard) followOne(ctx context.Context, partition string, row store.Row, f follow) error {
	irow, ok, err := g.get(ctx, partition, incident.RowKey(f.Check))
	if err != nil {
		return err
	}
	var i incident.Incident
	if !ok || json.Unmarshal(irow.Value, &i) != nil || i.State != incident.Open || i.Acked != nil {
		return g.commit(ctx, partition, nil, store.Op{Kind: store.Delete, Key: row.Key, ETag: row.ETag})
	}
	waits, err := g.waitsFor(ctx, partition, f.Alert.DedupKey)
	if err != nil {
		return err
	}
	now := g.Now().UTC()
	b := &batch{}
	f.remind(g, waits, now, b)
	i.Told = f.escalate(g, i.Told, now, b)
	b.ops = append(b.ops, putOp(incident.RowKey(f.Check), encode(i), irow.ETag))
	if f.due().IsZero() {
		b.ops = append(b.ops, store.Op{Kind: store.Delete, Key: row.Key, ETag: row.ETag})
	} else {
		b.ops = append(b.ops, putOp(row.Key, encode(f), row.ETag))
	}
	return g.commit(ctx, partition, b.entries, b.ops...)
}

// waitsFor are the channels that have not had the last alert of the incident yet:
// reminding them would only lengthen the queue.
func (g *Guard) waitsFor(ctx context.Context, partition, dedup string) ([]string, error) {
	ns, err := alert.Outbox(ctx, g.State, partition)
	if err != nil {
		return nil, asRecordError(err)
	}
	var out []string
	for _, n := range ns {
		if n.State == alert.Pending && n.Alert.DedupKey == dedup {
			out = append(out, n.Channel)
		}
	}
	return out, nil
}

// remind tells the channels again whose time has come.
func (f *follow) remind(g *Guard, waits []string, now time.Time, b *batch) {
	var names []string
	for k, r := range f.Repeat {
		if r.At.After(now) {
			continue
		}
		f.Repeat[k].At = now.Add(r.Every)
		if !slices.Contains(waits, r.Channel) {
			names = append(names, r.Channel)
		}
	}
	if len(names) == 0 {
		return
	}
	a := f.again(g, alert.Update, now)
	b.ops = append(b.ops, alert.Rows(alert.Notifications(a, route.Named(g.Policy, names, "nobody acknowledged it"), now))...)
	b.entries = append(b.entries, f.entry(a, "told again: "+a.Title))
}

// escalate tells those whose time has come, and returns who was told by now.
func (f *follow) escalate(g *Guard, told []string, now time.Time, b *batch) []string {
	var names []string
	f.Escalate = slices.DeleteFunc(f.Escalate, func(e escalation) bool {
		if e.At.After(now) {
			return false
		}
		for _, name := range e.Channels {
			if !slices.Contains(told, name) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		return true
	})
	if len(names) == 0 {
		return told
	}
	a := f.again(g, alert.Trigger, now) // they hear of it for the first time
	b.ops = append(b.ops, alert.Rows(alert.Notifications(a, route.Named(g.Policy, names, "escalated: nobody acknowledged it"), now))...)
	b.entries = append(b.entries, f.entry(a, fmt.Sprintf("escalated to %v: %s", names, a.Title)))
	return append(slices.Clone(told), names...)
}

// again is the alert once more, with for how long nobody took it.
func (f *follow) again(g *Guard, life alert.Lifecycle, now time.Time) alert.Alert {
	a := f.Alert
	a.ID, a.At, a.Lifecycle, a.Event = g.NewID(), now, life, ""
	since := roughly(now.Sub(f.Since))
	a.Title = "Nobody answered in " + since + ": " + strings.TrimPrefix(a.Title, stillPrefix)
	a.Notes = append(slices.Clone(a.Notes), "it is open and nobody acknowledged it for "+since)
	return a
}

func (f *follow) entry(a alert.Alert, text string) journal.Entry {
	return journal.Entry{Kind: journal.KindNote, Subject: a.Subject, Ref: a.ID, Text: clip(text, 1000)}
}

// roughly is a duration as people say it, rounded down.
func roughly(d time.Duration) string {
	n, unit := int(d/time.Minute), "minute"
	switch {
	case d >= 48*time.Hour:
		n, unit = int(d/(24*time.Hour)), "day"
	case d >= 2*time.Hour:
		n, unit = int(d/time.Hour), "hour"
	}
	if n != 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", n, unit)
}
