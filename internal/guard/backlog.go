package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"cmkguard/internal/fault"
	"cmkguard/internal/self"
	"cmkguard/internal/store"
)

const (
	pulseRow = "pulse"
	// pulseEvery is how often a message is sent through the work queue to see how
	// long one waits there.
	pulseEvery = 5 * time.Minute
	// stuckPartition lists work that fails again and again.
	stuckPartition = "stuck"
	// stuckTries is how often it failed by then: about an hour by backoff, and more
	// than what waits for facts to become readable ever tries.
	stuckTries = 12
	maxStuck   = 100 // rows that a sweep reads
)

// queuePulse is the row of what is out in the queue to measure it.
type queuePulse struct {
	Sent time.Time `json:"sent,omitzero"` // the oldest that is not back; zero: none is out
	Last time.Time `json:"last,omitzero"` // when the last was sent
	Took int64     `json:"took"`          // milliseconds that the last one waited
}

// sendPulse queues a message that is to come back, one at a time unless one is
// late: then it may be lost, and the next tells whether the queue moves again.
func (g *Guard) sendPulse(ctx context.Context) (queuePulse, error) {
	row, p, err := g.readPulse(ctx)
	if err != nil || g.Now().Sub(p.Last) < pulseEvery || !p.Sent.IsZero() && g.Now().Sub(p.Last) < g.Policy.Limits.BacklogAge {
		return p, err
	}
	p.Last = g.Now().UTC()
	if p.Sent.IsZero() {
		p.Sent = p.Last
	}
	if err := g.putPulse(ctx, p, row.ETag); err != nil {
		return p, err
	}
	// After the row: a crash in between is a message that is late, never one that
	// nobody waits for.
	return p, g.send(ctx, message{Kind: kindPulse, ID: p.Last.Format(time.RFC3339Nano)}, 0)
}

// runPulse notes that a message came back, and how long it had waited.
func (g *Guard) runPulse(ctx context.Context, m message) error {
	sent, err := time.Parse(time.RFC3339Nano, m.ID)
	if err != nil {
		return fault.New(fault.Invalid, "guard.runPulse", "message field id: %w", err)
	}
	row, p, err := g.readPulse(ctx)
	if err != nil || p.Sent.IsZero() {
		return err
	}
	p.Sent, p.Took = time.Time{}, max(0, g.Now().Sub(sent)).Milliseconds()
	return g.putPulse(ctx, p, row.ETag)
}

func (g *Guard) readPulse(ctx context.Context) (row store.Row, p queuePulse, err error) {
	row, ok, err := g.get(ctx, selfPartition, pulseRow)
	if ok && json.Unmarshal(row.Value, &p) != nil {
		p = queuePulse{} // damaged: measured anew
	}
	return row, p, err
}

func (g *Guard) putPulse(ctx context.Context, p queuePulse, etag string) error {
	_, err := g.State.Apply(ctx, selfPartition, []store.Op{putOp(pulseRow, encode(p), etag)})
	if fault.Is(err, fault.Conflict) {
		return nil // another worker was faster; the next measures again
	}
	return asRecordError(err)
}

// stuckWork is a row: a piece of work that fails again and again.
type stuckWork struct {
	What  string    `json:"what"`
	Since time.Time `json:"since"`
	Why   string    `json:"why"`
}

func stuckRow(m message) string {
	return store.Name(m.Kind, m.Partition+"|"+m.ID+"|"+m.Key+"|"+m.About)
}

// noteStuck keeps what failed so often that people are told; noteFreed takes it
// off the list. Neither may hinder the work itself.
func (g *Guard) noteStuck(ctx context.Context, m message, cause error) {
	if m.Tries != stuckTries {
		return
	}
	what := fmt.Sprintf("%s %s %s%s", m.Kind, m.Partition, m.Key, m.About)
	op := store.Op{Kind: store.Insert, Key: stuckRow(m), Value: encode(stuckWork{clip(what, 300), g.Now().UTC(), clip(cause.Error(), 500)})}
	_, _ = g.State.Apply(ctx, stuckPartition, []store.Op{op})
}

func (g *Guard) noteFreed(ctx context.Context, m message) {
	if m.Tries >= stuckTries {
		_ = g.dropMark(ctx, stuckPartition, stuckRow(m))
	}
}

// load gathers how much work waits; the sweep has counted orphans and overdue
// steps already.
func (g *Guard) load(ctx context.Context, l self.Load) (self.Load, error) {
	p, err := g.sendPulse(ctx)
	if err != nil {
		return l, err
	}
	l.PulseSent, l.PulseTook = p.Sent, time.Duration(p.Took)*time.Millisecond
	rows, err := g.State.Scan(ctx, stuckPartition, "", "", maxStuck)
	if err != nil {
		return l, asRecordError(err)
	}
	for _, row := range rows {
		var s stuckWork
		if json.Unmarshal(row.Value, &s) != nil {
			s = stuckWork{Since: g.Now(), Why: "the row " + row.Key + " cannot be read"}
		}
		if l.Stuck++; l.Stuck == 1 || s.Since.Before(l.StuckSince) {
			l.StuckSince, l.StuckWhy = s.Since, s.What+": "+s.Why
		}
	}
	return l, nil
}
