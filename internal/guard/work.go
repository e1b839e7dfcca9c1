package guard

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"cmkguard/internal/canonical"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/journal"
	"cmkguard/internal/store"
)

// Work takes one message of the work queue. It never lets the queue retry: on
// a fault that can pass it schedules its own message with a delay and returns
// nil, because a queue's own retries are over within seconds. Only where that
// cannot be done does it return an error, as Take does.
func (g *Guard) Work(ctx context.Context, raw []byte) error {
	return comeAgain("guard.Work", g.work(ctx, raw))
}

func (g *Guard) work(ctx context.Context, raw []byte) error {
	m, err := decodeMessage(raw)
	if err != nil {
		return g.Poison(ctx, WorkQueue, err.Error(), raw)
	}
	g.missBeat(ctx)
	touched, err := g.workOn(ctx, m)
	var unrecorded *recordError
	if errors.As(err, &unrecorded) {
		s, _ := m.signal(g.Cloud)
		g.tellUnrecorded(ctx, s, err)
	}
	var taken errTaken
	clash, clashed := m.clashed(err)
	switch {
	case err == nil:
		g.noteFreed(ctx, m)
	case errors.As(err, &taken):
		err = g.send(ctx, m, turnAgain) // not a failure: its turn comes
	case clashed:
		err = g.send(ctx, m, clash)
	case fault.Is(err, fault.Invalid):
		g.noteFreed(ctx, m)
		err = g.Poison(ctx, WorkQueue, err.Error(), raw)
	default:
		m.Tries++
		g.noteStuck(ctx, m, err)
		err = g.send(ctx, m, backoff(m.Tries, fault.RetryAfter(err), m.name()))
	}
	if err != nil {
		return err
	}
	return g.tidy(ctx, touched)
}

// workOn does what the message asks and returns the partitions that it may have
// written to.
func (g *Guard) workOn(ctx context.Context, m message) ([]string, error) {
	if err := notOurs(m); err != nil {
		return nil, err
	}
	switch m.Kind {
	case kindSignal:
		return g.runSignal(ctx, m.Partition, m.Tries >= unknownTries)
	case kindDrill:
		return g.runDrill(ctx, m.ID, m.Tries)
	case kindRights:
		return g.judgeRights(ctx)
	case kindLook:
		return g.runLook(ctx, m)
	case kindSaga:
		return g.runSaga(ctx, m.Partition, m.ID, m.Seq)
	case kindBeat:
		return g.runBeat(ctx)
	case kindPulse:
		return nil, g.runPulse(ctx, m)
	}
	return []string{m.Partition}, nil
}

// runLook looks at what the message names.
func (g *Guard) runLook(ctx context.Context, m message) ([]string, error) {
	s, ok := m.signal(g.Cloud)
	if !ok {
		return nil, fault.New(fault.Invalid, "guard.runLook", "the message names no subject")
	}
	s.ID = ""
	lastTry := m.Tries >= unknownTries
	touched, _, err := g.inTurn(ctx, s, g.Now(), !lastTry, func() ([]string, error) { return g.assess(ctx, s, lastTry) })
	return touched, err
}

// unknownTries is how often a signal comes back because nobody could be seen to
// use its subject, over about half an hour, before that is told to people.
const unknownTries = 8

// runSignal reads the wiring of every cluster that the signal's subject
// touches, judges, and brings incidents, plans and alerts up to date.
func (g *Guard) runSignal(ctx context.Context, partition string, lastTry bool) ([]string, error) {
	row, ok, err := g.get(ctx, partition, signalRow)
	if err != nil || !ok {
		return nil, err // a message without its signal is a leftover
	}
	var st storedSignal
	if err := json.Unmarshal(row.Value, &st); err != nil {
		return nil, fault.New(fault.Invalid, "guard.runSignal", "stored signal %s: %w", partition, err)
	}
	if st.State == signalDone {
		return nil, nil
	}
	touched, covered, err := g.inTurn(ctx, st.Signal, st.Received, !lastTry, func() ([]string, error) { return g.assess(ctx, st.Signal, lastTry) })
	if err == nil && !covered.IsZero() {
		err = g.recordCovered(ctx, st.Signal, covered)
	}
	if err != nil {
		return touched, err
	}
	st.State = signalDone
	raw, err := canonical.JSON(st)
	if err != nil {
		return touched, err
	}
	_, err = g.State.Apply(ctx, partition, []store.Op{{Kind: store.Replace, Key: signalRow, Value: raw, ETag: row.ETag}})
	if fault.Is(err, fault.Conflict) {
		return touched, nil // another worker finished the same signal
	}
	return touched, asRecordError(err)
}

// signalEntry is the record of a signal that was worked on.
func signalEntry(s event.Signal, touched int, complete bool, why string) journal.Entry {
	text := string(s.Kind) + " for " + s.Subject.ID
	if s.Claim != nil {
		text = clip(text+"; "+s.Claim.String(), 1000)
	}
	raw, err := canonical.JSON(map[string]any{
		"claim": s.Claim, "id": s.ID, "source": s.Source, "type": s.Type, "time": s.Time.UTC().Format(time.RFC3339Nano),
		"key": s.Key.String(), "clusters": touched, "complete": complete, "why": why,
	})
	if err != nil {
		raw = nil // unreachable: plain values
	}
	return journal.Entry{Kind: journal.KindSignal, Subject: s.Subject.String(), Ref: s.ID, Text: text, Body: raw}
}
