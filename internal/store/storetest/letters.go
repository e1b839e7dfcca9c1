package storetest

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// Box is where dead letters lie.
type Box interface {
	Each(ctx context.Context, fn func(store.Letter) (more bool, err error)) error
	Get(ctx context.Context, name string) ([]byte, store.Letter, error)
	Delete(ctx context.Context, one store.Letter) error
}

// LetterNames lists the box.
func LetterNames(t *testing.T, box Box) (names []string) {
	t.Helper()
	if err := box.Each(t.Context(), func(l store.Letter) (bool, error) { names = append(names, l.Name); return true, nil }); err != nil {
		t.Fatal(err)
	}
	return names
}

const letterA, letterB = "CMKGUARD/2026/11/1/9/1d1f0c5e.json", "CMKGUARD/2026/11/1/10/9a b.json"

// Letters is what every box of dead letters has to do; put leaves one there, as
// Event Grid does. The box is not there before the first put.
func Letters(t *testing.T, box Box, put func(name string, body []byte)) {
	if got := LetterNames(t, box); len(got) != 0 {
		t.Fatalf("a box that is not there holds %q", got)
	}
	if _, _, err := box.Get(t.Context(), letterA); !fault.Is(err, fault.Conflict) {
		t.Fatalf("%v: a letter that is not there", err)
	}
	put(letterA, []byte(`[{"id":"1"}]`))
	put(letterB, bytes.Repeat([]byte("x"), store.MaxLetterBytes+5))
	if got := LetterNames(t, box); !slices.Equal(got, []string{letterB, letterA}) {
		t.Fatalf("%q", got)
	}
	n := 0
	if err := box.Each(t.Context(), func(l store.Letter) (bool, error) {
		n++
		if l.Size == 0 || l.Written.Before(time.Unix(0, 0)) || l.ETag == "" {
			t.Errorf("%+v", l)
		}
		return false, nil
	}); err != nil || n != 1 {
		t.Fatalf("%d after stop, %v", n, err)
	}
	if raw, l, err := box.Get(t.Context(), letterB); err != nil || len(raw) != store.MaxLetterBytes || l.Size != store.MaxLetterBytes+5 {
		t.Fatalf("%d bytes of %+v, %v", len(raw), l, err)
	}
	lettersGo(t, box, put)
}

// lettersGo: what is deleted is what was read.
func lettersGo(t *testing.T, box Box, put func(name string, body []byte)) {
	ctx := t.Context()
	raw, old, err := box.Get(ctx, letterA)
	if err != nil || string(raw) != `[{"id":"1"}]` || old.Name != letterA {
		t.Fatalf("%q %+v %v", raw, old, err)
	}
	put(letterA, []byte(`[{"id":"2"},{"id":"3"}]`))
	want(t, box.Delete(ctx, old), fault.Conflict, "deleting what was written anew")
	_, now, err := box.Get(ctx, letterA)
	if err != nil {
		t.Fatal("a letter that was never read is gone")
	}
	for range 2 { // gone is fine
		if err := box.Delete(ctx, now); err != nil {
			t.Fatal(err)
		}
	}
	if got := LetterNames(t, box); !slices.Equal(got, []string{letterB}) {
		t.Fatalf("%q", got)
	}
}
