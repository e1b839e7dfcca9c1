package storetest

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

func (k *kit) append(t *testing.T, at int64, data string) {
	t.Helper()
	if err := k.Log.Append(k.ctx, "l", at, []byte(data)); err != nil {
		t.Fatal(err)
	}
}

func (k *kit) size(t *testing.T, wantBytes int64, wantBlocks int) {
	t.Helper()
	n, blocks, err := k.Log.Size(k.ctx, "l")
	if err != nil || n != wantBytes || blocks != wantBlocks {
		t.Fatalf("%d bytes in %d blocks (%v), want %d in %d", n, blocks, err, wantBytes, wantBlocks)
	}
}

func appendAt(t *testing.T, k *kit) {
	k.size(t, 0, 0)
	want(t, k.Log.Append(k.ctx, "l", 1, []byte("x")), fault.Conflict, "a gap at the start")
	k.size(t, 0, 0)
	k.append(t, 0, "abc")
	for _, at := range []int64{0, 2, 4} {
		want(t, k.Log.Append(k.ctx, "l", at, []byte("x")), fault.Conflict, fmt.Sprint("position ", at, " of 3"))
	}
	k.append(t, 3, "de")
	k.size(t, 5, 2)
	if err := k.Log.Append(k.ctx, "other", 0, []byte("z")); err != nil {
		t.Fatal("another log has its own position:", err)
	}
	k.size(t, 5, 2)
}

func readBlocks(t *testing.T, k *kit) {
	var all string
	for _, block := range []string{"a", "bcd", "ef", "ghijk"} {
		k.append(t, int64(len(all)), block)
		all += block
	}
	for from := range len(all) + 3 {
		for limit := range len(all) + 3 {
			got, err := k.Log.Read(k.ctx, "l", int64(from), limit)
			lo := min(from, len(all))
			if hi := min(lo+limit, len(all)); err != nil || string(got) != all[lo:hi] {
				t.Fatalf("from %d at most %d: %q %v, want %q", from, limit, got, err, all[lo:hi])
			}
		}
	}
	if got, err := k.Log.Read(k.ctx, "none", 0, 10); err != nil || len(got) != 0 {
		t.Fatalf("a log that is not there: %q %v", got, err)
	}
	_, err := k.Log.Read(k.ctx, "l", -1, 1)
	want(t, err, fault.Invalid, "a read before the start")
	_, err = k.Log.Read(k.ctx, "l", 0, -1)
	want(t, err, fault.Invalid, "a read of less than nothing")
}

func logLimits(t *testing.T, k *kit) {
	big := bytes.Repeat([]byte("x"), store.MaxAppendBytes+1)
	want(t, k.Log.Append(k.ctx, "l", 0, big), fault.Invalid, "a block too large")
	want(t, k.Log.Append(k.ctx, "l", 0, nil), fault.Invalid, "an empty block")
	want(t, k.Log.Append(k.ctx, "l", -1, []byte("x")), fault.Invalid, "a position below 0")
	k.size(t, 0, 0)
	if err := k.Log.Append(k.ctx, "l", 0, big[1:]); err != nil {
		t.Fatal(err)
	}
	k.size(t, store.MaxAppendBytes, 1)
}

func appendRace(t *testing.T, k *kit) {
	var mu sync.Mutex
	won := 0
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for at := range int64(10) {
				err := k.Log.Append(k.ctx, "l", at, []byte("x"))
				if err != nil && !fault.Is(err, fault.Conflict) {
					t.Error(err)
				}
				if err == nil {
					mu.Lock()
					won++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	n, blocks, err := k.Log.Size(k.ctx, "l")
	if err != nil || int(n) != won || blocks != won || won == 0 {
		t.Fatalf("%d appends succeeded, %d bytes in %d blocks (%v)", won, n, blocks, err)
	}
}
