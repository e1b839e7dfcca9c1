package journal_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"cmkguard/internal/fault"
	"cmkguard/internal/journal"
	"cmkguard/internal/store"
)

// crowd lets others come first, and counts who is at the partition between reading
// its head and writing.
type crowd struct {
	store.State
	inside, most *atomic.Int64
	first        func()
}

func (c crowd) Get(ctx context.Context, partition, key string) (store.Row, bool, error) {
	if partition == "p" && c.inside.Add(1) > c.most.Load() {
		c.most.Store(c.inside.Load())
	}
	runtime.Gosched() // whoever may come in between does
	return c.State.Get(ctx, partition, key)
}

func (c crowd) Apply(ctx context.Context, partition string, ops []store.Op) ([]string, error) {
	if partition == "p" {
		c.inside.Add(-1)
		if c.first != nil {
			c.first()
		}
	}
	return c.State.Apply(ctx, partition, ops)
}

// A burst of one process writes each commit once.
func TestCommitsOfOneProcessDoNotFight(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	state := crowd{State: k.b.State, inside: &atomic.Int64{}, most: &atomic.Int64{}}
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
	if n := state.most.Load(); n != 1 {
		t.Errorf("%d at once", n)
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
	state := crowd{State: k.b.State, inside: &atomic.Int64{}, most: &atomic.Int64{}, first: func() {
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
