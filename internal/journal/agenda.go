package journal

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"cmkguard/internal/canonical"
	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

const (
	// agenda is the partition of marks: one row per partition with something
	// left to do, so that pending work is found without a scan of everything.
	agenda = "agenda"
	// announcedFor is how long a commit that was announced on a mark and not
	// seen to land keeps the mark: its batch may still be on its way.
	announcedFor = 10 * time.Minute
	// announceAgain is how old an announcement may be when its batch is sent:
	// well inside announcedFor, so that no batch lands after its mark expired.
	announceAgain  = 2 * time.Minute
	maxAnnounced   = 256
	agendaPageSize = 500
)

// announced is a commit that is about to land in the mark's partition.
type announced struct {
	Nonce string    `json:"n"`
	At    time.Time `json:"at"`
}

// Mark is one partition on the agenda.
type Mark struct {
	Partition string
	etag      string
	begun     []announced
}

// markRow is what a mark's row holds.
type markRow struct {
	Begun []announced `json:"begun"`
}

// announce puts the partition on the agenda before the batch and names the
// commit there. A mark is struck off only when everything that was announced on
// it has landed or can land no more; otherwise a batch that lands between the
// look and the strike would be on nobody's agenda: an alert that is never sent.
func (r *Recorder) announce(ctx context.Context, partition, nonce string) error {
	for range maxAttempts {
		row, ok, err := r.state.Get(ctx, agenda, partition)
		if err != nil {
			return err
		}
		raw, err := canonical.JSON(markRow{r.withAnnounced(decodeMark(row).begun, nonce)})
		if err != nil {
			return err
		}
		op := store.Op{Kind: store.Insert, Key: partition, Value: raw}
		if ok {
			op.Kind, op.ETag = store.Replace, row.ETag
		}
		_, err = r.state.Apply(ctx, agenda, []store.Op{op})
		if err == nil || !fault.Is(err, fault.Conflict) {
			return err
		}
	}
	return fault.New(fault.Transient, "journal.announce", "the agenda is too busy")
}

func (r *Recorder) withAnnounced(begun []announced, nonce string) []announced {
	now := r.now().UTC()
	begun = slices.DeleteFunc(slices.Clone(begun), func(a announced) bool {
		return a.Nonce == nonce || now.Sub(a.At) > announcedFor
	})
	begun = append(begun, announced{nonce, now})
	return begun[max(0, len(begun)-maxAnnounced):]
}

// decodeMark reads a mark; one that cannot be read announces nothing, and is
// struck off like any other once its partition has nothing left.
func decodeMark(row store.Row) Mark {
	m := Mark{Partition: row.Key, etag: row.ETag}
	var v markRow
	if json.Unmarshal(row.Value, &v) == nil {
		m.begun = v.Begun
	}
	return m
}

// Each calls fn for every mark on the agenda. Marks stay for as long as a
// partition has anything left to do, so that the first page alone would hide
// those behind it for ever.
func (r *Recorder) Each(ctx context.Context, fn func(Mark) error) error {
	return r.eachMark(ctx, func(m Mark) (bool, error) { return true, fn(m) })
}

// Strike takes the partition off the agenda unless left finds something to do
// in it, or a commit is announced that may still land, or one has come since
// the mark was read.
func (r *Recorder) Strike(ctx context.Context, m Mark, left func(ctx context.Context, partition string) (bool, error)) error {
	// The order makes it sound: what landed before this look is seen by left,
	// what lands after it is announced on the mark.
	h, err := r.head(ctx, m.Partition)
	if err != nil {
		return err
	}
	for _, a := range m.begun {
		if !slices.Contains(h.Recent, a.Nonce) && r.now().Sub(a.At) <= announcedFor {
			return nil
		}
	}
	if more, err := left(ctx, m.Partition); err != nil || more {
		return err
	}
	_, err = r.state.Apply(ctx, agenda, []store.Op{{Kind: store.Delete, Key: m.Partition, ETag: m.etag}})
	if fault.Is(err, fault.Conflict) {
		return nil
	}
	return err
}

func (r *Recorder) eachMark(ctx context.Context, fn func(Mark) (more bool, err error)) error {
	for from := ""; ; {
		rows, err := r.state.Scan(ctx, agenda, from, "", agendaPageSize)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if more, err := fn(decodeMark(row)); err != nil || !more {
				return err
			}
		}
		if len(rows) < agendaPageSize {
			return nil
		}
		from = rows[len(rows)-1].Key + "-" // the least key that comes after it
	}
}
