package guard

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/route"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/incident"
	"cmkguard/internal/journal"
	"cmkguard/internal/risk"
	"cmkguard/internal/store"
)

// recordError is trouble with the store that keeps the record, as opposed to
// trouble with the world. Under it nothing is changed, and people are told by
// a path that needs no storage.
type recordError struct{ err error }

func (e *recordError) Error() string { return "cannot be recorded: " + e.err.Error() }
func (e *recordError) Unwrap() error { return e.err }

// asRecordError marks err, unless it is a Conflict or ErrBusy (other workers were
// faster) or Invalid (the content is at fault, not the store).
func asRecordError(err error) error {
	if err == nil || fault.Is(err, fault.Conflict) || fault.Is(err, fault.Invalid) || errors.Is(err, journal.ErrBusy) {
		return err
	}
	return &recordError{err}
}

func (g *Guard) commit(ctx context.Context, partition string, entries []journal.Entry, ops ...store.Op) error {
	return asRecordError(g.Rec.Commit(ctx, partition, entries, ops...))
}

func (g *Guard) get(ctx context.Context, partition, key string) (store.Row, bool, error) {
	row, ok, err := g.State.Get(ctx, partition, key)
	return row, ok, asRecordError(err)
}

const (
	// tellAgain is how soon the same unrecorded alert may leave this process
	// again: a queue or Event Grid brings the same signal back many times.
	tellAgain = time.Hour
	maxTold   = 1000
	maxLate   = 500
)

// dark is what this process told while it could not record: a memory of its
// own, because there is no other. It dies with the process; then the signal,
// which was never answered with success, comes again and is recorded.
type dark struct {
	mu   sync.Mutex
	told map[string]time.Time // by dedup key
	late []journal.Entry      // to be recorded when storage returns
}

func (d *dark) first(dedup string, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if at, ok := d.told[dedup]; ok && now.Sub(at) < tellAgain {
		return false
	}
	if d.told == nil || len(d.told) >= maxTold {
		d.told = map[string]time.Time{} // repeats a few rather than growing for ever
	}
	d.told[dedup] = now
	return true
}

func (d *dark) forget(dedup string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.told, dedup)
}

func (d *dark) keep(e journal.Entry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.late) < maxLate {
		d.late = append(d.late, e)
	}
}

func (d *dark) take() []journal.Entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := d.late
	d.late = nil
	return out
}

// tellUnrecorded looks at what the signal is about and tells people what is
// broken, and that nothing can be recorded and so nothing is changed. A signal
// without a subject tells of the storage alone.
func (g *Guard) tellUnrecorded(ctx context.Context, s event.Signal, cause error) {
	g.tellDirectly(ctx, g.darkAlert(cause))
	if s.Subject.ID == "" {
		return
	}
	run := g.Survey()
	p := g.look(ctx, run, s)
	for _, k := range p.parts { // no queue to split it over: as far as the deadline reaches
		part := g.look(ctx, run, partOf(s, k))
		p.wirings = append(p.wirings, part.wirings...)
		maps.Copy(p.verdicts, part.verdicts)
		maps.Copy(p.impact, part.impact)
	}
	if len(p.wirings) == 0 && !p.complete {
		g.tellDirectly(ctx, g.unseenAlert(p))
	}
	for _, subject := range p.subjects() {
		for _, v := range p.verdicts[subject] {
			i, change := incident.Next(nil, v, p.now)
			if change != incident.Opened || v.Severity.Rank() < risk.High.Rank() {
				continue
			}
			i.Doing = "nothing is changed while nothing can be recorded"
			if a, ok := g.incidentAlert(p, i, change); ok {
				g.tellDirectly(ctx, a)
			}
		}
	}
}

// tellDirectly sends once an hour and keeps the receipt for the record.
func (g *Guard) tellDirectly(ctx context.Context, a alert.Alert) {
	if !g.dark.first(a.DedupKey, g.Now()) {
		return
	}
	channels := route.Decide(g.Policy, a, nil, g.Now()).Channels()
	problems := g.Alerts.Direct(ctx, a, channels)
	if len(problems) > 0 && len(problems) == len(channels) {
		g.dark.forget(a.DedupKey) // nobody heard it: the next occasion tries again
	}
	text := fmt.Sprintf("told without a record at %s: %s", g.Now().UTC().Format(time.RFC3339), a.Title)
	if err := errors.Join(problems...); err != nil {
		text += "; not told: " + strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	g.dark.keep(journal.Entry{Kind: journal.KindReceipt, Subject: a.Subject, Ref: a.ID, Text: clip(text, 1000)})
}

func (g *Guard) darkAlert(cause error) alert.Alert {
	return alert.Alert{
		ID: g.NewID(), DedupKey: "cmkguard/self/storage", GroupKey: "self", Lifecycle: alert.Trigger, Severity: risk.Critical,
		Title: "CMK Guard cannot record: its storage is refused or gone", Subject: "scope:cmkguard", Since: g.Now().UTC(), Ref: "storage",
		What:   clip(cause.Error(), 1000),
		Breaks: "nothing is rotated or repaired until this is mended; alerts leave without a record",
		Next:   []string{"Look at the storage account's network rules, role assignments (Storage Table, Blob and Queue Data Contributor for the app's identity) and health. What comes in meanwhile is tried again by Event Grid and the queue."},
	}
}

// recordLate writes down what was told while nothing could be recorded.
func (g *Guard) recordLate(ctx context.Context) error {
	entries := g.dark.take()
	for len(entries) > 0 {
		n := min(len(entries), 50)
		if err := g.commit(ctx, selfPartition, entries[:n]); err != nil {
			for _, e := range entries {
				g.dark.keep(e)
			}
			return err
		}
		entries = entries[n:]
	}
	return nil
}
