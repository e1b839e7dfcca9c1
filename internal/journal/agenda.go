package journal

import (
	"context"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// agenda is the partition of marks: one row per partition with something left
// to do, so that pending work is found without a scan of everything.
const agenda = "agenda"

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
	return r.openFrom(ctx, "", limit)
}

func (r *Recorder) openFrom(ctx context.Context, from string, limit int) ([]Mark, error) {
	rows, err := r.state.Scan(ctx, agenda, from, "", limit)
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

// eachMark calls fn for every mark on the agenda until it says stop. Marks
// stay open for as long as a partition has anything left to do, so that the
// first page alone would hide those behind it for ever.
func (r *Recorder) eachMark(ctx context.Context, fn func(Mark) (more bool, err error)) error {
	const page = 500
	for from := ""; ; {
		marks, err := r.openFrom(ctx, from, page)
		if err != nil {
			return err
		}
		for _, m := range marks {
			if more, err := fn(m); err != nil || !more {
				return err
			}
		}
		if len(marks) < page {
			return nil
		}
		from = marks[len(marks)-1].Partition + "-" // the least key that comes after it
	}
}
