package journal_test

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"pgregory.net/rapid"

	"cmkguard/internal/fault"
	"cmkguard/internal/journal"
	"cmkguard/internal/store"
)

func TestManySequencersAtOnce(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	var wg sync.WaitGroup
	for _, p := range []string{"a", "b", "c", "d"} {
		wg.Go(func() {
			for range 10 {
				k.commit(t, p, 1)
				if _, err := journal.NewSequencer(k.b, k.signer, p, k.clock).Fold(ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	k.fold(t)
	if r := k.verify(t, k.b.Log, nil); r.Size != 40 || r.Unsealed != 0 || len(r.Problems) != 0 {
		t.Fatalf("%+v", r)
	}
}

// slow lets another sequencer run in front of its n-th write, its own lease
// having run out: the lease is not what keeps the log right.
type slow struct {
	store.State
	store.Log
	left  *int
	other func()
}

func (s slow) wait() {
	if *s.left--; *s.left == 0 {
		s.other()
	}
}

func (s slow) Apply(ctx context.Context, p string, ops []store.Op) ([]string, error) {
	s.wait()
	return s.State.Apply(ctx, p, ops)
}

func (s slow) Append(ctx context.Context, l string, at int64, data []byte) error {
	s.wait()
	return s.Log.Append(ctx, l, at, data)
}

func TestASequencerThatOutlivesItsLeaseYields(t *testing.T) {
	t.Parallel()
	points := 0
	for n := 1; ; n++ {
		k := newKit(t)
		k.commit(t, "a", 2)
		k.fold(t)
		k.commit(t, "a", 2)
		left := n
		s := slow{State: k.b.State, Log: k.b.Log, left: &left, other: func() {
			k.now = k.now.Add(2 * time.Minute)
			k.commit(t, "b", 2)
			k.fold(t)
		}}
		if _, err := journal.NewSequencer(store.Backend{State: s, Log: s}, k.signer, "slow", k.clock).Fold(ctx); err != nil {
			t.Fatalf("overtaken before write %d: %v", n, err)
		}
		if left > 0 {
			break
		}
		points++
		k.now = k.now.Add(2 * time.Minute)
		k.fold(t)
		if r := k.verify(t, k.b.Log, nil); r.Size != 6 || r.Unsealed != 0 || len(r.Problems) != 0 {
			t.Fatalf("overtaken before write %d: %+v", n, r)
		}
	}
	if points < 6 {
		t.Fatalf("only %d points: the enumeration is broken", points)
	}
}

// TestRandomTampering: whatever is done to one log, byte by byte or by the
// piece, is found; in the audit log the first entry that differs is named.
func TestRandomTampering(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.commit(t, "a", 4)
	k.fold(t)
	k.commit(t, "b", 5)
	cp := k.fold(t)
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.SampledFrom([]string{"audit-000001", "hashes-000001", "checkpoints-000001"}).Draw(rt, "log")
		size, _, _ := k.b.Log.Size(ctx, name)
		raw, _ := k.b.Log.Read(ctx, name, 0, int(size))
		at := rapid.IntRange(0, len(raw)-1).Draw(rt, "at")
		cut := rapid.IntRange(0, len(raw)-at).Draw(rt, "cut")
		put := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(rt, "put")
		next := string(raw[:at]) + string(put) + string(raw[at+cut:])
		if next == string(raw) || (name == "checkpoints-000001" && strings.HasPrefix(string(raw), next) && strings.HasSuffix(next, "\n")) {
			rt.Skip("nothing changed, or whole checkpoints cut off, which the sequencer's row tells below")
		}
		r := k.verify(t, changed{k.b.Log, name, func([]byte) []byte { return []byte(next) }}, cp.Note)
		if len(r.Problems) == 0 {
			rt.Fatalf("%s: %d bytes at %d replaced by %q are not found", name, cut, at, put)
		}
	})
	last, _, _ := k.b.Log.Size(ctx, "checkpoints-000001")
	first := func(b []byte) []byte { return b[:strings.IndexByte(string(b), '\n')+1] }
	if r := k.verify(t, changed{k.b.Log, "checkpoints-000001", first}, nil); last == 0 || len(r.Problems) == 0 {
		t.Fatal("the last checkpoint was cut off and the sequencer's row does not tell")
	}
}

func TestEveryFindingIsNamed(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.commit(t, "a", 12)
	k.fold(t)
	r := k.verify(t, changed{k.b.Log, "audit-000001", func(b []byte) []byte {
		l := strings.SplitAfter(string(b), "\n")
		l[2] = strings.Replace(l[2], "happened", "HAPPENED", 1)
		l[9] = strings.Replace(l[9], "happened", "HAPPENED", 1)
		return []byte(strings.Join(append(l[:5:5], l[7:]...), "")) // 5 and 6 are gone
	}}, nil)
	named := map[int64]bool{}
	for _, p := range r.Problems {
		named[p.Entry] = true
	}
	for _, want := range []int64{2, 5, 6, 9} {
		if !named[want] {
			t.Errorf("entry %d is not named: %+v", want, r.Problems)
		}
	}
	for _, innocent := range []int64{0, 1, 3, 4, 8, 10, 11} {
		if named[innocent] {
			t.Errorf("entry %d did not change and is named: %+v", innocent, r.Problems)
		}
	}
}

func TestACutLogIsNotFoldedUpon(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.commit(t, "a", 3)
	k.fold(t)
	k.commit(t, "a", 1)
	cut := changed{k.b.Log, "audit-000001", func(b []byte) []byte { return b[:len(b)/2] }}
	_, err := journal.NewSequencer(store.Backend{State: k.b.State, Log: cut}, k.signer, "test", k.clock).Fold(ctx)
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "cut") {
		t.Fatalf("%v, want that the log was cut", err)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key.pem")
	s, text, err := journal.LoadOrCreateKey(path, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, again, err := journal.LoadOrCreateKey(path, rand.Reader); err != nil || again != text {
		t.Fatalf("%q then %q: %v", text, again, err)
	}
	if of, err := journal.VerifierOf(path); err != nil || of != text {
		t.Fatalf("%q, want %q: %v", of, text, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v, want mode 0600", info, err)
	}
	msg, err := note.Sign(&note.Note{Text: "x\n"}, s)
	if err != nil {
		t.Fatal(err)
	}
	other := newKit(t)
	for _, v := range []note.Verifier{other.v} {
		if _, err := note.Open(msg, note.VerifierList(v)); err == nil {
			t.Error("a foreign key opens the note")
		}
	}
	for _, bad := range []string{"", "x", "cmkguard/journal+00000000+AA==", strings.Replace(text, "+", "+0", 1), text[:len(text)-4]} {
		if _, err := journal.NewVerifier(bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v, want invalid", bad, err)
		}
	}
	if err := os.WriteFile(path, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := journal.LoadOrCreateKey(path, rand.Reader); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), path) {
		t.Errorf("%v, want the path of what is no key: a damaged key is never replaced in silence", err)
	}
}

// TestCutHashesAreFound: without them the next fold could not go on, and a
// changed entry could no longer be named.
func TestCutHashesAreFound(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.commit(t, "a", 5)
	k.fold(t)
	size, _, err := k.b.Log.Size(ctx, "hashes-000001")
	if err != nil || size == 0 {
		t.Fatal(size, err)
	}
	for keep := int64(0); keep < size; keep += 32 {
		r := k.verify(t, changed{k.b.Log, "hashes-000001", func(b []byte) []byte { return b[:keep] }}, nil)
		if len(r.Problems) == 0 {
			t.Errorf("%d of %d bytes left, and nothing found", keep, size)
		}
	}
}
