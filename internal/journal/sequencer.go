package journal

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"cmkguard/internal/canonical"
	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

const (
	sequencerPartition = "sequencer"
	stateRow           = "state"
	leaseRow           = "lease"
	leaseTime          = time.Minute
	foldEntries        = 1000
	foldBytes          = 3 << 20
)

// Checkpoint is a signed statement of the log's size and root.
type Checkpoint struct {
	Size int64
	Root tlog.Hash
	Note []byte // the signed note
}

// sealed is the sequencer's row: how far the logs are sealed.
type sealed struct {
	Size    int64            `json:"size"`    // entries
	Audit   int64            `json:"audit"`   // bytes of the audit series
	Signed  int64            `json:"signed"`  // size of the last checkpoint
	Note    string           `json:"note"`    // the last checkpoint
	Cleanup map[string]int64 `json:"cleanup"` // partition: entries up to this number are folded
}

// Sequencer folds pending entries of all partitions into one Merkle log. One
// at a time does by its lease; correctness rests on append positions and
// compare-and-swap, not on the lease.
type Sequencer struct {
	state  store.State
	rec    *Recorder
	audit  series
	hashes series
	notes  series
	signer note.Signer
	owner  string
	now    func() time.Time
}

// NewSequencer returns a Sequencer over the backend.
func NewSequencer(b store.Backend, s note.Signer, build string, now func() time.Time) *Sequencer {
	return &Sequencer{
		state: b.State, rec: NewRecorder(b.State, build, now), signer: s, now: now,
		owner: rand.Text(), // tells leases apart and decides nothing: it need not be injected
		audit: series{b.Log, "audit"}, hashes: series{b.Log, "hashes"}, notes: series{b.Log, "checkpoints"},
	}
}

// Fold seals what is pending. It can crash between any two of its writes: the
// next call adopts what is in the logs and never folds an entry twice. Another
// sequencer at work is not an error: the last checkpoint is returned.
func (q *Sequencer) Fold(ctx context.Context) (Checkpoint, error) {
	mine, err := q.lease(ctx)
	if err != nil {
		return Checkpoint{}, err
	}
	st, etag, err := q.load(ctx)
	if err != nil || !mine {
		return parseCheckpoint(st.Note), err
	}
	defer q.release(ctx)
	cp, err := q.fold(ctx, st, etag)
	if !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.Invalid) {
		return cp, err
	}
	// Our lease may have run out, and what looks wrong be another's progress.
	now, newer, lerr := q.load(ctx)
	if lerr == nil && (newer != etag || fault.Is(err, fault.Conflict)) {
		return parseCheckpoint(now.Note), nil
	}
	return Checkpoint{}, err
}

func (q *Sequencer) fold(ctx context.Context, st sealed, etag string) (Checkpoint, error) {
	if err := q.cleanup(ctx, st.Cleanup); err != nil {
		return Checkpoint{}, err
	}
	lines, upTo, err := q.gather(ctx, st)
	if err != nil {
		return Checkpoint{}, err
	}
	if len(lines) == 0 && st.Signed == st.Size {
		return parseCheckpoint(st.Note), nil
	}
	root, err := q.hash(ctx, st.Size, lines)
	if err != nil {
		return Checkpoint{}, err
	}
	if len(lines) > 0 {
		st.Cleanup = upTo
	}
	for _, l := range lines {
		st.Size, st.Audit = st.Size+1, st.Audit+int64(len(l))+1
	}
	if etag, err = q.save(ctx, st, etag); err != nil {
		return Checkpoint{}, err
	}
	cp, err := q.sign(ctx, st.Size, root)
	if err != nil {
		return Checkpoint{}, err
	}
	st.Signed, st.Note = st.Size, string(cp.Note)
	if _, err = q.save(ctx, st, etag); err != nil {
		return Checkpoint{}, err
	}
	return cp, q.cleanup(ctx, st.Cleanup)
}

func (q *Sequencer) load(ctx context.Context) (sealed, string, error) {
	row, ok, err := q.state.Get(ctx, sequencerPartition, stateRow)
	if err != nil || !ok {
		return sealed{}, "", err
	}
	var st sealed
	if err := json.Unmarshal(row.Value, &st); err != nil {
		return sealed{}, "", fault.New(fault.Invalid, "journal.Fold", "sequencer row: %w", err)
	}
	return st, row.ETag, nil
}

func (q *Sequencer) save(ctx context.Context, st sealed, etag string) (string, error) {
	raw, err := canonical.JSON(st)
	if err != nil {
		return "", err
	}
	op := store.Op{Kind: store.Insert, Key: stateRow, Value: raw}
	if etag != "" {
		op.Kind, op.ETag = store.Replace, etag
	}
	etags, err := q.state.Apply(ctx, sequencerPartition, []store.Op{op})
	if err != nil {
		return "", err
	}
	return etags[0], nil
}

// hash extends the hash log by the leaves from number size on and returns the
// tree's root. Hashes that a crashed predecessor wrote are not written again.
func (q *Sequencer) hash(ctx context.Context, size int64, lines [][]byte) (tlog.Hash, error) {
	base := tlog.StoredHashCount(size)
	r := &hashReader{ctx: ctx, s: q.hashes, base: base}
	for i, l := range lines {
		hs, err := tlog.StoredHashes(size+int64(i), l, r)
		if err != nil {
			return tlog.Hash{}, err
		}
		r.extra = append(r.extra, hs...)
	}
	have, err := q.hashes.length(ctx)
	if err != nil {
		return tlog.Hash{}, err
	}
	done := have/tlog.HashSize - base
	if done < 0 || done > int64(len(r.extra)) || have%tlog.HashSize != 0 {
		return tlog.Hash{}, fault.New(fault.Invalid, "journal.Fold", "the hash log has %d bytes; it does not fit %d sealed entries", have, size)
	}
	var block []byte
	for _, h := range r.extra[done:] {
		block = append(block, h[:]...)
	}
	if len(block) > 0 {
		if err := q.hashes.add(ctx, have, block); err != nil {
			return tlog.Hash{}, err
		}
	}
	return tlog.TreeHash(size+int64(len(lines)), r)
}

// noteLine is one line of the checkpoints log.
type noteLine struct {
	Note string `json:"note"`
}

func (q *Sequencer) sign(ctx context.Context, size int64, root tlog.Hash) (Checkpoint, error) {
	signed, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", origin, size, root)}, q.signer)
	if err != nil {
		return Checkpoint{}, fault.Wrap(fault.Invalid, "journal.sign", err)
	}
	line, err := canonical.JSON(noteLine{string(signed)})
	if err != nil {
		return Checkpoint{}, err
	}
	at, err := q.notes.length(ctx)
	if err != nil {
		return Checkpoint{}, err
	}
	if err := q.notes.add(ctx, at, append(line, '\n')); err != nil {
		return Checkpoint{}, err
	}
	return Checkpoint{Size: size, Root: root, Note: signed}, nil
}
