package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/fault"
	"cmkguard/internal/incident"
	"cmkguard/internal/journal"
	"cmkguard/internal/store"
)

// How an alert that nobody acknowledged says how to: by its page and by a command.
const (
	ackLabel = "acknowledge"
	ackLine  = "cmkguard alert ack "
)

// Acknowledge records that a person works on an open incident: reminders and
// escalations stop, and receivers that keep incidents are told. It stays open until
// it is read back as fixed; if it gets worse, it counts as not acknowledged again. by
// is who says so, as far as that is proved. Errors are Invalid for what is not open
// or acknowledged already.
func (g *Guard) Acknowledge(ctx context.Context, partition, check, by, reason string) (incident.Incident, error) {
	const op = "guard.Acknowledge"
	i, etag, err := g.incidentAt(ctx, partition, check)
	switch {
	case err != nil:
		return i, err
	case i.State != incident.Open:
		return i, fault.New(fault.Invalid, op, "incident %s/%s is not open: it is %s since %s", check, partition, i.State, i.Changed.Format(time.RFC3339))
	case i.Acked != nil:
		return i, fault.New(fault.Invalid, op, "incident %s/%s was acknowledged already, by %s at %s", check, partition, i.Acked.By, i.Acked.At.Format(time.RFC3339))
	}
	now := g.Now().UTC()
	i.Acked = &incident.Ack{By: alert.Clean(by, 200), At: now, Reason: alert.Clean(reason, 500)}
	a, err := g.ackAlert(ctx, partition, i)
	if err != nil {
		return i, err
	}
	ops, _ := g.outboxOf(a, i.Told)
	ops = append(ops, putOp(incident.RowKey(check), encode(i), etag))
	if frow, ok, err := g.get(ctx, partition, followRow(check)); err != nil {
		return i, err
	} else if ok {
		ops = append(ops, store.Op{Kind: store.Delete, Key: frow.Key, ETag: frow.ETag})
	}
	entry := journal.Entry{
		Kind: journal.KindDecision, Subject: i.Subject.String(), Ref: check + "/" + partition, Body: encode(i.Acked),
		Text: clip(fmt.Sprintf("%s acknowledged by %s: %s", check, by, reason), 1000),
	}
	if err := g.commit(ctx, partition, []journal.Entry{entry}, ops...); err != nil {
		return i, err
	}
	return i, g.tendSoon(ctx, partition)
}

// incidentAt reads an incident. One that is not there, or cannot be read, is Invalid.
func (g *Guard) incidentAt(ctx context.Context, partition, check string) (i incident.Incident, etag string, err error) {
	const op = "guard.Incident"
	row, ok, err := g.get(ctx, partition, incident.RowKey(check))
	if err != nil {
		return i, "", err
	}
	name := clip(check+"/"+partition, 200)
	if !ok {
		return i, "", fault.New(fault.Invalid, op, "there is no incident %s: want the name that its alerts show", name)
	}
	if err := json.Unmarshal(row.Value, &i); err != nil {
		return i, "", fault.New(fault.Invalid, op, "incident %s cannot be read: %w", name, err)
	}
	return i, row.ETag, nil
}

// ackAlert is the last alert of the incident, as acknowledged.
func (g *Guard) ackAlert(ctx context.Context, partition string, i incident.Incident) (alert.Alert, error) {
	a, err := g.lastAlert(ctx, partition, i)
	if err != nil {
		return a, err
	}
	a.ID, a.At, a.Lifecycle, a.Event, a.Notes = g.NewID(), i.Acked.At, alert.Acknowledge, "", nil
	a.Title = "Acknowledged: " + strings.TrimPrefix(a.Title, stillPrefix)
	a.Links = slices.DeleteFunc(slices.Clone(a.Links), func(l alert.Link) bool { return l.Label == ackLabel })
	a.Commands = slices.DeleteFunc(slices.Clone(a.Commands), func(c alert.Command) bool { return strings.HasPrefix(c.Line, ackLine) })
	a.Done = append([]string{fmt.Sprintf("acknowledged by %s: %s", i.Acked.By, i.Acked.Reason)}, a.Done...)
	return a, nil
}

// lastAlert is the last alert that was made of the incident, but for acknowledgements;
// of one whose alerts are gone, what the incident itself knows.
func (g *Guard) lastAlert(ctx context.Context, partition string, i incident.Incident) (alert.Alert, error) {
	ns, err := alert.Outbox(ctx, g.State, partition)
	if err != nil {
		return alert.Alert{}, asRecordError(err)
	}
	v := i.Verdict
	a := alert.Alert{
		DedupKey: i.DedupKey(), GroupKey: partition, Severity: v.Severity, Check: v.Check, Subject: v.Subject.String(), Since: i.Opened, What: v.Why, Title: v.Title,
		Vault: vaultOfSubject(i.Subject),
	}
	for _, n := range ns {
		if n.Alert.DedupKey == i.DedupKey() && n.Alert.Lifecycle != alert.Acknowledge {
			a = n.Alert
		}
	}
	return a, nil
}
