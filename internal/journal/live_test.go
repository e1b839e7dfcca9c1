package journal_test

import (
	"context"
	"testing"

	"cmkguard/internal/journal"
	"cmkguard/internal/store"
)

// growing is a log into which the running app folds more before every read.
type growing struct {
	store.Log
	grow func()
}

func (g growing) Read(ctx context.Context, log string, from int64, limit int) ([]byte, error) {
	g.grow()
	return g.Log.Read(ctx, log, from, limit)
}

// TestVerifyingWhileTheAppSeals must find nothing: a report of cut entries that are
// not cut is what an auditor remembers.
func TestVerifyingWhileTheAppSeals(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	grow := func() { k.commit(t, "p1", 2); k.fold(t) }
	grow()
	r, err := journal.Verify(ctx, growing{k.b.Log, grow}, k.b.State, k.v, journal.VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.Problems {
		t.Errorf("%+v", p)
	}
	grow() // and after the last read
	if r = k.verify(t, k.b.Log, nil); len(r.Problems) > 0 || r.Unsealed != 0 {
		t.Errorf("%+v", r)
	}
}
