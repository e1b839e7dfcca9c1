package storetest

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// model applies random batches to the backend and to two maps, and compares
// the answers and what a scan then shows. Each run has a partition of its own.
func model(t *testing.T, k *kit) {
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		m := modelState{partition: fmt.Sprint("run", run), values: map[string]string{}, etags: map[string]string{}, old: []string{"0"}, used: map[string]bool{}}
		rt.Repeat(map[string]func(*rapid.T){
			"apply": func(rt *rapid.T) { m.apply(rt, k) },
			"":      func(rt *rapid.T) { m.compare(rt, k) },
		})
	})
}

type modelState struct {
	partition     string
	values, etags map[string]string
	old           []string // every ETag that there ever was
	used          map[string]bool
}

func (m *modelState) op(rt *rapid.T, key string) store.Op {
	o := store.Op{Kind: rapid.SampledFrom([]store.OpKind{store.Insert, store.Replace, store.Delete}).Draw(rt, "kind"), Key: key}
	if o.Kind != store.Delete {
		o.Value = []byte(rapid.StringN(1, 8, -1).Draw(rt, "value"))
	}
	if o.Kind != store.Insert {
		o.ETag = m.etags[key]
		if o.ETag == "" || rapid.IntRange(0, 4).Draw(rt, "stale") == 0 {
			o.ETag = rapid.SampledFrom(m.old).Draw(rt, "etag")
		}
	}
	return o
}

func (m *modelState) apply(rt *rapid.T, k *kit) {
	var ops []store.Op
	fits := true
	for _, key := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "a-", "b", "b~1", "c"}), 1, 3, rapid.ID[string]).Draw(rt, "keys") {
		o := m.op(rt, key)
		tag, present := m.etags[key]
		fits = fits && present == (o.Kind != store.Insert) && (!present || tag == o.ETag)
		ops = append(ops, o)
	}
	etags, err := k.State.Apply(k.ctx, m.partition, ops)
	if fits != (err == nil) || (err != nil && !fault.Is(err, fault.Conflict)) {
		rt.Fatalf("%+v: %v, the model says it fits: %v", ops, err, fits)
	}
	if err != nil {
		return
	}
	for i, o := range ops {
		if o.Kind == store.Delete {
			delete(m.values, o.Key)
			delete(m.etags, o.Key)
			continue
		}
		if m.used[o.Key+etags[i]] {
			rt.Fatalf("ETag %q of row %s is used a second time", etags[i], o.Key)
		}
		m.used[o.Key+etags[i]] = true // of this row: two rows of one batch may have the same
		m.values[o.Key], m.etags[o.Key], m.old = string(o.Value), etags[i], append(m.old, etags[i])
	}
}

func (m *modelState) compare(rt *rapid.T, k *kit) {
	rows, err := k.State.Scan(k.ctx, m.partition, "", "", 100)
	if err != nil {
		rt.Fatal(err)
	}
	values, etags := map[string]string{}, map[string]string{}
	for _, r := range rows {
		values[r.Key], etags[r.Key] = string(r.Value), r.ETag
	}
	if d := cmp.Diff(slices.Sorted(maps.Keys(m.values)), slices.Clone(keys(rows))); d != "" && len(rows)+len(m.values) > 0 {
		rt.Fatal(d)
	}
	if d := cmp.Diff(m.values, values) + cmp.Diff(m.etags, etags); d != "" {
		rt.Fatal(d)
	}
}
