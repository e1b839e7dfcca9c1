package guard

import (
	"context"
	"encoding/json"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/canonical"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/incident"
	"cmkguard/internal/journal"
	"cmkguard/internal/risk"
	"cmkguard/internal/store"
)

// bringUpToDate commits one subject's incidents, plans, alerts and record in
// one batch, and then starts what the batch reserved.
func (g *Guard) bringUpToDate(ctx context.Context, p *picture, subject event.Subject) error {
	partition := incident.Partition(subject)
	b := &batch{}
	asked := p.signal.ID != "" // by an event; a look of our own is recorded by what it changes
	if subject == p.signal.Subject {
		b.entries = append(b.entries, signalEntry(p.signal, len(p.wirings), p.complete, p.why))
		if a, ok := g.claimAlert(p); ok {
			b.ops = append(b.ops, g.outbox(a)...)
		}
		if len(p.wirings) == 0 && !p.complete && asked {
			b.ops = append(b.ops, g.outbox(g.unseenAlert(p))...)
		}
	}
	if err := g.noteCluster(ctx, p, subject, b); err != nil {
		return err
	}
	p.noteWatched(subject, b)
	if err := g.addTold(ctx, p, subject, b); err != nil {
		return err
	}
	doing, err := g.planAll(ctx, p, subject, partition, b)
	if err != nil {
		return err
	}
	for _, v := range p.verdicts[subject] {
		if err := g.applyVerdict(ctx, p, partition, v, doing[v.Remedy], b); err != nil {
			return err
		}
	}
	if len(b.ops) == 0 && (len(b.entries) == 0 || !asked) {
		return nil
	}
	if err := g.commit(ctx, partition, b.entries, b.ops...); err != nil {
		return err
	}
	return g.sendAll(ctx, b.after)
}

func (g *Guard) sendAll(ctx context.Context, list []later) error {
	for _, m := range list {
		if err := g.send(ctx, m.message, m.delay); err != nil {
			return err
		}
	}
	return nil
}

type batch struct {
	entries []journal.Entry
	ops     []store.Op
	after   []later // sent once the batch is written
}

type later struct {
	message message
	delay   time.Duration
}

// doing is what people are told about a remedy, and what is theirs to do.
type doing struct {
	text     string
	next     []string // in words
	commands []alert.Command
	links    []alert.Link
	dryRun   bool // of upkeep that would be due: it is told as a dry run
}

func (g *Guard) applyVerdict(ctx context.Context, p *picture, partition string, v risk.Verdict, d doing, b *batch) error {
	row, ok, err := g.get(ctx, partition, incident.RowKey(v.Check))
	if err != nil {
		return err
	}
	var prev *incident.Incident
	if ok {
		prev = &incident.Incident{}
		if err := json.Unmarshal(row.Value, prev); err != nil {
			return fault.New(fault.Invalid, "guard.applyVerdict", "incident %s: %w", v.Check, err)
		}
	}
	next, change := incident.Next(prev, v, p.now)
	if next.State == incident.Open && d.text != next.Doing {
		next.Doing = d.text
		if change == incident.None {
			change = incident.Updated
		}
	}
	if change == incident.None {
		return nil
	}
	p.blurred = p.blurred || change == incident.Blurred && v.Severity == risk.Critical && v.Cluster != ""
	if f, ok := p.foundOf(prev, next, change); ok {
		if err := g.noteFound(ctx, f); err != nil {
			return err
		}
	}
	if a, ok := g.incidentAlert(p, next, change); ok && !unheardOf(prev, change) {
		a.Next = append(a.Next, d.next...)
		a.Commands, a.Links = append(d.commands, a.Commands...), append(append(a.Links, d.links...), g.incidentLinks(a)...)
		a.DryRun = d.dryRun && next.State == incident.Open
		afresh := change == incident.Opened || prev != nil && next.Verdict.Severity.Rank() > prev.Verdict.Severity.Rank()
		if err := g.tellOf(ctx, partition, &next, a, afresh, b); err != nil {
			return err
		}
	}
	b.ops = append(b.ops, putOp(incident.RowKey(v.Check), encode(next), row.ETag))
	b.entries = append(b.entries, entryFor(p.signal, next, change))
	return nil
}

// tellOf puts the alert about a changed incident into the batch, with whom to remind of
// it, and notes in the incident who is told.
func (g *Guard) tellOf(ctx context.Context, partition string, i *incident.Incident, a alert.Alert, afresh bool, b *batch) error {
	if f, ok := g.flapAlert(&a, *i); ok {
		ops, _ := g.outboxOf(f, i.Told)
		b.ops = append(b.ops, ops...)
	}
	ops, choice := g.outboxOf(a, i.Told)
	i.Told = choice.Channels()
	more, err := g.followOp(ctx, partition, *i, a, choice, afresh)
	b.ops = append(append(b.ops, ops...), more...)
	return err
}

// unheardOf reports whether it is the end of what nobody was told: a question that
// was open for a while.
func unheardOf(prev *incident.Incident, change incident.Change) bool {
	return change == incident.Answered && len(prev.Told) == 0
}

func putOp(key string, value []byte, etag string) store.Op {
	if etag == "" {
		return store.Op{Kind: store.Insert, Key: key, Value: value}
	}
	return store.Op{Kind: store.Replace, Key: key, Value: value, ETag: etag}
}

func planRow(id string) string { return "plan~" + id }
func sagaRow(id string) string { return "saga~" + id }

// encode gives the canonical JSON of our own plain structs, which cannot fail.
func encode(v any) []byte {
	raw, err := canonical.JSON(v)
	if err != nil {
		return []byte("null") // unreachable: the types here hold no channel, func or float
	}
	return raw
}
