package guard

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/journal"
	"cmkguard/internal/risk"
	"cmkguard/internal/self"
	"cmkguard/internal/store"
)

// Partitions of what is nobody's subject.
const (
	selfPartition   = "self"
	poisonPartition = "poison"
)

const (
	sagaGrace   = 2 * time.Minute // a step this late lost its message
	orphanGrace = time.Minute
	poisonQueue = WorkQueue + "-poison"
	// poisonHidden is how long a message of the poison queue is ours.
	poisonHidden = 5 * time.Minute
)

// Sweep picks up what was left behind: signals stored but never queued, saga
// steps whose message was lost, messages that the host gave up, events that Event
// Grid gave up, alerts due, entries unsealed, and what was told while nothing could
// be recorded. It looks
// after ourselves, and ends with a heartbeat: a row of ours, and, if all went well,
// a call to the external watcher.
func (g *Guard) Sweep(ctx context.Context) error {
	began, load := g.Now(), self.Load{}
	err := errors.Join(g.recordLate(ctx), g.requeueSignals(ctx, &load), g.requeueSagas(ctx, &load), g.drainPoison(ctx), g.takeLetters(ctx), g.reconcile(ctx), g.watchSelf(ctx, load), g.closeDay(ctx), g.forgetSignals(ctx), g.drillsDue(ctx), g.endSilences(ctx), g.Tend(ctx))
	err = errors.Join(err, g.beat(ctx, began, err))
	g.ping(ctx, err)
	if g.Refresh != nil { // whatever went wrong: what is open must not look mended elsewhere
		g.Refresh(ctx)
	}
	var unrecorded *recordError
	if errors.As(err, &unrecorded) {
		g.tellUnrecorded(ctx, event.Signal{}, err)
	}
	return err
}

func (g *Guard) requeueSignals(ctx context.Context, load *self.Load) error {
	return g.each(ctx, orphanShards, orphanPrefix, func(m store.Row) (bool, error) {
		row, ok, err := g.get(ctx, m.Key, signalRow)
		if err != nil {
			return false, err
		}
		var st storedSignal
		if ok && json.Unmarshal(row.Value, &st) == nil && g.Now().Sub(st.Received) < orphanGrace {
			return true, nil // its intake may be under way
		}
		if !ok {
			return true, g.dropMark(ctx, orphanShards, m.Key)
		}
		load.Orphans++
		if err := g.send(ctx, signalMessage(m.Key, st.Signal), 0); err != nil {
			return false, err
		}
		return true, g.noteAge(ctx, m.Key, st.Received)
	})
}

func (g *Guard) requeueSagas(ctx context.Context, load *self.Load) error {
	return g.Rec.Each(ctx, func(m journal.Mark) error {
		sagas, err := g.openSagas(ctx, m.Partition)
		if err != nil {
			return err
		}
		for _, s := range sagas {
			late := g.Now().Sub(s.NextAt)
			if late < sagaGrace {
				continue
			}
			load.Overdue, load.OverdueBy = load.Overdue+1, max(load.OverdueBy, late)
			// A message too many finds its turn taken and does nothing.
			if err := g.send(ctx, message{Kind: kindSaga, Partition: m.Partition, ID: s.Plan.ID, Seq: s.Seq}, 0); err != nil {
				return err
			}
		}
		return nil
	})
}

// drainPoison empties the queue into which the host puts messages whose
// invocations failed too often. One that we understand goes back to work, for
// its payload is in state and only the invocation failed (killed, or storage
// was gone); any other is kept as poison. Either is told.
func (g *Guard) drainPoison(ctx context.Context) error {
	for {
		ms, err := g.Queue.Take(ctx, poisonQueue, store.MaxTake, poisonHidden)
		if err != nil {
			return asRecordError(err)
		}
		for _, m := range ms {
			if err := g.drainOne(ctx, m); err != nil {
				return err
			}
		}
		if len(ms) < store.MaxTake {
			return nil
		}
	}
}

func (g *Guard) drainOne(ctx context.Context, m store.Message) error {
	parsed, err := decodeMessage(m.Body)
	if err != nil {
		err = g.Poison(ctx, poisonQueue, err.Error(), m.Body)
	} else {
		err = g.putBack(ctx, parsed)
	}
	if err != nil {
		return err
	}
	if err := g.Queue.Done(ctx, poisonQueue, m); err != nil && !fault.Is(err, fault.Conflict) {
		return asRecordError(err)
	}
	return nil
}

func (g *Guard) putBack(ctx context.Context, m message) error {
	what := m.Kind + " " + m.ID + " " + m.Partition
	a := alert.Alert{
		ID: g.NewID(), DedupKey: "cmkguard/self/gave-up", GroupKey: "self", Lifecycle: alert.Notice, Severity: risk.Medium,
		Title: "The host gave up a message of CMK Guard; it was put back to work", What: "work on " + what + " failed five times",
		Subject: "scope:cmkguard", Since: g.Now().UTC(), Ref: m.Partition,
		Next: []string{"Look at the app's log around this time: invocations of work were killed, timed out, or could not reach storage."},
	}
	entry := journal.Entry{Kind: journal.KindNote, Subject: a.Subject, Ref: m.Partition, Text: clip("put back to work: "+what, 500)}
	if err := g.commit(ctx, selfPartition, []journal.Entry{entry}, g.outbox(a)...); err != nil {
		return err
	}
	m.Tries++
	return g.send(ctx, m, backoff(m.Tries, 0, m.name()))
}
