package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
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
		owner: fmt.Sprintf("%s-%d", build, now().UnixNano()),
		audit: series{b.Log, "audit"}, hashes: series{b.Log, "hashes"}, notes: series{b.Log, "checkpoints"},
	}
}

// Fold seals what is pending. It can crash between any two of its steps: the
// next call adopts what is in the logs and never folds an entry twice. Busy
// elsewhere is not an error: the last checkpoint is returned.
func (q *Sequencer) Fold(ctx context.Context) (Checkpoint, error) {
	mine, err := q.lease(ctx)
	if err != nil {
		return Checkpoint{}, err
	}
	if mine {
		defer q.release(ctx)
	}
	st, etag, err := q.load(ctx)
	if err != nil || !mine {
		return parseCheckpoint(st.Note), err
	}
	cp, err := q.fold(ctx, st, etag)
	if fault.Is(err, fault.Conflict) {
		return parseCheckpoint(st.Note), nil // a sequencer whose lease ran out is still at work
	}
	return cp, err
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
	st.Size += int64(len(lines))
	for _, l := range lines {
		st.Audit += int64(len(l)) + 1
	}
	st.Cleanup = upTo
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
	return cp, q.cleanup(ctx, upTo)
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

// gather returns the new leaves in order: what a crashed predecessor appended
// beyond the sealed part, then what is pending, which it appends first.
func (q *Sequencer) gather(ctx context.Context, st sealed) ([][]byte, map[string]int64, error) {
	tail, err := q.audit.readFrom(ctx, st.Audit)
	if err != nil {
		return nil, nil, err
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

// pending reads the entries of the partitions on the agenda, in their order,
// and raises upTo to what it takes.
func (q *Sequencer) pending(ctx context.Context, upTo map[string]int64) ([][]byte, error) {
	marks, err := q.rec.Open(ctx, foldEntries)
	if err != nil {
		return nil, err
	}
	var out [][]byte
	bytesLeft := foldBytes
	for _, m := range marks {
		rows, err := q.state.Scan(ctx, m.Partition, "entry~", "entry~~", foldEntries)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			var e Entry
			if err := json.Unmarshal(row.Value, &e); err != nil {
				return nil, fault.New(fault.Invalid, "journal.Fold", "pending %s/%s: %w", m.Partition, row.Key, err)
			}
			if e.Seq <= upTo[m.Partition] {
				continue // adopted from the tail
			}
			if len(out) == foldEntries || bytesLeft < len(row.Value)+1 {
				return out, nil // the rest comes with the next fold
			}
			out, bytesLeft = append(out, row.Value), bytesLeft-len(row.Value)-1
			upTo[m.Partition] = e.Seq
		}
	}
	return out, nil
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

func splitLines(b []byte) [][]byte {
	if len(b) == 0 {
		return nil
	}
	return bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))
}

// parseCheckpoint reads size and root of our own note; the zero Checkpoint if
// there is none.
func parseCheckpoint(text string) Checkpoint {
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) < 4 || lines[0] != origin {
		return Checkpoint{}
	}
	var size int64
	if _, err := fmt.Sscanf(lines[1], "%d", &size); err != nil || fmt.Sprint(size) != lines[1] {
		return Checkpoint{}
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return Checkpoint{}
	}
	return Checkpoint{Size: size, Root: root, Note: []byte(text)}
}
