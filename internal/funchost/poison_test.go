package funchost_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"cmkguard/internal/funchost"
)

// bin keeps poison as OnPoison gets it.
type bin struct {
	mu    sync.Mutex
	last  []byte
	why   string
	n     int
	fails error
}

func (b *bin) take(_ context.Context, function, id, reason string, body []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if function != "object" && function != "bytes" || id != "inv-1" {
		return errors.New("poison without its function or invocation")
	}
	b.n, b.last, b.why = b.n+1, bytes.Clone(body), reason
	return b.fails
}

func bindings() map[string]funchost.Handler {
	return map[string]funchost.Handler{
		"object": func(_ context.Context, inv *funchost.Invocation) error { _, err := inv.Object("event"); return err },
		"bytes":  func(_ context.Context, inv *funchost.Invocation) error { _, err := inv.Bytes("item"); return err },
	}
}

func TestPoisonIsStoredWholeAndEnds(t *testing.T) {
	huge := `{"Data":{"event":{"x":"` + strings.Repeat("a", 10<<20) + `"}}}`
	cases := map[string]struct{ function, body string }{
		"empty":               {"object", ""},
		"malformed":           {"object", `{"Data":{"event":{"id":`},
		"trailing":            {"object", `{"Data":{"event":{}}} {}`},
		"array":               {"object", `[]`},
		"null":                {"object", `null`},
		"text":                {"object", `"x"`},
		"no Data":             {"object", `{"Metadata":{}}`},
		"Data is a number":    {"object", `{"Data":7}`},
		"Data is an array":    {"object", `{"Data":[{"event":{}}]}`},
		"other binding":       {"object", `{"Data":{"other":{}}}`},
		"event is null":       {"object", `{"Data":{"event":null}}`},
		"event is a number":   {"object", `{"Data":{"event":42}}`},
		"event is prose":      {"object", `{"Data":{"event":"hello"}}`},
		"event is cut text":   {"object", `{"Data":{"event":"{\"a\":"}}`},
		"event is empty text": {"object", `{"Data":{"event":""}}`},
		"nested too deep":     {"object", `{"Data":{"event":` + strings.Repeat(`{"a":`, 20_000) + `1` + strings.Repeat(`}`, 20_000) + `}}`},
		"no base64":           {"bytes", `{"Data":{"item":"not base64!"}}`},
		"loose base64":        {"bytes", `{"Data":{"item":"aGl="}}`},
		"item is an object":   {"bytes", `{"Data":{"item":{"a":1}}}`},
		"item is a number":    {"bytes", `{"Data":{"item":5}}`},
		"half a string":       {"bytes", `{"Data":{"item":"\"abc"}}`},
		"10 MB":               {"object", huge},
	}
	b := &bin{}
	r := start(t, funchost.Options{OnPoison: b.take}, funchost.Life{}, bindings())
	r.Ready()
	n := 0
	for name, c := range cases {
		status, answer := r.post(t, c.function, strings.NewReader(c.body))
		n++
		if status != http.StatusOK || answer != "{}" || b.n != n || string(b.last) != c.body || b.why == "" {
			t.Errorf("%s: %d %s; %d of %d stored, %d of %d bytes, reason %q", name, status, answer, b.n, n, len(b.last), len(c.body), b.why)
		}
		if strings.Contains(b.why, "hello") {
			t.Errorf("%s: the reason quotes the body: %s", name, b.why)
		}
	}
}

func TestPoisonThatCannotBeStoredComesBack(t *testing.T) {
	b := &bin{fails: errors.New("disk full")}
	for name, o := range map[string]funchost.Options{"store fails": {OnPoison: b.take}, "no store": {}} {
		r := start(t, o, funchost.Life{}, bindings())
		r.Ready()
		if status, _ := r.post(t, "object", strings.NewReader(`nonsense`)); status != http.StatusInternalServerError {
			t.Errorf("%s: %d, and the body is lost", name, status)
		}
	}
}

func TestMaxBodyIsExact(t *testing.T) {
	b := &bin{}
	body := `{"Data":{"event":{}}}`
	r := start(t, funchost.Options{OnPoison: b.take, MaxBody: int64(len(body))}, funchost.Life{}, bindings())
	r.Ready()
	r.post(t, "object", strings.NewReader(body))
	if b.n != 0 {
		t.Errorf("a body of exactly MaxBody is poison: %s", b.why)
	}
	r.post(t, "object", strings.NewReader(body+" "))
	if b.n != 1 {
		t.Error("a body of one byte more is not")
	}
}

// A trigger that brings many messages at once has a bound of its own, and it alone.
func TestMaxBodyOfAFunction(t *testing.T) {
	b := &bin{}
	body := `{"Data":{"event":{}}}`
	r := start(t, funchost.Options{OnPoison: b.take, MaxBody: 4, MaxBodyOf: map[string]int64{"object": int64(len(body))}}, funchost.Life{}, bindings())
	r.Ready()
	if r.post(t, "object", strings.NewReader(body)); b.n != 0 {
		t.Errorf("within the function's own bound, and poison: %s", b.why)
	}
	if r.post(t, "object", strings.NewReader(body+" ")); b.n != 1 {
		t.Error("a body of one byte more is not")
	}
}
