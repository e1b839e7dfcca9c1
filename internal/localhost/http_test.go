package localhost_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"cmkguard/internal/localhost"
)

// pairs reads an object in its order; a list has one element.
func pairs(t *testing.T, raw json.RawMessage) []localhost.Pair {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(raw))
	if _, err := dec.Token(); err != nil {
		t.Fatal(err)
	}
	var out []localhost.Pair
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			t.Fatal(err)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			t.Fatal(err)
		}
		var text string
		if list := []string{}; json.Unmarshal(value, &list) == nil && len(list) == 1 {
			text = list[0]
		} else if err := json.Unmarshal(value, &text); err != nil {
			t.Fatal(err)
		}
		key, _ := name.(string)
		out = append(out, localhost.Pair{Name: key, Value: text})
	}
	return out
}

func TestHTTPEnvelopeIsTheRealHosts(t *testing.T) {
	for name, want := range captured(t, "httpTrigger.*.json") {
		c, call := takeApart(t, want)
		var req struct {
			URL, Method            string
			Query, Headers, Params json.RawMessage
			Body                   *string
		}
		if err := json.Unmarshal(c.Data["req"], &req); err != nil {
			t.Fatal(err)
		}
		r := localhost.HTTPRequest{URL: req.URL, Method: req.Method, Query: pairs(t, req.Query), Headers: pairs(t, req.Headers), Params: pairs(t, req.Params)}
		if req.Body != nil {
			r.Body = []byte(*req.Body)
		}
		got, err := localhost.HTTPEnvelope(call, "req", r)
		same(t, name, got, err, want)
	}
}
