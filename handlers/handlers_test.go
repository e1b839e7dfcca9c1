// Package handlers_test checks that the functions, their function.json and
// host.json agree, and that each function hands over what the host sent.
package handlers_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cmkguard/handlers/keyvaultevents"
	"cmkguard/handlers/sweep"
	"cmkguard/handlers/work"
	"cmkguard/internal/funchost"
	"cmkguard/internal/localhost"
)

func readJSON(t *testing.T, path string) map[string]any {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return v
}

// trigger returns the one binding of a function.
func trigger(t *testing.T, function string) map[string]any {
	t.Helper()
	v := readJSON(t, filepath.Join(function, "function.json"))
	bindings, _ := v["bindings"].([]any)
	if len(v) != 1 || len(bindings) != 1 {
		t.Fatalf("%s: %v; want one binding and nothing else (a scriptFile would have to exist)", function, v)
	}
	b, _ := bindings[0].(map[string]any)
	return b
}

func TestFunctionJSONNamesWhatTheCodeReads(t *testing.T) {
	want := map[string]map[string]any{
		keyvaultevents.Name: {"type": "eventGridTrigger", "name": keyvaultevents.Binding, "direction": "in"},
		work.Name: {"type": "queueTrigger", "name": work.Binding, "direction": "in", "dataType": "binary",
			"queueName": work.Queue, "connection": "CMKGUARD_STORAGE"},
		sweep.Name: {"type": "timerTrigger", "name": sweep.Binding, "direction": "in", "schedule": "0 * * * * *"},
	}
	for function, binding := range want {
		if d := cmp.Diff(binding, trigger(t, function)); d != "" {
			t.Errorf("%s: %s", function, d)
		}
	}
}

func TestEveryFunctionIsOneTheHostTakes(t *testing.T) {
	files, err := filepath.Glob("*/function.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	name := regexp.MustCompile(`^[a-z][a-z0-9_\-]{0,127}$`)
	for _, f := range files {
		function := filepath.Dir(f)
		b := trigger(t, function)
		if !name.MatchString(function) {
			t.Errorf("%s: the host refuses the name", function)
		}
		if b["type"] == "queueTrigger" && b["dataType"] != "binary" {
			t.Errorf("%s: without dataType binary a message forges the metadata", function)
		}
	}
}

func TestHostJSONHoldsTheBoundsOfTheCode(t *testing.T) {
	host := readJSON(t, filepath.Join("..", "host.json"))
	timeout := duration(t, host["functionTimeout"])
	if timeout <= funchost.DefaultDeadline {
		t.Errorf("functionTimeout %v is not above our deadline %v: the host would kill every invocation in flight", timeout, funchost.DefaultDeadline)
	}
	handler, _ := host["customHandler"].(map[string]any)
	for _, forbidden := range []string{"enableForwardingHttpRequest", "enableProxyingHttpRequest"} {
		if _, set := handler[forbidden]; set {
			t.Errorf("%s is set: a caller of one HTTP function could forge any trigger", forbidden)
		}
	}
	extensions, _ := host["extensions"].(map[string]any)
	queues, _ := extensions["queues"].(map[string]any)
	if got := duration(t, queues["visibilityTimeout"]); got != localhost.DefaultVisibility {
		t.Errorf("visibilityTimeout %v, the embedded host has %v", got, localhost.DefaultVisibility)
	}
	if queues["maxDequeueCount"] != float64(localhost.MaxDequeueCount) || queues["messageEncoding"] != "base64" {
		t.Errorf("queues: %v", queues)
	}
}

// duration reads the host's hh:mm:ss.
func duration(t *testing.T, v any) time.Duration {
	t.Helper()
	s, _ := v.(string)
	at, err := time.Parse(time.TimeOnly, s)
	if err != nil {
		t.Fatalf("%v: %v", v, err)
	}
	return at.Sub(at.Truncate(24 * time.Hour))
}

// core notes what each function handed over.
type core struct {
	source, took string
	swept        int
	err          error
}

func (c *core) Take(_ context.Context, source string, raw json.RawMessage) error {
	c.source, c.took = source, string(raw)
	return c.err
}

func (c *core) Work(_ context.Context, message []byte) error { c.took = string(message); return c.err }

func (c *core) Sweep(context.Context) error { c.swept++; return c.err }

func TestFunctionsHandOver(t *testing.T) {
	boom := errors.New("boom")
	cases := []struct {
		name    string
		handler func(*core) funchost.Handler
		binding string
		value   string
		want    core
	}{
		{"event", func(c *core) funchost.Handler { return keyvaultevents.Handler(c) }, "event", `{"id":"1"}`, core{source: "keyvaultevents", took: `{"id":"1"}`}},
		{"batch", func(c *core) funchost.Handler { return keyvaultevents.Handler(c) }, "event", `"[{\"id\":\"1\"}]"`, core{source: "keyvaultevents", took: `[{"id":"1"}]`}},
		{"message", func(c *core) funchost.Handler { return work.Handler(c) }, "item", `"aGk="`, core{took: "hi"}},
		{"tick", func(c *core) funchost.Handler { return sweep.Handler(c) }, "timer", `{"IsPastDue":false}`, core{swept: 1}},
	}
	for _, c := range cases {
		for _, want := range []error{nil, boom} {
			got := core{err: want}
			inv := &funchost.Invocation{Data: map[string]json.RawMessage{c.binding: json.RawMessage(c.value)}}
			err := c.handler(&got)(t.Context(), inv)
			c.want.err = want
			if !errors.Is(err, want) || got != c.want {
				t.Errorf("%s: %v, %+v; want %v, %+v", c.name, err, got, want, c.want)
			}
		}
		untouched := core{}
		err := c.handler(&untouched)(t.Context(), &funchost.Invocation{})
		if !errors.Is(err, funchost.ErrShape) || untouched != (core{}) {
			t.Errorf("%s without its binding: %v, %+v", c.name, err, untouched)
		}
	}
}
