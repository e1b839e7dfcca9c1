// Package handlers_test checks that the functions, their function.json and
// host.json agree, and that each function hands over what the host sent.
package handlers_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"cmkguard/handlers/keyvaultevents"
	"cmkguard/handlers/sweep"
	"cmkguard/handlers/work"
	"cmkguard/internal/funchost"
)

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
