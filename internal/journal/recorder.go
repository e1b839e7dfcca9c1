package journal

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"cmkguard/internal/canonical"
	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

const (
	headRow     = "head"
	maxAttempts = 25
)

// keptNonces is how many commits back a lost answer can be settled.
const keptNonces = 64

// head is a partition's counter. It changes with every commit, and so puts
// them in one order.
type head struct {
	Seq int64 `json:"seq"`
	// Recent names the last commits, the newest last: who lost an answer looks
	// for its own, even after its entries were folded and deleted.
	Recent []string `json:"recent,omitempty"`
}

// ErrBusy is in the error of a commit that others came before each time: the storage
// is well, and the next try is soon worth it.
var ErrBusy = errors.New("others commit there")

// lanes is how many partitions can be told apart by those who commit at once.
const lanes = 64

// Recorder writes state and the entries that explain it in one batch.
type Recorder struct {
	state store.State
	build string
	now   func() time.Time
	// lane lets one commit of this process at a time into a partition: a burst of
	// signals about one key would otherwise take each other's turn, and read and write
	// n times for each of n. Other instances are met by the head's ETag.
	lane [lanes]chan struct{}
}

// NewRecorder returns a Recorder that marks entries with the build's version.
func NewRecorder(state store.State, build string, now func() time.Time) *Recorder {
	r := &Recorder{state: state, build: build, now: now}
	for i := range r.lane {
		r.lane[i] = make(chan struct{}, 1)
	}
	return r
}

// enter waits for the partition's lane, as long as the caller may.
func (r *Recorder) enter(ctx context.Context, partition string) (leave func(), err error) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(partition)) // never fails (hash.Hash)
	lane := r.lane[h.Sum32()%lanes]
	select {
	case lane <- struct{}{}:
		return func() { <-lane }, nil
	case <-ctx.Done():
		return nil, fault.New(fault.Transient, "journal.Commit", "partition %s: %w", partition, errors.Join(ErrBusy, ctx.Err()))
	}
}

// Commit writes ops and entries in one batch of the partition, or nothing. A
// Conflict means that a condition of ops does not hold. Entries are numbered
// in their partition without gaps. A lost answer is settled by reading; where
// that fails too, the error is the store's and the batch may have landed. An error
// that is ErrBusy says that the storage is well.
func (r *Recorder) Commit(ctx context.Context, partition string, entries []Entry, ops ...store.Op) error {
	if len(entries)+len(ops) == 0 {
		return nil
	}
	leave, err := r.enter(ctx, partition)
	if err != nil {
		return err
	}
	defer leave()
	nonce := rand.Text()[:16] // a name, which decides nothing: it need not be injected
	var at time.Time
	for range maxAttempts {
		if now := r.now(); at.IsZero() || now.Sub(at) > announceAgain {
			if err := r.announce(ctx, partition, nonce); err != nil {
				return err
			}
			at = now
		}
		before, err := r.head(ctx, partition)
		if err != nil {
			return err
		}
		batch, err := r.batch(partition, before, nonce, entries, ops)
		if err != nil {
			return err
		}
		_, failed := r.state.Apply(ctx, partition, batch)
		if failed == nil || fault.Is(failed, fault.Invalid) || fault.Is(failed, fault.Denied) {
			return failed
		}
		again, err := r.settle(ctx, partition, before, nonce, failed)
		if !again {
			return err
		}
	}
	return fault.New(fault.Transient, "journal.Commit", "partition %s is too busy: %w", partition, ErrBusy)
}

// settle finds out what became of a batch whose answer is an error. Even a
// Conflict can hide our own success: a client that repeats a request whose
// answer was lost is told so.
func (r *Recorder) settle(ctx context.Context, partition string, before headState, nonce string, failed error) (again bool, err error) {
	now, err := r.head(ctx, partition)
	switch {
	case err != nil && fault.Is(failed, fault.Conflict):
		return false, fault.Wrap(fault.Unknown, "journal.Commit", err)
	case err != nil, now.etag == before.etag:
		// Unread, or the head stood still: a condition of ops failed, or the
		// batch did not land (and, if the failure is Unknown, still might).
		return false, failed
	case slices.Contains(now.Recent, nonce):
		return false, nil
	case len(now.Recent) == keptNonces && !slices.Contains(now.Recent, before.last()):
		return false, fault.New(fault.Unknown, "journal.Commit", "partition %s moved on too far to settle: %w", partition, errors.Join(ErrBusy, failed))
	}
	return true, nil // others came first, and ours can land no more: its head is gone
}

type headState struct {
	head
	etag string // "" if there is no head yet
}

func (h headState) last() string {
	if len(h.Recent) == 0 {
		return ""
	}
	return h.Recent[len(h.Recent)-1]
}

func (r *Recorder) head(ctx context.Context, partition string) (headState, error) {
	row, ok, err := r.state.Get(ctx, partition, headRow)
	if err != nil || !ok {
		return headState{}, err
	}
	h := headState{etag: row.ETag}
	if err := json.Unmarshal(row.Value, &h.head); err != nil {
		return h, fault.New(fault.Invalid, "journal.Commit", "head of %s: %w", partition, err)
	}
	return h, nil
}

// batch is the caller's operations, one row per entry, and the head.
func (r *Recorder) batch(partition string, before headState, nonce string, entries []Entry, ops []store.Op) ([]store.Op, error) {
	out := slices.Clone(ops)
	next := head{Seq: before.Seq, Recent: append(slices.Clone(before.Recent), nonce)}
	next.Recent = next.Recent[max(0, len(next.Recent)-keptNonces):]
	now := r.now().UTC()
	for _, e := range entries {
		next.Seq++
		e.Schema, e.Partition, e.Seq, e.Time, e.Build = SchemaVersion, partition, next.Seq, now, r.build
		raw, err := canonical.JSON(e)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, "journal.Commit", err)
		}
		out = append(out, store.Op{Kind: store.Insert, Key: pendingKey(next.Seq), Value: raw})
	}
	raw, err := canonical.JSON(next)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "journal.Commit", err)
	}
	op := store.Op{Kind: store.Insert, Key: headRow, Value: raw}
	if before.etag != "" {
		op.Kind, op.ETag = store.Replace, before.etag
	}
	return append(out, op), nil
}

func pendingKey(seq int64) string { return fmt.Sprintf("entry~%016d", seq) }
