package overlay_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
	"cmkguard/internal/store/memstore"
	"cmkguard/internal/store/overlay"
	"cmkguard/internal/store/storetest"
)

func now() time.Time { return time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC) }

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(_ *testing.T, now func() time.Time) store.Backend {
		b := memstore.New(now).Backend()
		b.State = overlay.New(b.State)
		return b
	})
}

// deaf is a base that must not be written to.
type deaf struct {
	store.State
	t interface{ Fatal(...any) }
}

func (d deaf) Apply(context.Context, string, []store.Op) ([]string, error) {
	d.t.Fatal("the base was written to")
	return nil, nil
}

// Over whatever base, and whatever is written, it reads as a store would that was
// written to; the base stays as it is.
func TestItReadsAsIfItHadBeenWritten(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	rapid.Check(t, func(t *rapid.T) {
		base, twin := memstore.New(now).Backend().State, memstore.New(now).Backend().State
		key := func() string { return fmt.Sprintf("k%d", rapid.IntRange(0, 7).Draw(t, "key")) }
		write := func(s store.State, kind store.OpKind, key, value string) bool {
			row, _, err := s.Get(ctx, "p", key)
			if err != nil {
				t.Fatal(err)
			}
			op := store.Op{Kind: kind, Key: key, Value: []byte(value), ETag: row.ETag}
			if op.ETag == "" && kind != store.Insert {
				op.ETag = "none"
			}
			_, err = s.Apply(ctx, "p", []store.Op{op})
			if err != nil && !fault.Is(err, fault.Conflict) {
				t.Fatal(err)
			}
			return err == nil
		}
		for i := range rapid.IntRange(0, 6).Draw(t, "in the base") {
			k, v := key(), fmt.Sprint("base", i)
			write(base, store.Insert, k, v)
			write(twin, store.Insert, k, v)
		}
		before := read(ctx, t, base, "", "", 100)
		over := overlay.New(deaf{base, t})
		for i := range rapid.IntRange(0, 10).Draw(t, "writes") {
			k, v, kind := key(), fmt.Sprint("over", i), rapid.SampledFrom([]store.OpKind{store.Insert, store.Replace, store.Delete}).Draw(t, "kind")
			if write(over, kind, k, v) != write(twin, kind, k, v) {
				t.Fatal("one was refused, the other was not")
			}
		}
		from, to, limit := rapid.SampledFrom([]string{"", "k2"}).Draw(t, "from"), rapid.SampledFrom([]string{"", "k6"}).Draw(t, "to"), rapid.IntRange(1, 9).Draw(t, "limit")
		if diff := cmp.Diff(read(ctx, t, twin, from, to, limit), read(ctx, t, over, from, to, limit)); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff(before, read(ctx, t, base, "", "", 100), cmpopts.EquateEmpty()); diff != "" {
			t.Fatal("the base changed", diff)
		}
	})
}

func read(ctx context.Context, t interface{ Fatal(...any) }, s store.State, from, to string, limit int) map[string]string {
	rows, err := s.Scan(ctx, "p", from, to, limit)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, r := range rows {
		got, ok, err := s.Get(ctx, "p", r.Key)
		if err != nil || !ok || string(got.Value) != string(r.Value) {
			t.Fatal("scan and get disagree", r, got, err)
		}
		out[r.Key] = string(r.Value)
	}
	return out
}
