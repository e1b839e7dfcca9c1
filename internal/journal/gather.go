package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// gather returns the new leaves in order: what a crashed predecessor appended
// beyond the sealed part, then what is pending, which it appends first.
func (q *Sequencer) gather(ctx context.Context, st sealed) ([][]byte, map[string]int64, error) {
	tail, err := q.audit.readFrom(ctx, st.Audit)
	if err != nil {
		return nil, nil, err
	}
	have, err := q.audit.length(ctx)
	if err != nil {
		return nil, nil, err
	}
	if have < st.Audit {
		return nil, nil, fault.New(fault.Invalid, "journal.Fold",
			"the audit log has %d bytes of %d that were sealed: it was cut; verify it and restore it", have, st.Audit)
	}
	lines := splitLines(tail)
	upTo := map[string]int64{}
	for _, l := range lines {
		var e Entry
		if err := json.Unmarshal(l, &e); err != nil {
			return nil, nil, fault.New(fault.Invalid, "journal.Fold", "unsealed line in the audit log: %w", err)
		}
		upTo[e.Partition] = max(upTo[e.Partition], e.Seq)
	}
	fresh, err := q.pending(ctx, upTo)
	if err != nil || len(fresh) == 0 {
		return lines, upTo, err
	}
	block := append(bytes.Join(fresh, []byte("\n")), '\n')
	if err := q.audit.add(ctx, st.Audit+int64(len(tail)), block); err != nil {
		return nil, nil, err
	}
	return append(lines, fresh...), upTo, nil
}

// pending returns the entries of the partitions on the agenda, in their order,
// and raises upTo to what it takes. What does not fit into one block comes with
// the next fold.
func (q *Sequencer) pending(ctx context.Context, upTo map[string]int64) ([][]byte, error) {
	var out [][]byte
	room := foldBytes
	err := q.rec.eachMark(ctx, func(m Mark) (bool, error) {
		rows, err := q.state.Scan(ctx, m.Partition, "entry~", "entry~~", foldEntries)
		if err != nil {
			return false, err
		}
		for _, row := range rows {
			seq, err := pendingSeq(row)
			if err != nil {
				return false, err
			}
			if seq <= upTo[m.Partition] {
				continue // adopted from the tail
			}
			if room -= len(row.Value) + 1; len(out) == foldEntries || room < 0 {
				return false, nil
			}
			out, upTo[m.Partition] = append(out, row.Value), seq
		}
		return true, nil
	})
	return out, err
}

// pendingSeq returns the number of a pending entry, whose row must be one that
// a Recorder wrote: anything else must not get into the log.
func pendingSeq(row store.Row) (int64, error) {
	var e Entry
	err := json.Unmarshal(row.Value, &e)
	if err == nil && (e.Partition != row.Partition || pendingKey(e.Seq) != row.Key || bytes.IndexByte(row.Value, '\n') >= 0) {
		err = fmt.Errorf("it says that it is %s of %s", pendingKey(e.Seq), e.Partition)
	}
	if err != nil {
		return 0, fault.New(fault.Invalid, "journal.Fold", "pending %s/%s is not ours: %w", row.Partition, row.Key, err)
	}
	return e.Seq, nil
}

// cleanup deletes folded entries; it may find them gone.
func (q *Sequencer) cleanup(ctx context.Context, upTo map[string]int64) error {
	for partition, seq := range upTo {
		for {
			rows, err := q.state.Scan(ctx, partition, "entry~", pendingKey(seq+1), store.MaxBatchOps)
			if err != nil {
				return err
			}
			if len(rows) == 0 {
				break
			}
			ops := make([]store.Op, 0, len(rows))
			for _, row := range rows {
				ops = append(ops, store.Op{Kind: store.Delete, Key: row.Key, ETag: row.ETag})
			}
			if _, err := q.state.Apply(ctx, partition, ops); err != nil && !fault.Is(err, fault.Conflict) {
				return err
			}
		}
	}
	return nil
}

func splitLines(b []byte) [][]byte {
	if len(b) == 0 {
		return nil
	}
	return bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))
}
