package funchost_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"cmkguard/internal/fault"
	"cmkguard/internal/funchost"
)

func invocation(t interface{ Fatal(...any) }, name string, value any) *funchost.Invocation {
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return &funchost.Invocation{Data: map[string]json.RawMessage{name: raw}}
}

// wrap makes a string of v's JSON text, n times.
func wrap(v string, n int) json.RawMessage {
	for range n {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		v = string(b)
	}
	return json.RawMessage(v)
}

func TestObjectUnwrapsStringsToABound(t *testing.T) {
	for _, want := range []string{`{"a":1}`, `[{"a":1},{"b":"\"x\""}]`} {
		for depth := range 9 {
			got, err := invocation(t, "e", wrap(want, depth)).Object("e")
			if depth <= 3 && (err != nil || string(got) != want) {
				t.Errorf("%d strings around %s: %s, %v", depth, want, got, err)
			}
			if depth > 3 && (!errors.Is(err, funchost.ErrShape) || !fault.Is(err, fault.Invalid)) {
				t.Errorf("%d strings around %s: %s, %v; want ErrShape, Invalid", depth, want, got, err)
			}
		}
	}
}

func TestBytesOfEitherDataTypeAreTheMessage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		message := rapid.OneOf(rapid.SliceOf(rapid.Byte()),
			rapid.Map(rapid.String(), func(s string) []byte { return []byte(s) }),
			rapid.SampledFrom([][]byte{[]byte(`"quoted"`), []byte(`"\"twice\""`), []byte("42"), []byte("YWJj"), []byte(`{"a":"b"}`), nil}),
		).Draw(t, "message")
		got, err := invocation(t, "item", base64.StdEncoding.EncodeToString(message)).Bytes("item")
		if err != nil || !bytes.Equal(got, message) {
			t.Fatalf("binary: %q, %v; want %q", got, err, message)
		}
		if !utf8.Valid(message) {
			return
		}
		got, err = invocation(t, "item", string(wrap(string(message), 1))).Bytes("item")
		if err != nil || !bytes.Equal(got, message) {
			t.Fatalf("string of a string: %q, %v; want %q", got, err, message)
		}
	})
}

func TestCapturedQueueMessages(t *testing.T) {
	bodies := captures(t)
	for _, name := range []string{"eg-keyvault-KeyNearExpiry", "forging-metadata", "not-json"} {
		var got [2][]byte
		for i, kind := range []string{"binary", "string"} {
			var inv funchost.Invocation
			if err := json.Unmarshal(bodies["queueTrigger."+kind+"."+name], &inv); err != nil {
				t.Fatal(err)
			}
			b, err := inv.Bytes("item")
			if err != nil {
				t.Fatalf("%s %s: %v", kind, name, err)
			}
			got[i] = b
		}
		if !bytes.Equal(got[0], got[1]) || len(got[0]) == 0 {
			t.Errorf("%s: binary %q, string %q", name, got[0], got[1])
		}
	}
}

func FuzzBindings(f *testing.F) {
	f.Add([]byte(`{"a":1}`))
	f.Add([]byte(`"\"x\""`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		inv := funchost.Invocation{Data: map[string]json.RawMessage{"b": raw}}
		if v, err := inv.Object("b"); err == nil && !json.Valid(v) {
			t.Errorf("Object of %q is %q, no JSON", raw, v)
		}
		if _, err := inv.Bytes("b"); err != nil && !errors.Is(err, funchost.ErrShape) {
			t.Errorf("Bytes of %q: %v", raw, err)
		}
	})
}

// What is taken for an HTTP envelope has a method; what is not says so without a
// word of the envelope, which holds the caller's token.
func FuzzRequest(f *testing.F) {
	const secret = "eyJhbGciOiJub25lIn0.c2VjcmV0"
	for _, s := range []string{
		`{"Url":"http://x/api/a","Method":"POST","Query":{"a":"1"},"Headers":{"Authorization":["Bearer ` + secret + `"],"Content-Type":["application/json"]},"Params":{"id":"p"},"Body":"{}"}`,
		`{"method":"get","url":"","headers":{},"body":{"a":1}}`, `{"Method":7}`, `{"Headers":{"Authorization":"` + secret + `"}}`, `"{\"Method\":\"GET\"}"`, `[]`, ``,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		inv := funchost.Invocation{Data: map[string]json.RawMessage{"req": raw}}
		r, err := inv.Request("req")
		switch {
		case err != nil && (!errors.Is(err, funchost.ErrShape) || strings.Contains(err.Error(), secret)):
			t.Fatalf("%s: %v", raw, err)
		case err == nil && (r.Method == "" || r.Method != strings.ToUpper(r.Method)):
			t.Fatalf("%s: %+v", raw, r)
		}
		_ = r.Header("authorization")
	})
}
