package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"cmkguard/internal/canonical"
	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

const (
	agenda      = "agenda" // partition of marks: one row per partition with something left to do
	headRow     = "head"
	maxAttempts = 25
)

// head is a partition's counter; it changes with every commit that has
// entries, and so serialises them.
type head struct {
	Seq int64 `json:"seq"`
}

// Recorder writes state and the entries that explain it in one batch.
type Recorder struct {
	state store.State
	build string
	now   func() time.Time
}

// NewRecorder returns a Recorder that signs entries with the build's version.
func NewRecorder(state store.State, build string, now func() time.Time) *Recorder {
	return &Recorder{state: state, build: build, now: now}
}

// Commit writes ops and entries in one batch of the partition, or nothing. A
// Conflict means that a condition of ops does not hold. A lost answer is
// settled by reading. Entries are numbered in their partition without gaps.
func (r *Recorder) Commit(ctx context.Context, partition string, entries []Entry, ops ...store.Op) error {
	if err := r.touch(ctx, partition); err != nil {
		return err
	}
	for range maxAttempts {
		row, ok, err := r.state.Get(ctx, partition, headRow)
		if err != nil {
			return err
		}
		batch, marker, err := r.batch(partition, row, ok, entries, ops)
		if err != nil {
			return err
		}
		_, err = r.state.Apply(ctx, partition, batch)
		switch {
		case err == nil:
			return nil
		case fault.Is(err, fault.Conflict):
			again, _, gerr := r.state.Get(ctx, partition, headRow)
			if gerr != nil {
				return gerr
			}
			if len(entries) == 0 || again.ETag == row.ETag {
				return err // the head stood still: a condition of ops failed
			}
		default:
			if landed, serr := r.landed(ctx, partition, marker); serr == nil && landed {
				return nil
			}
			return err
		}
	}
	return fault.New(fault.Transient, "journal.Commit", "partition %s is too busy", partition)
}

// batch builds the operations. marker is a row of the batch by which a lost
// answer is settled: our head, or the first operation.
func (r *Recorder) batch(partition string, row store.Row, ok bool, entries []Entry, ops []store.Op) ([]store.Op, store.Op, error) {
	out := append([]store.Op{}, ops...)
	if len(entries) == 0 {
		return out, ops[0], nil
	}
	var h head
	if ok {
		if err := json.Unmarshal(row.Value, &h); err != nil {
			return nil, store.Op{}, fault.New(fault.Invalid, "journal.Commit", "head of %s: %w", partition, err)
		}
	}
	var first store.Op
	for i, e := range entries {
		h.Seq++
		e.Schema, e.Partition, e.Seq, e.Time, e.Build = SchemaVersion, partition, h.Seq, r.now().UTC(), r.build
		raw, err := canonical.JSON(e)
		if err != nil {
			return nil, store.Op{}, fault.Wrap(fault.Invalid, "journal.Commit", err)
		}
		op := store.Op{Kind: store.Insert, Key: pendingKey(h.Seq), Value: raw}
		if i == 0 {
			first = op
		}
		out = append(out, op)
	}
	raw, err := canonical.JSON(h)
	if err != nil {
		return nil, store.Op{}, err
	}
	next := store.Op{Kind: store.Insert, Key: headRow, Value: raw}
	if ok {
		next.Kind, next.ETag = store.Replace, row.ETag
	}
	return append(out, next), first, nil
}

// landed reports whether a batch whose answer was lost is there: its marker
// row holds exactly our bytes. A sequencer may have folded it already; then the
// answer stays unknown to the caller, who reads the world before acting again.
func (r *Recorder) landed(ctx context.Context, partition string, marker store.Op) (bool, error) {
	row, ok, err := r.state.Get(ctx, partition, marker.Key)
	return ok && marker.Kind != store.Delete && bytes.Equal(row.Value, marker.Value), err
}

func pendingKey(seq int64) string { return fmt.Sprintf("entry~%016d", seq) }

// Mark is one partition on the agenda.
type Mark struct {
	Partition string
	ETag      string
}

// touch puts the partition on the agenda before the batch, or changes its
// mark, so that whoever is about to strike it off fails.
func (r *Recorder) touch(ctx context.Context, partition string) error {
	for range maxAttempts {
		row, ok, err := r.state.Get(ctx, agenda, partition)
		if err != nil {
			return err
		}
		op := store.Op{Kind: store.Insert, Key: partition}
		if ok {
			op.Kind, op.ETag = store.Replace, row.ETag
		}
		_, err = r.state.Apply(ctx, agenda, []store.Op{op})
		if err == nil || !fault.Is(err, fault.Conflict) {
			return err
		}
	}
	return fault.New(fault.Transient, "journal.touch", "the agenda is too busy")
}

// Open returns the partitions on the agenda, up to limit.
func (r *Recorder) Open(ctx context.Context, limit int) ([]Mark, error) {
	rows, err := r.state.Scan(ctx, agenda, "", "", limit)
	if err != nil {
		return nil, err
	}
	out := make([]Mark, 0, len(rows))
	for _, row := range rows {
		out = append(out, Mark{Partition: row.Key, ETag: row.ETag})
	}
	return out, nil
}

// Close strikes the mark off. Conflict means that the partition was committed
// to since the mark was read, and stays.
func (r *Recorder) Close(ctx context.Context, m Mark) error {
	_, err := r.state.Apply(ctx, agenda, []store.Op{{Kind: store.Delete, Key: m.Partition, ETag: m.ETag}})
	return err
}
