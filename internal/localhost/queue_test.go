package localhost_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing/synctest"
	"time"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// queues is store.Queue in memory with Azure's semantics, on a clock that the
// test moves, and with failures on demand.
type queues struct {
	mu       sync.Mutex
	now      time.Time
	rows     map[string][]*row
	receipts int
	putFails int
	takes    int
}

type row struct {
	m       store.Message
	visible time.Time
}

func newQueues() *queues {
	return &queues{now: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC), rows: make(map[string][]*row)}
}

func (q *queues) clock() time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.now
}

func (q *queues) advance(d time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.now = q.now.Add(d)
}

func (q *queues) Put(_ context.Context, queue string, body []byte, delay time.Duration) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.putFails > 0 {
		q.putFails--
		return fault.Wrap(fault.Transient, "queues.Put", errors.New("busy"))
	}
	id := queue + "-" + strconv.Itoa(len(q.rows[queue])+q.receipts)
	q.rows[queue] = append(q.rows[queue], &row{m: store.Message{ID: id, Body: slices.Clone(body), Inserted: q.now}, visible: q.now.Add(delay)})
	return nil
}

func (q *queues) Take(_ context.Context, queue string, most int, hidden time.Duration) ([]store.Message, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.takes++
	var out []store.Message
	for _, r := range q.rows[queue] {
		if len(out) == most || r.visible.After(q.now) {
			continue
		}
		q.receipts++
		r.m.Dequeued++
		r.m.Receipt = strconv.Itoa(q.receipts)
		r.visible = q.now.Add(hidden)
		out = append(out, r.m)
	}
	return out, nil
}

func (q *queues) Done(_ context.Context, queue string, m store.Message) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, r := range q.rows[queue] {
		if r.m.ID == m.ID && r.m.Receipt == m.Receipt {
			q.rows[queue] = slices.Delete(q.rows[queue], i, i+1)
			return nil
		}
	}
	return fault.New(fault.Conflict, "queues.Done", "stale receipt of %s", m.ID)
}

func (q *queues) bodies(queue string) []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []string
	for _, r := range q.rows[queue] {
		out = append(out, string(r.m.Body))
	}
	return out
}

// settle lets every goroutine of the bubble run until all wait, past one poll.
func settle() {
	time.Sleep(2 * time.Second) // fake time within synctest
	synctest.Wait()
}
