package journal

import (
	"context"
	"encoding/json"
	"fmt"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// VerifyOptions are what the verifier brings along.
type VerifyOptions struct {
	Known []byte // a checkpoint kept elsewhere; finds a log that was cut short
}

// Problem is one thing that does not verify.
type Problem struct {
	Entry int64 // index in the log, from 0; -1 where no entry can be named
	What  string
}

// Report is the answer of Verify.
type Report struct {
	Size        int64
	Checkpoints int
	Unsealed    int // entries that no checkpoint covers: pending, or appended since
	Problems    []Problem
	Limits      []string // what these means cannot prove
}

func (r *Report) problem(entry int64, format string, args ...any) {
	r.Problems = append(r.Problems, Problem{Entry: entry, What: fmt.Sprintf(format, args...)})
}

// Verify reads the whole journal and reports everything that does not fit:
// leaves against the hash log, the hash log against the entries, every
// checkpoint's signature and root, and the numbering of each partition. state
// may be nil; with it, pending entries are counted and a log that was cut
// behind the sequencer's back is seen.
//
// What is sealed while this reads is left out, not misread: the sequencer writes
// entries, hashes, checkpoint and its row in this order, and they are read in the
// other.
func Verify(ctx context.Context, log store.Log, state store.State, v note.Verifier, o VerifyOptions) (Report, error) {
	var r Report
	st, err := readSealed(ctx, &r, state)
	if err != nil {
		return r, err
	}
	notes, err := series{log, "checkpoints"}.readFrom(ctx, 0)
	if err != nil {
		return r, err
	}
	hashes, err := series{log, "hashes"}.readFrom(ctx, 0)
	if err != nil {
		return r, err
	}
	audit, err := series{log, "audit"}.readFrom(ctx, 0)
	if err != nil {
		return r, err
	}
	lines := splitLines(audit)
	r.Size = int64(len(lines))
	tree := newTree(lines)
	checkLeaves(&r, lines, hashes)
	checkStored(&r, tree, hashes)
	signed := checkNotes(&r, notes, tree, v)
	if want := tlog.StoredHashCount(min(signed, r.Size)) * tlog.HashSize; int64(len(hashes)) < want {
		r.problem(-1, "the hash log has %d bytes, the checkpoints cover %d: hashes were cut off", len(hashes), want)
	}
	if len(r.Problems) == 0 {
		checkSequence(&r, lines) // else every entry behind a removal would be named
	}
	checkEnd(&r, audit, lines)
	if o.Known != nil {
		checkKnown(&r, o.Known, tree, v)
	}
	r.Unsealed = int(max(0, r.Size-signed))
	if state != nil {
		if err := checkState(ctx, &r, state, st, signed); err != nil {
			return r, err
		}
	}
	r.limits(o)
	return r, nil
}

// checkEnd: a line that was cut has no end.
func checkEnd(r *Report, audit []byte, lines [][]byte) {
	if len(audit) > 0 && audit[len(audit)-1] != '\n' {
		r.problem(r.Size-1, "entry %d (%s): its line has no end", r.Size-1, describe(lines[r.Size-1]))
	}
}

func (r *Report) limits(o VerifyOptions) {
	if r.Unsealed > 0 {
		r.Limits = append(r.Limits, fmt.Sprintf("the %d unsealed entries at the end: until a checkpoint covers them, whoever can write the store can change them", r.Unsealed))
	}
	if o.Known == nil {
		r.Limits = append(r.Limits, "that nothing was cut off the end together with its checkpoints: compare with a checkpoint that you kept elsewhere (--checkpoint)")
	}
	r.Limits = append(r.Limits, "anything against somebody who holds the signing key and the store: keep the verifier key and checkpoints where they cannot write")
}

// tree is the Merkle tree recomputed from the entries, in memory.
type tree struct{ stored []tlog.Hash }

func newTree(lines [][]byte) *tree {
	t := &tree{}
	for i, l := range lines {
		hs, err := tlog.StoredHashes(int64(i), l, t)
		if err != nil {
			return t // unreachable: every hash that is asked for is in memory
		}
		t.stored = append(t.stored, hs...)
	}
	return t
}

// ReadHashes implements tlog.HashReader.
func (t *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x >= int64(len(t.stored)) {
			return nil, fault.New(fault.Invalid, "journal.tree", "hash %d is beyond the log", x)
		}
		out[i] = t.stored[x]
	}
	return out, nil
}

// checkSequence finds a number that is missing, doubled or out of order in a
// partition: an entry that was committed and never reached the log.
func checkSequence(r *Report, lines [][]byte) {
	last := map[string]int64{}
	for i, l := range lines {
		var e Entry
		if err := json.Unmarshal(l, &e); err != nil {
			r.problem(int64(i), "entry %d is not readable: %v", i, err)
			continue
		}
		if e.Seq != last[e.Partition]+1 {
			r.problem(int64(i), "entry %d (%s): the one before it in its partition has number %d", i, describe(l), last[e.Partition])
		}
		last[e.Partition] = e.Seq
	}
}

// readSealed returns the sequencer's row; the zero value without a state.
func readSealed(ctx context.Context, r *Report, state store.State) (st sealed, err error) {
	if state == nil {
		return st, nil
	}
	row, ok, err := state.Get(ctx, sequencerPartition, stateRow)
	if err == nil && ok && json.Unmarshal(row.Value, &st) != nil {
		r.problem(-1, "the sequencer's row is not readable")
	}
	return st, err
}

func checkState(ctx context.Context, r *Report, state store.State, st sealed, signed int64) error {
	if st.Signed > signed {
		r.problem(-1, "the sequencer signed %d entries, the checkpoints cover %d", st.Signed, signed)
	}
	return (&Recorder{state: state}).eachMark(ctx, func(m Mark) (bool, error) {
		n, err := countPending(ctx, state, m.Partition, st.Cleanup[m.Partition])
		r.Unsealed += n
		return true, err
	})
}

// countPending counts the entries that wait to be folded.
func countPending(ctx context.Context, state store.State, partition string, folded int64) (int, error) {
	const page = 1000
	for n, from := 0, pendingKey(folded+1); ; {
		rows, err := state.Scan(ctx, partition, from, "entry~~", page)
		if n += len(rows); err != nil || len(rows) < page {
			return n, err
		}
		from = rows[page-1].Key + "-"
	}
}

// Read calls fn for every entry of the log from the index on.
func Read(ctx context.Context, log store.Log, from int64, fn func(index int64, e Entry) error) error {
	raw, err := series{log, "audit"}.readFrom(ctx, 0)
	if err != nil {
		return err
	}
	for i, l := range splitLines(raw) {
		if int64(i) < from {
			continue
		}
		var e Entry
		if err := json.Unmarshal(l, &e); err != nil {
			return fault.New(fault.Invalid, "journal.Read", "entry %d: %w", i, err)
		}
		if err := fn(int64(i), e); err != nil {
			return err
		}
	}
	return nil
}
