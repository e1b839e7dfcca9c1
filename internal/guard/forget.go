package guard

import (
	"context"
	"encoding/json"
	"time"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

const (
	// signalsKept is how long a signal that is done stays, so that another delivery of
	// the same event is recognised: beyond the 90 days that an Event Hub keeps records
	// at the most (learn.microsoft.com event-hubs/event-hubs-quotas), from which all of
	// them come again when a checkpoint is lost. Event Grid delivers for a day, a
	// message of ours waits for seven at the most, and a dead letter until the next
	// sweep.
	signalsKept = 100 * 24 * time.Hour
	// forgottenAtOnce bounds what one sweep looks at: some seconds of a storage account.
	forgottenAtOnce = 3 * store.MaxBatchOps
	// agePrefix begins the rows, beside the orphan marks, that say on which day a signal
	// came: age~2026-11-01~signal~... They sort by day, so that what is due stands in
	// front and nothing else is read.
	agePrefix = "age~"
)

func ageRow(received time.Time, signal string) string {
	return agePrefix + received.UTC().Format(time.DateOnly) + "~" + signal
}

// noteAge notes when a queued signal came, and takes its orphan mark away in the same
// batch: a signal that is noted nowhere would never be found again.
func (g *Guard) noteAge(ctx context.Context, signal string, received time.Time) error {
	age := ageRow(received, signal)
	mark, ok, err := g.State.Get(ctx, orphanShards, signal)
	if err != nil {
		return err
	}
	ops := []store.Op{{Kind: store.Insert, Key: age}}
	if ok {
		ops = append(ops, store.Op{Kind: store.Delete, Key: signal, ETag: mark.ETag})
	}
	if _, err = g.State.Apply(ctx, orphanShards, ops); !fault.Is(err, fault.Conflict) {
		return err
	}
	// Another worker was faster with either.
	_, err = g.State.Apply(ctx, orphanShards, ops[:1])
	if err != nil && !fault.Is(err, fault.Conflict) {
		return err
	}
	return g.dropMark(ctx, orphanShards, signal)
}

// forgetSignals deletes signals that were done long ago, so many at the most. What is
// not done stays, however old, and is looked at again a day later. A kill leaves only
// rows that the next sweep takes up: the signal goes first, its age after it.
func (g *Guard) forgetSignals(ctx context.Context) error {
	limit := g.Now().UTC().Add(-signalsKept)
	for seen := 0; seen < forgottenAtOnce; {
		rows, err := g.State.Scan(ctx, orphanShards, agePrefix, agePrefix+limit.Format(time.DateOnly), store.MaxBatchOps)
		if err != nil || len(rows) == 0 {
			return asRecordError(err)
		}
		var ops []store.Op
		for _, row := range rows {
			if err := g.forgetSignal(ctx, row.Key[len(agePrefix)+len(time.DateOnly)+1:], limit.AddDate(0, 0, 1)); err != nil {
				return err
			}
			ops = append(ops, store.Op{Kind: store.Delete, Key: row.Key, ETag: row.ETag})
		}
		if _, err := g.State.Apply(ctx, orphanShards, ops); err != nil {
			if fault.Is(err, fault.Conflict) { // another sweep is at it
				return nil
			}
			return asRecordError(err)
		}
		seen += len(rows)
	}
	return nil
}

// forgetSignal deletes the signal if it is done, and notes another age if it stays.
func (g *Guard) forgetSignal(ctx context.Context, signal string, age time.Time) error {
	row, ok, err := g.get(ctx, signal, signalRow)
	if err != nil || !ok {
		return err
	}
	partition, op := signal, store.Op{Kind: store.Delete, Key: signalRow, ETag: row.ETag}
	var st storedSignal
	if json.Unmarshal(row.Value, &st) != nil || st.State != signalDone {
		partition, op = orphanShards, store.Op{Kind: store.Insert, Key: ageRow(age, signal)}
	}
	if _, err = g.State.Apply(ctx, partition, []store.Op{op}); fault.Is(err, fault.Conflict) {
		return nil // another sweep did it, which notes what is left
	}
	return asRecordError(err)
}
