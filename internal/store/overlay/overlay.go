// Package overlay is a state that reads another one and keeps what is written to
// itself: what would be stored, and nothing is. A dry run so goes the way of the
// live one, to the last call.
//
// It is not a cache, and not for long: all that was written lies in memory.
package overlay

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// State implements store.State over another, which it never writes to.
type State struct {
	base store.State

	mu   sync.Mutex
	etag int
	rows map[string]map[string]kept // by partition and key
}

// kept is a row as it would be.
type kept struct {
	row  store.Row
	gone bool
}

// New returns a State that shows what base holds.
func New(base store.State) *State {
	return &State{base: base, rows: map[string]map[string]kept{}}
}

var _ store.State = (*State)(nil)

// Get implements store.State.
func (s *State) Get(ctx context.Context, partition, key string) (store.Row, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.get(ctx, partition, key)
}

func (s *State) get(ctx context.Context, partition, key string) (store.Row, bool, error) {
	if k, ok := s.rows[partition][key]; ok {
		if k.gone {
			return store.Row{}, false, nil
		}
		return copyOf(k.row), true, nil
	}
	return s.base.Get(ctx, partition, key)
}

func copyOf(r store.Row) store.Row {
	r.Value = slices.Clone(r.Value)
	return r
}

// Scan implements store.State.
func (s *State) Scan(ctx context.Context, partition, from, to string, limit int) ([]store.Row, error) {
	if err := store.CheckScan("overlay.Scan", partition, limit); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.rows[partition]
	// So many more as may be hidden by rows of our own.
	rows, err := s.base.Scan(ctx, partition, from, to, limit+len(own))
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(r store.Row) bool { _, is := own[r.Key]; return is })
	for key, k := range own {
		if !k.gone && key >= from && (to == "" || key < to) {
			rows = append(rows, copyOf(k.row))
		}
	}
	slices.SortFunc(rows, func(a, b store.Row) int { return strings.Compare(a.Key, b.Key) })
	return rows[:min(len(rows), limit)], nil
}

// Apply implements store.State. Its ETags are none of the other store's.
func (s *State) Apply(ctx context.Context, partition string, ops []store.Op) ([]string, error) {
	const op = "overlay.Apply"
	if err := store.CheckBatch(op, partition, ops); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range ops {
		row, ok, err := s.get(ctx, partition, o.Key)
		if err != nil {
			return nil, err
		}
		if (o.Kind == store.Insert) == ok || o.Kind != store.Insert && row.ETag != o.ETag {
			return nil, fault.New(fault.Conflict, op, "row %s/%s is not as expected", partition, o.Key)
		}
	}
	part := s.rows[partition]
	if part == nil {
		part = map[string]kept{}
		s.rows[partition] = part
	}
	etags := make([]string, len(ops))
	for i, o := range ops {
		if o.Kind == store.Delete {
			part[o.Key] = kept{gone: true}
			continue
		}
		s.etag++
		etags[i] = "overlay-" + strconv.Itoa(s.etag)
		part[o.Key] = kept{row: store.Row{Partition: partition, Key: o.Key, Value: slices.Clone(o.Value), ETag: etags[i]}}
	}
	return etags, nil
}
