package journal_test

import (
	"context"
	"fmt"
	"testing"

	"cmkguard/internal/fault"
	"cmkguard/internal/journal"
	"cmkguard/internal/store"
)

// TestCommitIsSettledAtEveryWrite fails each write of a commit, before and
// after its effect. An answer of nil means that the batch is there, an error
// that it is not; there is no third.
func TestCommitIsSettledAtEveryWrite(t *testing.T) {
	t.Parallel()
	for _, entries := range []int{0, 2} {
		for _, after := range []bool{false, true} {
			for n := 1; n <= 2; n++ {
				k := newKit(t)
				left := n
				rec := journal.NewRecorder(broken{State: k.b.State, Log: k.b.Log, left: &left, after: after}, "test", k.clock)
				op := store.Op{Kind: store.Insert, Key: "row", Value: []byte("1")}
				err := rec.Commit(ctx, "p", make([]journal.Entry, entries), op)
				_, there, gerr := k.b.State.Get(ctx, "p", "row")
				if gerr != nil || there != (err == nil) || left > 0 {
					t.Fatalf("write %d, after=%v, %d entries: answered %v, row there: %v", n, after, entries, err, there)
				}
				k.fold(t)
				if r := k.verify(t, k.b.Log, nil); len(r.Problems) != 0 || (r.Size == int64(entries)) != there && entries > 0 {
					t.Fatalf("write %d, after=%v: %+v", n, after, r)
				}
			}
		}
	}
}

// overtaken does the batch, lets others act, and loses the answer.
type overtaken struct {
	store.State
	then func()
	kind fault.Kind
}

func (o *overtaken) Apply(ctx context.Context, p string, ops []store.Op) ([]string, error) {
	etags, err := o.State.Apply(ctx, p, ops)
	if p == "agenda" || err != nil || o.then == nil {
		return etags, err
	}
	then := o.then
	o.then = nil
	then()
	return nil, fault.New(o.kind, "test", "answer lost")
}

// TestALostAnswerIsSettledAfterTheFold: the entry is folded and deleted, and
// others committed, before the loser reads. A client that repeats its request
// by itself even says Conflict.
func TestALostAnswerIsSettledAfterTheFold(t *testing.T) {
	t.Parallel()
	for _, kind := range []fault.Kind{fault.Unknown, fault.Transient, fault.Conflict} {
		k := newKit(t)
		o := &overtaken{State: k.b.State, kind: kind, then: func() { k.fold(t); k.commit(t, "p", 3) }}
		err := journal.NewRecorder(o, "test", k.clock).Commit(ctx, "p", []journal.Entry{{Kind: journal.KindIntent, Ref: "once"}})
		if err != nil {
			t.Fatalf("%s: %v, but the batch landed", kind, err)
		}
		k.fold(t)
		n := 0
		err = journal.Read(ctx, k.b.Log, 0, func(_ int64, e journal.Entry) error {
			if e.Ref == "once" {
				n++
			}
			return nil
		})
		if err != nil || n != 1 {
			t.Fatalf("%s: the entry is in the log %d times (%v), want once", kind, n, err)
		}
	}
}

func TestTooFarToSettleIsUnknown(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	o := &overtaken{State: k.b.State, kind: fault.Transient, then: func() { k.commit(t, "p", 100) }}
	err := journal.NewRecorder(o, "test", k.clock).Commit(ctx, "p", []journal.Entry{{Kind: journal.KindNote}})
	if err == nil || fault.KindOf(err) != fault.Unknown {
		t.Fatalf("%v, want unknown: neither landed nor lost can be shown", err)
	}
}

// TestMarksThatStayOpenHideNothing: more partitions than one page of the
// agenda, all still marked, and the one with news comes last.
func TestMarksThatStayOpenHideNothing(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for i := range 1100 {
		k.commit(t, fmt.Sprintf("p%05d", i), 1)
	}
	k.fold(t)
	k.fold(t)
	k.commit(t, "z", 1)
	k.fold(t)
	if r := k.verify(t, k.b.Log, nil); r.Size != 1101 || r.Unsealed != 0 || len(r.Problems) != 0 {
		t.Fatalf("%d sealed, %d unsealed, %v", r.Size, r.Unsealed, r.Problems)
	}
}
