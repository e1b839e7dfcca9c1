package storetest

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

func (k *kit) put(t *testing.T, body string, delay time.Duration) {
	t.Helper()
	if err := k.Queue.Put(k.ctx, k.queue, []byte(body), delay); err != nil {
		t.Fatal(err)
	}
}

func (k *kit) take(t *testing.T, n int) []store.Message {
	t.Helper()
	return must[[]store.Message](t)(k.Queue.Take(k.ctx, k.queue, n, k.minute))
}

func hidden(t *testing.T, k *kit) {
	if got := k.take(t, 5); len(got) != 0 {
		t.Fatalf("a queue that nobody made gave %v", got)
	}
	start := k.time
	k.put(t, "now", 0)
	k.put(t, "later", 3*k.minute)
	first := k.take(t, 5)
	if len(first) != 1 || string(first[0].Body) != "now" || first[0].Dequeued != 1 {
		t.Fatalf("%+v, want only what is due", first)
	}
	if !k.wall && !first[0].Inserted.Equal(start) || time.Since(first[0].Inserted) > time.Hour && k.wall {
		t.Fatalf("inserted %s, put %s", first[0].Inserted, start)
	}
	early, late := time.Nanosecond, time.Duration(0) // how near the moment a look may be
	if k.wall {
		early, late = k.minute/2, k.minute/2
	}
	k.pass(k.minute - early)
	if got := k.take(t, 5); len(got) != 0 {
		t.Fatalf("%+v is taken twice while it is hidden", got)
	}
	k.pass(early + late)
	again := k.take(t, 5)
	if len(again) != 1 || again[0].ID != first[0].ID || again[0].Dequeued != 2 || again[0].Receipt == first[0].Receipt {
		t.Fatalf("%+v, want the same message a second time", again)
	}
	if err := k.Queue.Done(k.ctx, k.queue, again[0]); err != nil {
		t.Fatal(err)
	}
	k.pass(2*k.minute - early - late - late/2)
	if got := k.take(t, 5); len(got) != 0 {
		t.Fatalf("%+v, want nothing: one is done and one delayed", got)
	}
	k.pass(early + late + late)
	if got := k.take(t, 5); len(got) != 1 || string(got[0].Body) != "later" {
		t.Fatalf("%+v, want the delayed one", got)
	}
}

func staleReceipts(t *testing.T, k *kit) {
	k.put(t, "m", 0)
	stale := k.take(t, 1)[0]
	k.pass(k.minute + k.minute/4)
	fresh := k.take(t, 1)[0]
	want(t, k.Queue.Done(k.ctx, k.queue, stale), fault.Conflict, "a receipt from before it was taken again")
	want(t, k.Queue.Done(k.ctx, k.queue+"-other", fresh), fault.Conflict, "a receipt of another queue")
	for _, forged := range []string{"", "x", "1-", "-1", fresh.Receipt + "0"} {
		m := fresh
		m.Receipt = forged
		want(t, k.Queue.Done(k.ctx, k.queue, m), fault.Conflict, "receipt "+forged)
	}
	if err := k.Queue.Done(k.ctx, k.queue, fresh); err != nil {
		t.Fatal(err)
	}
	want(t, k.Queue.Done(k.ctx, k.queue, fresh), fault.Conflict, "a message that is done")
}

func queueLimits(t *testing.T, k *kit) {
	fits := bytes.Repeat([]byte("x"), store.MaxMessageBytes/4*3)
	want(t, k.Queue.Put(k.ctx, k.queue, append(fits, 'x'), 0), fault.Invalid, "a message too large in base64")
	want(t, k.Queue.Put(k.ctx, k.queue, nil, -1), fault.Invalid, "a delay below 0")
	want(t, k.Queue.Put(k.ctx, k.queue, nil, store.MaxDelay+1), fault.Invalid, "a delay above 7 days")
	for _, c := range []struct {
		n      int
		hidden time.Duration
	}{{0, time.Minute}, {1, 0}, {1, time.Second - 1}, {1, store.MaxDelay + 1}} {
		_, err := k.Queue.Take(k.ctx, k.queue, c.n, c.hidden)
		want(t, err, fault.Invalid, fmt.Sprint("Take ", c))
	}
	k.put(t, string(fits), store.MaxDelay)
	k.put(t, "", 0)
	if got := k.take(t, 5); len(got) != 1 || len(got[0].Body) != 0 {
		t.Fatalf("%d messages, want the empty one", len(got))
	}
	for range store.MaxTake + 5 {
		k.put(t, "m", 0)
	}
	if got := k.take(t, 1000); len(got) != store.MaxTake {
		t.Fatalf("%d messages at once, want %d", len(got), store.MaxTake)
	}
}

func competing(t *testing.T, k *kit) {
	const total = 60
	for i := range total {
		k.put(t, fmt.Sprint(i), 0)
	}
	var mu sync.Mutex
	seen := map[string]int{}
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			for {
				got, err := k.Queue.Take(k.ctx, k.queue, 3, time.Minute)
				if err != nil {
					t.Error(err)
				}
				if len(got) == 0 {
					return
				}
				for _, m := range got {
					if err := k.Queue.Done(k.ctx, k.queue, m); err != nil {
						t.Error(err)
					}
					mu.Lock()
					seen[string(m.Body)]++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	for body, n := range seen {
		if n != 1 {
			t.Errorf("message %s was taken %d times while it was hidden", body, n)
		}
	}
	if len(seen) != total {
		t.Fatalf("%d of %d messages came", len(seen), total)
	}
}
