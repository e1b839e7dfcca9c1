package journal

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"cmkguard/internal/canonical"
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
func Verify(ctx context.Context, log store.Log, state store.State, v note.Verifier, o VerifyOptions) (Report, error) {
	var r Report
	audit, err := series{log, "audit"}.readFrom(ctx, 0)
	if err != nil {
		return r, err
	}
	hashes, err := series{log, "hashes"}.readFrom(ctx, 0)
	if err != nil {
		return r, err
	}
	notes, err := series{log, "checkpoints"}.readFrom(ctx, 0)
	if err != nil {
		return r, err
	}
	lines := splitLines(audit)
	r.Size = int64(len(lines))
	tree := newTree(lines)
	checkLeaves(&r, lines, tree, hashes)
	signed := checkNotes(&r, notes, tree, v)
	checkSequence(&r, lines)
	if len(audit) > 0 && audit[len(audit)-1] != '\n' {
		r.problem(r.Size-1, "the last line has no end: %s", describe(lines, r.Size-1))
	}
	if o.Known != nil {
		checkKnown(&r, o.Known, tree, v)
	}
	r.Unsealed = int(max(0, r.Size-signed))
	if state != nil {
		if err := checkState(ctx, &r, state, signed); err != nil {
			return r, err
		}
	}
	r.limits(o)
	return r, nil
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

// checkLeaves compares each entry with the leaf that was stored when it was
// sealed, and so names the first that changed.
func checkLeaves(r *Report, lines [][]byte, t *tree, hashes []byte) {
	if len(hashes)%tlog.HashSize != 0 {
		r.problem(-1, "the hash log has %d bytes, which is no whole number of hashes", len(hashes))
	}
	leafAt := func(i int64) (tlog.Hash, bool) {
		var h tlog.Hash
		at := tlog.StoredHashIndex(0, i) * tlog.HashSize
		if at+tlog.HashSize > int64(len(hashes)) {
			return h, false
		}
		copy(h[:], hashes[at:])
		return h, true
	}
	for i := range int64(len(lines)) {
		want, ok := leafAt(i)
		if !ok {
			return // appended since the last fold: unsealed
		}
		if got := tlog.RecordHash(lines[i]); got != want {
			r.problem(i, "%s: %s", describe(lines, i), manner(lines, leafAt, i))
			return // what follows a removal or insertion would all be named
		}
	}
	for i := range min(len(t.stored), len(hashes)/tlog.HashSize) {
		if !bytes.Equal(t.stored[i][:], hashes[i*tlog.HashSize:(i+1)*tlog.HashSize]) {
			r.problem(-1, "stored hash %d was changed; the entries themselves fit", i)
			return
		}
	}
	if n := len(hashes) / tlog.HashSize; n > len(t.stored) {
		r.problem(int64(len(lines)), "%d stored hashes are left over: entries were cut off the end", n-len(t.stored))
	}
}

// manner says whether the entry at i was changed, removed, inserted or moved.
func manner(lines [][]byte, leafAt func(int64) (tlog.Hash, bool), i int64) string {
	here := tlog.RecordHash(lines[i])
	want, _ := leafAt(i)
	next, hasNext := leafAt(i + 1)
	after := i+1 < int64(len(lines))
	switch {
	case hasNext && here == next && after && tlog.RecordHash(lines[i+1]) == want:
		return "changed places with the entry after it"
	case hasNext && here == next:
		return "stands where another entry was removed before it"
	case after && tlog.RecordHash(lines[i+1]) == want:
		return "was inserted"
	}
	return "was changed"
}

func describe(lines [][]byte, i int64) string {
	if i < 0 || i >= int64(len(lines)) {
		return "no entry"
	}
	var e Entry
	if json.Unmarshal(lines[i], &e) != nil {
		return fmt.Sprintf("entry %d (no longer readable)", i)
	}
	return fmt.Sprintf("entry %d (%s %s %s, number %d of %s)", i, e.Kind, e.Time.UTC().Format("2006-01-02T15:04:05Z"), e.Ref, e.Seq, e.Partition)
}

// checkNotes verifies every checkpoint and returns the largest good size.
func checkNotes(r *Report, notes []byte, t *tree, v note.Verifier) int64 {
	var good int64
	for i, line := range splitLines(notes) {
		cp, err := openNote(line, v)
		if err != nil {
			r.problem(-1, "checkpoint %d: %v", i, err)
			continue
		}
		r.Checkpoints++
		if cp.Size < good {
			r.problem(-1, "checkpoint %d goes back from %d to %d entries", i, good, cp.Size)
			continue
		}
		if err := fits(cp, t, r.Size); err != nil {
			r.problem(good, "entries %d to %d: checkpoint %d: %v", good, cp.Size-1, i, err)
			continue
		}
		good = cp.Size
	}
	if len(notes) > 0 && notes[len(notes)-1] != '\n' {
		r.problem(-1, "the last checkpoint line has no end")
	}
	return good
}

func fits(cp Checkpoint, t *tree, size int64) error {
	if cp.Size > size {
		return fmt.Errorf("it covers %d entries, the log has %d: entries were removed", cp.Size, size)
	}
	root, err := tlog.TreeHash(cp.Size, t)
	if err != nil {
		return err
	}
	if root != cp.Root {
		return fmt.Errorf("its root %s is not the entries' %s", cp.Root, root)
	}
	return nil
}

// openNote verifies one line. The line must be byte for byte what we write:
// JSON and base64 have several spellings of one value, and any other than ours
// was changed.
func openNote(line []byte, v note.Verifier) (Checkpoint, error) {
	var nl noteLine
	if err := json.Unmarshal(line, &nl); err != nil {
		return Checkpoint{}, fmt.Errorf("not readable: %w", err)
	}
	if again, err := canonical.JSON(nl); err != nil || !bytes.Equal(again, line) {
		return Checkpoint{}, fmt.Errorf("its line was changed")
	}
	return verifyNote([]byte(nl.Note), v)
}

func verifyNote(text []byte, v note.Verifier) (Checkpoint, error) {
	if _, err := note.Open(text, note.VerifierList(v)); err != nil {
		return Checkpoint{}, fmt.Errorf("signature: %w", err)
	}
	last := strings.TrimSuffix(string(text), "\n")
	sig := last[strings.LastIndexByte(last, ' ')+1:]
	if _, err := base64.StdEncoding.Strict().DecodeString(sig); err != nil {
		return Checkpoint{}, fmt.Errorf("signature: %w", err)
	}
	cp := parseCheckpoint(string(text))
	if cp.Note == nil {
		return Checkpoint{}, fmt.Errorf("it is not a checkpoint of this journal")
	}
	return cp, nil
}

// checkSequence finds a number that is missing, doubled or out of order in a
// partition: an entry that was committed and never reached the log.
func checkSequence(r *Report, lines [][]byte) {
	last := map[string]int64{}
	for i, l := range lines {
		var e Entry
		if err := json.Unmarshal(l, &e); err != nil {
			r.problem(int64(i), "entry %d is not readable: %v", i, err)
			return
		}
		if e.Seq != last[e.Partition]+1 {
			r.problem(int64(i), "%s: the one before it in its partition has number %d", describe(lines, int64(i)), last[e.Partition])
			return
		}
		last[e.Partition] = e.Seq
	}
}

func checkKnown(r *Report, known []byte, t *tree, v note.Verifier) {
	cp, err := verifyNote(known, v)
	if err != nil {
		r.problem(-1, "the checkpoint that you kept: %v", err)
		return
	}
	if err := fits(cp, t, r.Size); err != nil {
		r.problem(min(cp.Size, r.Size), "the checkpoint that you kept: %v", err)
	}
}

func checkState(ctx context.Context, r *Report, state store.State, signed int64) error {
	row, ok, err := state.Get(ctx, sequencerPartition, stateRow)
	if err != nil {
		return err
	}
	var st sealed
	if ok && json.Unmarshal(row.Value, &st) != nil {
		r.problem(-1, "the sequencer's row is not readable")
	}
	if st.Signed > signed {
		r.problem(signed, "the sequencer signed %d entries, the checkpoints cover %d", st.Signed, signed)
	}
	marks, err := (&Recorder{state: state}).Open(ctx, 10_000)
	if err != nil {
		return err
	}
	for _, m := range marks {
		rows, err := state.Scan(ctx, m.Partition, "entry~", "entry~~", 10_000)
		if err != nil {
			return err
		}
		for _, row := range rows {
			var e Entry
			if json.Unmarshal(row.Value, &e) == nil && e.Seq > st.Cleanup[m.Partition] {
				r.Unsealed++
			}
		}
	}
	return nil
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
