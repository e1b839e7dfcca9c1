// Package limit keeps all instances together under a service's rate: one
// bucket per service and scope, in state, from which each process takes calls a
// handful at a time. A service that says 429 closes its bucket for everybody.
//
// It is a courtesy, not a promise of safety: where state cannot be read each
// process keeps to the rate by itself, so that people can still be told.
package limit

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"cmkguard/internal/canonical"
	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// partition holds one row per bucket.
const partition = "limits"

const (
	// chunks is into how many takes a rate is cut: fewer writes to state
	// against calls that one process holds and another could have made.
	chunks      = 5
	maxAttempts = 10
	longestShut = time.Hour // a service may slow us down, not silence us
)

// Rate is how many calls may begin in a stretch of time.
type Rate struct {
	Calls int
	Per   time.Duration
}

// Limiter hands out calls. Make one with New.
type Limiter struct {
	state store.State
	now   func() time.Time

	mu   sync.Mutex
	held map[string]hand
}

// hand is what this process took from a bucket and has not used.
type hand struct {
	calls int
	until time.Time // what is not used by then is void
	shut  time.Time // no calls before
}

// row is a bucket as it is stored. Next is when the bucket has been paid for
// all that was taken from it (the theoretical arrival time of the generic cell
// rate algorithm): takes push it on, time catches up with it.
type row struct {
	Next time.Time `json:"next"`
	Shut time.Time `json:"shut"`
}

// New returns a Limiter over the state that all instances share.
func New(state store.State, now func() time.Time) *Limiter {
	return &Limiter{state: state, now: now, held: map[string]hand{}}
}

// Take takes one call from the bucket. A wait above zero means that it was not
// taken: ask again after it.
func (l *Limiter) Take(ctx context.Context, bucket string, r Rate) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	h := l.held[bucket]
	if now.Before(h.shut) {
		return h.shut.Sub(now)
	}
	if h.calls > 0 && now.Before(h.until) {
		h.calls--
		l.held[bucket] = h
		return 0
	}
	n, shut, wait := l.draw(ctx, bucket, r, now)
	h = hand{shut: shut}
	if n > 0 {
		h.calls, h.until = n-1, now.Add(r.Per/chunks)
	}
	l.held[bucket] = h
	return wait
}

// draw takes a handful from the stored bucket. Trouble with state gives this
// process its handful all the same, at the rate that it can see itself.
func (l *Limiter) draw(ctx context.Context, bucket string, r Rate, now time.Time) (n int, shut time.Time, wait time.Duration) {
	n = max(1, r.Calls/chunks)
	each := r.Per / time.Duration(r.Calls)
	var got row
	for range maxAttempts {
		stored, ok, err := l.state.Get(ctx, partition, store.Name("bucket", bucket))
		if err != nil {
			return 1, time.Time{}, 0
		}
		got = row{}
		if ok && json.Unmarshal(stored.Value, &got) != nil {
			got = row{} // damaged: begin afresh, it is only a courtesy
		}
		if now.Before(got.Shut) {
			return 0, got.Shut, got.Shut.Sub(now)
		}
		if got.Next.Before(now) {
			got.Next = now
		}
		got.Next = got.Next.Add(time.Duration(n) * each)
		if late := got.Next.Sub(now.Add(r.Per)); late > 0 {
			return 0, time.Time{}, late
		}
		err = l.put(ctx, bucket, got, stored.ETag)
		if err == nil {
			return n, time.Time{}, 0
		}
		if !fault.Is(err, fault.Conflict) {
			return 1, time.Time{}, 0
		}
	}
	return 0, time.Time{}, each // everybody wants it at once: wait for one's turn
}

// Shut lets nobody take from the bucket for d: the service asked for it.
func (l *Limiter) Shut(ctx context.Context, bucket string, d time.Duration) {
	until := l.now().Add(min(d, longestShut)).UTC()
	l.mu.Lock()
	l.held[bucket] = hand{shut: until}
	l.mu.Unlock()
	for range maxAttempts {
		stored, ok, err := l.state.Get(ctx, partition, store.Name("bucket", bucket))
		if err != nil {
			return // this process keeps to it by itself
		}
		var got row
		if ok && json.Unmarshal(stored.Value, &got) != nil {
			got = row{}
		}
		if !got.Shut.Before(until) {
			return
		}
		got.Shut = until
		if err := l.put(ctx, bucket, got, stored.ETag); !fault.Is(err, fault.Conflict) {
			return
		}
	}
}

func (l *Limiter) put(ctx context.Context, bucket string, r row, etag string) error {
	raw, err := canonical.JSON(row{r.Next.UTC(), r.Shut.UTC()})
	if err != nil {
		return err
	}
	op := store.Op{Kind: store.Insert, Key: store.Name("bucket", bucket), Value: raw}
	if etag != "" {
		op.Kind, op.ETag = store.Replace, etag
	}
	_, err = l.state.Apply(ctx, partition, []store.Op{op})
	return err
}
