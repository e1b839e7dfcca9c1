package journal_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"cmkguard/internal/fault"
	"cmkguard/internal/journal"
	"cmkguard/internal/store"
)

// lost counts the batches that came too late, and lets others come first.
type lost struct {
	store.State
	conflicts *atomic.Int64
	first     func()
}

func (l lost) Apply(ctx context.Context, partition string, ops []store.Op) ([]string, error) {
	if l.first != nil && partition == "p" {
		l.first()
	}
	etags, err := l.State.Apply(ctx, partition, ops)
	if fault.Is(err, fault.Conflict) && partition == "p" {
		l.conflicts.Add(1)
	}
	return etags, err
}

// A burst of one process writes each commit once.
func TestCommitsOfOneProcessDoNotFight(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	state := lost{State: k.b.State, conflicts: &atomic.Int64{}}
	rec := journal.NewRecorder(state, "test", k.clock)
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			if err := rec.Commit(ctx, "p", []journal.Entry{{Kind: journal.KindNote, Ref: fmt.Sprint(i)}}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := state.conflicts.Load(); n != 0 {
		t.Errorf("%d batches came too late", n)
	}
	k.fold(t)
	if r := k.verify(t, k.b.Log, nil); r.Size != 100 || len(r.Problems) != 0 {
		t.Fatalf("%+v", r)
	}
}

// Where other instances come first each time, the error says that this is all; and
// who may not wait does not.
func TestABusyPartitionIsNoBrokenStorage(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	other := journal.NewRecorder(k.b.State, "test", k.clock)
	state := lost{State: k.b.State, conflicts: &atomic.Int64{}, first: func() {
		if err := other.Commit(ctx, "p", []journal.Entry{{Kind: journal.KindNote}}); err != nil {
			t.Error(err)
		}
	}}
	rec := journal.NewRecorder(state, "test", k.clock)
	err := rec.Commit(ctx, "p", []journal.Entry{{Kind: journal.KindNote}})
	if !errors.Is(err, journal.ErrBusy) || !fault.Is(err, fault.Transient) {
		t.Errorf("%v", err)
	}
	over, cancel := context.WithCancel(ctx)
	inside := make(chan struct{})
	state.first = func() { close(inside); <-over.Done() }
	rec = journal.NewRecorder(state, "test", k.clock)
	done := make(chan error, 1)
	go func() { done <- rec.Commit(ctx, "p", []journal.Entry{{Kind: journal.KindNote}}) }()
	<-inside
	gone, stop := context.WithCancel(ctx)
	stop()
	if err := rec.Commit(gone, "p", []journal.Entry{{Kind: journal.KindNote}}); !errors.Is(err, journal.ErrBusy) || !errors.Is(err, context.Canceled) {
		t.Errorf("waiting: %v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
