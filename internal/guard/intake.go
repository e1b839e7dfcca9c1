package guard

import (
	"context"
	"encoding/json"
	"time"

	"cmkguard/internal/canonical"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// storedSignal is a signal's row: stored first, queued second, marked third,
// so that a crash costs a duplicate and never an event.
type storedSignal struct {
	Schema   int          `json:"schema"`
	Signal   event.Signal `json:"signal"`
	Received time.Time    `json:"received"`
	State    string       `json:"state"` // stored, queued, done
}

const (
	signalStored = "stored"
	signalQueued = "queued"
	signalDone   = "done"
	signalRow    = "signal"
	orphanShards = "signals" // marks of signals that may not be queued, and the ages of the others
	orphanPrefix = "signal~" // begins the marks: they are the names of the signals' partitions
)

// Take takes in what a trigger delivered: events of Key Vault and of
// subscriptions, in either schema, whichever door they came by. It returns nil
// when everything in it is stored, queued, ignored or kept as poison; any error is
// Transient or Unknown, so that the sender tries again.
func (g *Guard) Take(ctx context.Context, source string, raw json.RawMessage) error {
	g.missBeat(ctx)
	return comeAgain("guard.Take", g.take(ctx, source, raw, g))
}

// comeAgain makes of what kept something from being recorded an error after which
// the sender comes again. Where answers are chosen, a Denied or a Conflict is an
// answer: storage that refuses us for an hour would lose that hour's events.
func comeAgain(op string, err error) error {
	if k := fault.KindOf(err); err == nil || k == fault.Transient || k == fault.Unknown {
		return err
	}
	return fault.Wrap(fault.Transient, op, err)
}

// keeper is where an intake puts what it cannot read, and whom it tells what it
// cannot store.
type keeper interface {
	Poison(ctx context.Context, source, reason string, raw []byte) error
	tellUnrecorded(ctx context.Context, s event.Signal, cause error)
}

func (g *Guard) take(ctx context.Context, source string, raw json.RawMessage, k keeper) error {
	parsed, err := event.ParseGrid(raw, g.Cloud)
	if err != nil {
		return k.Poison(ctx, source, err.Error(), raw)
	}
	for _, r := range parsed.Rejected {
		reason := "event " + r.ID + " (" + r.Type + ")"
		for _, p := range r.Problems {
			reason += "; " + p
		}
		if err := k.Poison(ctx, source, reason, r.Raw); err != nil {
			return err
		}
	}
	for _, s := range parsed.Signals {
		err := g.takeSignal(ctx, s)
		if err == nil {
			err = g.noteFact(ctx, s, store.Name("signal", s.DedupKey()))
		}
		switch {
		case fault.Is(err, fault.Invalid): // it can be stored today as little as tomorrow
			if err := k.Poison(ctx, source, "event "+s.ID+" cannot be stored: "+err.Error(), raw); err != nil {
				return err
			}
		case err != nil:
			k.tellUnrecorded(ctx, s, err)
			return err
		}
	}
	return nil
}

func (g *Guard) takeSignal(ctx context.Context, s event.Signal) error { return g.takeLater(ctx, s, 0) }

// takeLater takes a signal in that is worked on after the delay, and whose look
// begins no earlier.
func (g *Guard) takeLater(ctx context.Context, s event.Signal, delay time.Duration) error {
	partition := store.Name("signal", s.DedupKey())
	row, seen, err := g.State.Get(ctx, partition, signalRow)
	if err != nil {
		return err
	}
	st := storedSignal{Schema: 1, Signal: s, Received: g.Now().UTC().Add(delay), State: signalStored}
	if seen {
		if err := json.Unmarshal(row.Value, &st); err != nil {
			return fault.New(fault.Unknown, "guard.takeSignal", "stored signal %s: %w", partition, err)
		}
		if st.State != signalStored {
			return nil // queued or done: a duplicate delivery
		}
	} else {
		if row.ETag, seen, err = g.storeSignal(ctx, partition, st); err != nil {
			return err
		}
		if seen {
			return nil // another delivery of the same event is storing it now; it queues, or is found as an orphan
		}
	}
	if err := g.send(ctx, signalMessage(partition, s), delay); err != nil {
		return err
	}
	st.State = signalQueued
	return g.markSignal(ctx, partition, row.ETag, st)
}

// storeSignal writes the signal and, before it, its orphan mark: signals that
// were stored but never queued are found by the sweep without a scan of all.
func (g *Guard) storeSignal(ctx context.Context, partition string, st storedSignal) (etag string, taken bool, err error) {
	raw, err := canonical.JSON(st)
	if err != nil {
		return "", false, err
	}
	_, err = g.State.Apply(ctx, orphanShards, []store.Op{{Kind: store.Insert, Key: partition}})
	if err != nil && !fault.Is(err, fault.Conflict) {
		return "", false, err
	}
	etags, err := g.State.Apply(ctx, partition, []store.Op{{Kind: store.Insert, Key: signalRow, Value: raw}})
	switch {
	case fault.Is(err, fault.Conflict):
		return "", true, nil
	case err != nil:
		return "", false, err
	}
	return etags[0], false, nil
}

func (g *Guard) markSignal(ctx context.Context, partition, etag string, st storedSignal) error {
	raw, err := canonical.JSON(st)
	if err != nil {
		return err
	}
	_, err = g.State.Apply(ctx, partition, []store.Op{{Kind: store.Replace, Key: signalRow, Value: raw, ETag: etag}})
	if err != nil && !fault.Is(err, fault.Conflict) {
		return err // the message is queued: the redelivery costs a duplicate
	}
	return g.noteAge(ctx, partition, st.Received)
}

func (g *Guard) dropMark(ctx context.Context, partition, key string) error {
	row, ok, err := g.State.Get(ctx, partition, key)
	if err != nil || !ok {
		return err
	}
	_, err = g.State.Apply(ctx, partition, []store.Op{{Kind: store.Delete, Key: key, ETag: row.ETag}})
	if fault.Is(err, fault.Conflict) {
		return nil
	}
	return err
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n] + "..."
}
