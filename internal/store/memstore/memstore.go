// Package memstore keeps everything in memory, under the same rules as the
// other adapters. It is for tests and simulations: nothing outlives it.
package memstore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// Store is an in-memory store. Make one with New.
type Store struct {
	now    func() time.Time
	mu     sync.Mutex
	etag   int
	rows   map[string]map[string]store.Row
	queues map[string][]*queued
	nextID int
	logs   map[string]*blocks
}

type queued struct {
	store.Message
	visible time.Time
}

type blocks struct {
	data []byte
	n    int
}

// New returns an empty store; now decides when messages are visible.
func New(now func() time.Time) *Store {
	return &Store{now: now, rows: map[string]map[string]store.Row{}, queues: map[string][]*queued{}, logs: map[string]*blocks{}}
}

// Backend returns the three ports.
func (s *Store) Backend() store.Backend { return store.Backend{State: s, Queue: s, Log: s} }

var (
	_ store.State = (*Store)(nil)
	_ store.Queue = (*Store)(nil)
	_ store.Log   = (*Store)(nil)
)

// Get implements store.State.
func (s *Store) Get(_ context.Context, partition, key string) (store.Row, bool, error) {
	const op = "memstore.Get"
	if err := store.CheckKey(op, partition); err != nil {
		return store.Row{}, false, err
	}
	if err := store.CheckKey(op, key); err != nil {
		return store.Row{}, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.rows[partition][key]
	r.Value = slices.Clone(r.Value)
	return r, ok, nil
}

// Scan implements store.State.
func (s *Store) Scan(_ context.Context, partition, from, to string, limit int) ([]store.Row, error) {
	if err := store.CheckScan("memstore.Scan", partition, limit); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []store.Row
	for k, r := range s.rows[partition] {
		if k >= from && (to == "" || k < to) {
			r.Value = slices.Clone(r.Value)
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b store.Row) int { return strings.Compare(a.Key, b.Key) })
	return out[:min(len(out), limit)], nil
}

// Apply implements store.State.
func (s *Store) Apply(_ context.Context, partition string, ops []store.Op) ([]string, error) {
	const op = "memstore.Apply"
	if err := store.CheckBatch(op, partition, ops); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	part := s.rows[partition]
	for _, o := range ops {
		r, ok := part[o.Key]
		if (o.Kind == store.Insert) == ok || (o.Kind != store.Insert && r.ETag != o.ETag) {
			return nil, fault.New(fault.Conflict, op, "row %s/%s is not as expected", partition, o.Key)
		}
	}
	if part == nil {
		part = map[string]store.Row{}
		s.rows[partition] = part
	}
	etags := make([]string, len(ops))
	for i, o := range ops {
		if o.Kind == store.Delete {
			delete(part, o.Key)
			continue
		}
		s.etag++
		etags[i] = fmt.Sprint(s.etag)
		part[o.Key] = store.Row{Partition: partition, Key: o.Key, Value: slices.Clone(o.Value), ETag: etags[i]}
	}
	return etags, nil
}

// Put implements store.Queue.
func (s *Store) Put(_ context.Context, queue string, body []byte, delay time.Duration) error {
	const op = "memstore.Put"
	if err := store.CheckMessage(op, queue, body, delay); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nextID++
	now := s.now()
	m := store.Message{ID: fmt.Sprint(s.nextID), Body: slices.Clone(body), Inserted: now.UTC()}
	s.queues[queue] = append(s.queues[queue], &queued{m, now.Add(delay)})
	return nil
}

// Take implements store.Queue.
func (s *Store) Take(_ context.Context, queue string, limit int, hidden time.Duration) ([]store.Message, error) {
	if err := store.CheckTake("memstore.Take", queue, limit, hidden); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	var out []store.Message
	for _, q := range s.queues[queue] {
		if len(out) == min(limit, store.MaxTake) {
			break
		}
		if q.visible.After(now) {
			continue
		}
		q.visible = now.Add(hidden)
		q.Dequeued++
		q.Receipt = fmt.Sprintf("%s-%d", q.ID, q.Dequeued)
		m := q.Message
		m.Body = slices.Clone(m.Body)
		out = append(out, m)
	}
	return out, nil
}

// Done implements store.Queue.
func (s *Store) Done(_ context.Context, queue string, m store.Message) error {
	if err := store.CheckKey("memstore.Done", queue); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, q := range s.queues[queue] {
		if q.ID == m.ID && q.Receipt == m.Receipt && m.Receipt != "" {
			s.queues[queue] = slices.Delete(s.queues[queue], i, i+1)
			return nil
		}
	}
	return fault.New(fault.Conflict, "memstore.Done", "message %s was taken again or is done", m.ID)
}

// Append implements store.Log.
func (s *Store) Append(_ context.Context, log string, at int64, data []byte) error {
	const op = "memstore.Append"
	if err := store.CheckAppend(op, log, at, data); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.logs[log]
	if l == nil {
		l = &blocks{}
		s.logs[log] = l
	}
	switch {
	case int64(len(l.data)) != at:
		return fault.New(fault.Conflict, op, "log %s has %d bytes, not %d", log, len(l.data), at)
	case l.n >= store.MaxBlocks:
		return fault.New(fault.Invalid, op, "log %s has %d blocks: roll it", log, l.n)
	}
	l.data, l.n = append(l.data, data...), l.n+1
	return nil
}

// Read implements store.Log.
func (s *Store) Read(_ context.Context, log string, from int64, limit int) ([]byte, error) {
	if err := store.CheckRead("memstore.Read", log, from, limit); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.logs[log]
	if l == nil || from >= int64(len(l.data)) {
		return nil, nil
	}
	return slices.Clone(l.data[from:min(from+int64(limit), int64(len(l.data)))]), nil
}

// Size implements store.Log.
func (s *Store) Size(_ context.Context, log string) (int64, int, error) {
	if err := store.CheckKey("memstore.Size", log); err != nil {
		return 0, 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.logs[log]; l != nil {
		return int64(len(l.data)), l.n, nil
	}
	return 0, 0, nil
}
