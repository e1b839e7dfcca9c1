package journal

import (
	"context"
	"encoding/json"
	"time"

	"cmkguard/internal/canonical"
	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

type leaseValue struct {
	Owner string    `json:"owner"`
	Until time.Time `json:"until"`
}

func (q *Sequencer) lease(ctx context.Context) (bool, error) {
	row, ok, err := q.state.Get(ctx, sequencerPartition, leaseRow)
	if err != nil {
		return false, err
	}
	var held leaseValue
	if ok && json.Unmarshal(row.Value, &held) == nil && q.now().Before(held.Until) {
		return false, nil
	}
	return q.setLease(ctx, row.ETag, q.now().Add(leaseTime))
}

func (q *Sequencer) setLease(ctx context.Context, etag string, until time.Time) (bool, error) {
	raw, err := canonical.JSON(leaseValue{q.owner, until.UTC()})
	if err != nil {
		return false, err
	}
	op := store.Op{Kind: store.Insert, Key: leaseRow, Value: raw}
	if etag != "" {
		op.Kind, op.ETag = store.Replace, etag
	}
	_, err = q.state.Apply(ctx, sequencerPartition, []store.Op{op})
	if fault.Is(err, fault.Conflict) {
		return false, nil
	}
	return err == nil, err
}

// release ends the lease early. A failure costs the next fold a minute.
func (q *Sequencer) release(ctx context.Context) {
	row, ok, err := q.state.Get(ctx, sequencerPartition, leaseRow)
	var held leaseValue
	if err == nil && ok && json.Unmarshal(row.Value, &held) == nil && held.Owner == q.owner {
		_, _ = q.setLease(ctx, row.ETag, q.now().Add(-time.Second))
	}
}
