package funchost

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"testing"
)

func TestBatchOfMessages(t *testing.T) {
	for raw, want := range map[string][]string{
		`"[\"dmFsaWQ=\"]"`:           {"valid"}, // the host's own form
		`"[\"YQ==\",\"\",\"eyJ9\"]"`: {"a", "", `{"}`},
		`["YQ=="]`:                   {"a"},
		`"[]"`:                       {},
	} {
		inv := &Invocation{Data: map[string]json.RawMessage{"logs": json.RawMessage(raw)}}
		got, err := inv.Batch("logs")
		texts := make([]string, 0, len(got))
		for _, b := range got {
			texts = append(texts, string(b))
		}
		if err != nil || !slices.Equal(texts, want) {
			t.Errorf("%s: %q, %v", raw, texts, err)
		}
	}
	for _, raw := range []string{`"YQ=="`, `{"a":1}`, `"[{\"a\":1}]"`, `"[\"no base64\"]"`, `7`, `"["`, ``, `null`} {
		inv := &Invocation{Data: map[string]json.RawMessage{"logs": json.RawMessage(raw)}}
		if got, err := inv.Batch("logs"); !errors.Is(err, ErrShape) {
			t.Errorf("%s: %q, %v", raw, got, err)
		}
	}
	if _, err := (&Invocation{}).Batch("logs"); !errors.Is(err, ErrShape) {
		t.Error("a missing binding is taken")
	}
}

func FuzzBatch(f *testing.F) {
	for _, s := range []string{`"[\"dmFsaWQ=\"]"`, `"[\"YQ==\",\"eyJ9\"]"`, `"[\"YQ==\", \"eyJ9\"]"`, `"[\"YQ\\u003d=\"]"`, `"[\"YQ==\n\"]"`, `["YQ=="]`, `"[]"`, `"\"[]\""`, `7`, ``} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		inv := &Invocation{Data: map[string]json.RawMessage{"x": raw}}
		if fast, ok := asTheHostWritesIt(raw); ok { // the same as by the standard library, from valid JSON
			var text string
			var list []string
			if json.Valid(raw) && (json.Unmarshal(raw, &text) != nil || json.Unmarshal([]byte(text), &list) != nil || len(list) != len(fast)) {
				t.Fatalf("%q: %q", raw, fast)
			}
			for i, s := range list {
				if b, err := base64.StdEncoding.Strict().DecodeString(s); err != nil || !bytes.Equal(b, fast[i]) {
					t.Fatalf("message %d of %q: %q, %v", i, raw, fast[i], err)
				}
			}
		}
		if _, err := inv.Batch("x"); err != nil && !errors.Is(err, ErrShape) {
			t.Fatal(err)
		}
		if _, err := inv.Bytes("x"); err != nil && !errors.Is(err, ErrShape) {
			t.Fatal(err)
		}
		if v, err := inv.Object("x"); err == nil && !json.Valid(v) || err != nil && !errors.Is(err, ErrShape) {
			t.Fatalf("%s, %v", v, err)
		}
	})
}
