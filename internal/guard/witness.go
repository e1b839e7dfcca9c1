package guard

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/incident"
	"cmkguard/internal/loss"
	"cmkguard/internal/store"
)

const (
	// toldRow keeps, in a subject's partition, the last signals about it.
	toldRow  = "told"
	maxTolds = 8
	// maxHeardVaults bounds the vaults of a day whose log was heard.
	maxHeardVaults = 5000
)

// lossPartition holds what was noted of a day until the day after it is closed.
func lossPartition(date string) string { return "loss~" + date }

// witness is what this process noted today already. It is bounded and may forget.
type witness struct {
	mu    sync.Mutex
	date  string
	heard map[string]bool
	facts int
}

func (w *witness) turn(date string) {
	if w.date != date {
		w.date, w.heard, w.facts = date, map[string]bool{}, 0
	}
}

// first reports whether the vault's log is heard for the first time that day.
func (w *witness) first(date, vault string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn(date)
	if w.heard[vault] || len(w.heard) >= maxHeardVaults {
		return false
	}
	w.heard[vault] = true
	return true
}

func (w *witness) forget(vault string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.heard, vault)
}

// room counts one more fact of today and reports whether it is to be kept.
func (w *witness) room(date string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn(date)
	w.facts++
	return w.facts <= loss.Most
}

// noteFact keeps what a source told of a thing that two sources tell of, whose signal
// is stored in the partition. It can be repeated.
func (g *Guard) noteFact(ctx context.Context, s event.Signal, partition string) error {
	now := g.Now().UTC()
	f, ok := loss.FactOf(s, now)
	if !ok || !g.Watch.Losses {
		return nil
	}
	f.Signal = partition
	if f.At.After(now.Add(skew)) || !loss.Open(f.Day(), now) { // it is today's then, and nobody's counterpart
		f.Dated, f.At, f.Weak = f.At, now, true
	}
	row := "fact~" + f.Source + "~" + strings.TrimPrefix(partition, "signal~")
	value := encode(f)
	if !g.witness.room(now.Format(time.DateOnly)) {
		row, value = "over", nil
	}
	return g.insert(ctx, lossPartition(f.Day()), row, value)
}

// insert writes a row that may be there already.
func (g *Guard) insert(ctx context.Context, partition, row string, value []byte) error {
	_, err := g.State.Apply(ctx, partition, []store.Op{{Kind: store.Insert, Key: row, Value: value}})
	if fault.Is(err, fault.Conflict) {
		return nil
	}
	return asRecordError(err)
}

// noteHeard keeps whose logs reach us today: a vault of which the log tells nothing
// has no second witness.
func (g *Guard) noteHeard(ctx context.Context, vaults []string) error {
	if !g.Watch.Losses {
		return nil
	}
	date := g.Now().UTC().Format(time.DateOnly)
	for _, v := range vaults {
		if !g.witness.first(date, v) {
			continue
		}
		if err := g.insert(ctx, lossPartition(date), store.Name("heard", v), encode(v)); err != nil {
			g.witness.forget(v)
			return err
		}
	}
	return nil
}

// addTold adds to the batch of the signal's own subject that it was told of.
func (g *Guard) addTold(ctx context.Context, p *picture, subject event.Subject, b *batch) error {
	if subject != p.signal.Subject {
		return nil
	}
	told, err := g.noteTold(ctx, p.signal)
	b.ops = append(b.ops, told...)
	return err
}

// noteTold is the operation that remembers, beside what a signal led to, that its
// subject was told of.
func (g *Guard) noteTold(ctx context.Context, s event.Signal) ([]store.Op, error) {
	if !g.Watch.Losses || s.ID == "" {
		return nil, nil
	}
	row, _, err := g.get(ctx, incident.Partition(s.Subject), toldRow)
	if err != nil {
		return nil, err
	}
	list := decodeTold(row)
	t := loss.Told{Kind: s.Kind, ID: clip(s.ID, 100), At: s.Time.UTC(), Seen: g.Now().UTC()}
	if t.At.IsZero() {
		t.At = t.Seen
	}
	list = append(list, t)
	return []store.Op{putOp(toldRow, encode(list[max(0, len(list)-maxTolds):]), row.ETag)}, nil
}

// decodeTold reads what was told of a subject; a damaged row told nothing.
func decodeTold(row store.Row) (list []loss.Told) {
	if len(row.Value) == 0 || json.Unmarshal(row.Value, &list) != nil {
		return nil
	}
	return list
}
