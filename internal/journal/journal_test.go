package journal_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"cmkguard/internal/fault"
	"cmkguard/internal/journal"
	"cmkguard/internal/store"
	"cmkguard/internal/store/memstore"
)

var ctx = context.Background()

type kit struct {
	b      store.Backend
	now    time.Time
	signer note.Signer
	v      note.Verifier
}

func newKit(t *testing.T) *kit {
	t.Helper()
	k := &kit{now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}
	k.b = memstore.New(k.clock).Backend()
	s, text, err := journal.LoadOrCreateKey(filepath.Join(t.TempDir(), "key.pem"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if k.v, err = journal.NewVerifier(text); err != nil {
		t.Fatal(err)
	}
	k.signer = s
	return k
}

func (k *kit) clock() time.Time { return k.now }

func (k *kit) commit(t *testing.T, partition string, n int) {
	t.Helper()
	rec := journal.NewRecorder(k.b.State, "test", k.clock)
	for i := range n {
		e := journal.Entry{Kind: journal.KindSignal, Subject: "key:kv/k", Ref: fmt.Sprintf("%s-%d", partition, i), Text: "something happened"}
		if err := rec.Commit(ctx, partition, []journal.Entry{e}); err != nil {
			t.Fatal(err)
		}
	}
}

func (k *kit) fold(t *testing.T) journal.Checkpoint {
	t.Helper()
	cp, err := journal.NewSequencer(k.b, k.signer, "test", k.clock).Fold(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return cp
}

func (k *kit) verify(t *testing.T, log store.Log, known []byte) journal.Report {
	t.Helper()
	r, err := journal.Verify(ctx, log, k.b.State, k.v, journal.VerifyOptions{Known: known})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// changed shows a log through a change of its bytes.
type changed struct {
	store.Log
	name   string
	change func([]byte) []byte
}

func (c changed) bytes(ctx context.Context, log string) ([]byte, error) {
	n, _, err := c.Log.Size(ctx, log)
	if err != nil {
		return nil, err
	}
	b, err := c.Log.Read(ctx, log, 0, int(n))
	if err == nil && log == c.name {
		b = c.change(b)
	}
	return b, err
}

func (c changed) Read(ctx context.Context, log string, from int64, limit int) ([]byte, error) {
	b, err := c.bytes(ctx, log)
	if err != nil || from >= int64(len(b)) {
		return nil, err
	}
	return b[from:min(from+int64(limit), int64(len(b)))], nil
}

func (c changed) Size(ctx context.Context, log string) (int64, int, error) {
	b, err := c.bytes(ctx, log)
	return int64(len(b)), 1, err
}

func TestAnUntouchedJournalVerifies(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.commit(t, "a", 3)
	k.fold(t)
	k.commit(t, "b", 2)
	k.commit(t, "a", 2)
	cp := k.fold(t)
	r := k.verify(t, k.b.Log, cp.Note)
	if len(r.Problems) != 0 || r.Size != 7 || r.Checkpoints != 2 || r.Unsealed != 0 {
		t.Fatalf("%+v", r)
	}
	k.commit(t, "a", 1)
	if r := k.verify(t, k.b.Log, nil); r.Unsealed != 1 || len(r.Limits) < 3 {
		t.Fatalf("an unsealed entry and its limits are not told: %+v", r)
	}
}

func TestEveryChangedByteIsFoundAndNamed(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.commit(t, "a", 3)
	k.fold(t)
	k.commit(t, "b", 2)
	k.fold(t)
	for _, name := range []string{"audit-000001", "hashes-000001", "checkpoints-000001"} {
		size, _, err := k.b.Log.Size(ctx, name)
		if err != nil || size == 0 {
			t.Fatal(name, size, err)
		}
		raw, _ := k.b.Log.Read(ctx, name, 0, int(size))
		for i := range int(size) {
			for _, bit := range []byte{1, 0x20} {
				r := k.verify(t, changed{k.b.Log, name, func(b []byte) []byte { b[i] ^= bit; return b }}, nil)
				if len(r.Problems) == 0 {
					t.Fatalf("%s: byte %d ^ %#x (%q) is not found", name, i, bit, raw[i])
				}
				if line := int64(strings.Count(string(raw[:i]), "\n")); name == "audit-000001" && r.Problems[0].Entry != line {
					t.Fatalf("byte %d is in entry %d, named was %+v", i, line, r.Problems[0])
				}
			}
		}
	}
}

func TestRemovedInsertedMovedAndCut(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.commit(t, "a", 5)
	cp := k.fold(t)
	edit := func(f func(lines []string) []string) func([]byte) []byte {
		return func(b []byte) []byte {
			lines := f(strings.SplitAfter(strings.TrimSuffix(string(b), "\n"), "\n"))
			return []byte(strings.TrimSuffix(strings.Join(lines, ""), "\n") + "\n")
		}
	}
	cases := map[string]struct {
		change func([]byte) []byte
		entry  int64
		what   string
	}{
		"removed":  {edit(func(l []string) []string { return append(l[:2:2], l[3:]...) }), 2, "removed"},
		"inserted": {edit(func(l []string) []string { return append(l[:2:2], append([]string{l[0]}, l[2:]...)...) }), 2, "inserted"},
		"moved":    {edit(func(l []string) []string { l[1], l[2] = l[2], l[1]; return l }), 1, "changed places"},
		"cut":      {edit(func(l []string) []string { return l[:3] }), 3, "cut off"},
	}
	for name, c := range cases {
		r := k.verify(t, changed{k.b.Log, "audit-000001", c.change}, nil)
		if len(r.Problems) == 0 || r.Problems[0].Entry != c.entry || !strings.Contains(r.Problems[0].What, c.what) {
			t.Errorf("%s: %+v", name, r.Problems)
		}
	}
	empty := memstore.New(k.clock).Backend()
	r, err := journal.Verify(ctx, empty.Log, nil, k.v, journal.VerifyOptions{Known: cp.Note})
	if err != nil || len(r.Problems) == 0 {
		t.Fatalf("a log that vanished whole is not found by a kept checkpoint: %+v %v", r, err)
	}
}

// broken fails the n-th write of any port, before or after its effect.
type broken struct {
	store.State
	store.Log
	left  *int
	after bool
}

func (b broken) trip() bool { *b.left--; return *b.left == 0 }

func (b broken) Apply(ctx context.Context, p string, ops []store.Op) ([]string, error) {
	if !b.trip() {
		return b.State.Apply(ctx, p, ops)
	}
	if b.after {
		if _, err := b.State.Apply(ctx, p, ops); err != nil {
			return nil, err
		}
	}
	return nil, fault.New(fault.Unknown, "test", "answer lost")
}

func (b broken) Append(ctx context.Context, l string, at int64, data []byte) error {
	if !b.trip() {
		return b.Log.Append(ctx, l, at, data)
	}
	if b.after {
		if err := b.Log.Append(ctx, l, at, data); err != nil {
			return err
		}
	}
	return fault.New(fault.Unknown, "test", "answer lost")
}

// TestFoldSurvivesACrashAtEveryWrite kills a fold after each of its writes, the
// write having happened or not, and lets the next fold finish: every entry is
// in the log exactly once.
func TestFoldSurvivesACrashAtEveryWrite(t *testing.T) {
	t.Parallel()
	points := 0
	for _, after := range []bool{false, true} {
		for n := 1; ; n++ {
			k := newKit(t)
			k.commit(t, "a", 3)
			k.fold(t)
			k.commit(t, "a", 2)
			k.commit(t, "b", 2)
			left := n
			br := broken{State: k.b.State, Log: k.b.Log, left: &left, after: after}
			_, err := journal.NewSequencer(store.Backend{State: br, Log: br}, k.signer, "test", k.clock).Fold(ctx)
			if left > 0 {
				if err != nil {
					t.Fatal(err)
				}
				break // n is beyond the last write
			}
			points++
			k.now = k.now.Add(2 * time.Minute) // the dead one's lease runs out
			k.commit(t, "b", 1)
			k.fold(t)
			if r := k.verify(t, k.b.Log, nil); len(r.Problems) != 0 || r.Size != 8 || r.Unsealed != 0 {
				t.Fatalf("write %d, after=%v: %+v", n, after, r)
			}
		}
	}
	if points < 10 {
		t.Fatalf("only %d crash points: the enumeration is broken", points)
	}
	t.Logf("%d crash points", points)
}

func TestConcurrentCommitsLeaveNoGap(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Go(func() {
			rec := journal.NewRecorder(k.b.State, "test", k.clock)
			for i := range 5 {
				for {
					err := rec.Commit(ctx, "p", []journal.Entry{{Kind: journal.KindNote, Ref: fmt.Sprint(w, i)}})
					if err == nil {
						break
					}
					if !fault.Is(err, fault.Transient) {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	k.fold(t)
	if r := k.verify(t, k.b.Log, nil); r.Size != 30 || len(r.Problems) != 0 {
		t.Fatalf("%+v", r)
	}
}

func TestCommitSettlesALostAnswerAndRefusesAFalseCondition(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	left := 2 // the agenda's mark first, then the batch
	br := broken{State: k.b.State, Log: k.b.Log, left: &left, after: true}
	rec := journal.NewRecorder(br, "test", k.clock)
	op := store.Op{Kind: store.Insert, Key: "row", Value: []byte("1")}
	if err := rec.Commit(ctx, "p", []journal.Entry{{Kind: journal.KindNote}}, op); err != nil {
		t.Fatalf("a batch whose answer was lost: %v", err)
	}
	err := rec.Commit(ctx, "p", []journal.Entry{{Kind: journal.KindNote}}, op)
	if !fault.Is(err, fault.Conflict) {
		t.Fatalf("inserting twice: %v, want conflict", err)
	}
	k.fold(t)
	if r := k.verify(t, k.b.Log, nil); r.Size != 1 {
		t.Fatalf("%d entries, want 1: what was refused left a trace", r.Size)
	}
}

func nothingLeft(context.Context, string) (bool, error) { return false, nil }

func marks(t *testing.T, rec *journal.Recorder) []journal.Mark {
	t.Helper()
	var out []journal.Mark
	if err := rec.Each(ctx, func(m journal.Mark) error { out = append(out, m); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestStrikeKeepsAPartitionThatWasCommittedTo(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.commit(t, "p", 1)
	rec := journal.NewRecorder(k.b.State, "test", k.clock)
	old := marks(t, rec)
	k.commit(t, "p", 1)
	if err := rec.Strike(ctx, old[0], nothingLeft); err != nil {
		t.Fatal(err)
	}
	now := marks(t, rec)
	if len(now) != 1 {
		t.Fatalf("%d marks, want 1: a stale mark was struck off", len(now))
	}
	if err := rec.Strike(ctx, now[0], nothingLeft); err != nil || len(marks(t, rec)) != 0 {
		t.Fatalf("%v, %d marks, want none: nothing is left", err, len(marks(t, rec)))
	}
}

// between runs do before every batch of partition p.
type between struct {
	store.State
	do func()
}

func (b between) Apply(ctx context.Context, partition string, ops []store.Op) ([]string, error) {
	if partition == "p" {
		b.do()
	}
	return b.State.Apply(ctx, partition, ops)
}

func TestStrikeWaitsForACommitThatWasAnnounced(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	rec := journal.NewRecorder(k.b.State, "test", k.clock)
	struck := 0
	late := journal.NewRecorder(between{k.b.State, func() {
		for _, m := range marks(t, rec) { // the partition is still empty
			struck++
			if err := rec.Strike(ctx, m, nothingLeft); err != nil {
				t.Error(err)
			}
		}
	}}, "test", k.clock)
	if err := late.Commit(ctx, "p", []journal.Entry{{Kind: journal.KindNote}}); err != nil {
		t.Fatal(err)
	}
	if n := len(marks(t, rec)); n != 1 || struck == 0 {
		t.Fatalf("%d marks after %d strikes: the entry is on nobody's agenda", n, struck)
	}
	k.fold(t)
	if r := k.verify(t, k.b.Log, nil); r.Size != 1 {
		t.Fatalf("%d entries sealed, want 1", r.Size)
	}
}

func TestAnAnnouncementOfACrashedCommitExpires(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	rec := journal.NewRecorder(k.b.State, "test", k.clock)
	dead := journal.NewRecorder(between{k.b.State, func() { panic("killed") }}, "test", k.clock)
	func() {
		defer func() { _ = recover() }()
		_ = dead.Commit(ctx, "p", []journal.Entry{{Kind: journal.KindNote}})
	}()
	for range 2 {
		if err := rec.Strike(ctx, marks(t, rec)[0], nothingLeft); err != nil {
			t.Fatal(err)
		}
	}
	if len(marks(t, rec)) != 1 {
		t.Fatal("struck off while its batch might still land")
	}
	k.now = k.now.Add(11 * time.Minute)
	if err := rec.Strike(ctx, marks(t, rec)[0], nothingLeft); err != nil || len(marks(t, rec)) != 0 {
		t.Fatalf("%v: it stays on the agenda for ever", err)
	}
}
