// Package handlers_test checks that the functions, their function.json and
// host.json agree, and that each function hands over what the host sent.
package handlers_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"cmkguard/handlers/eventqueue"
	"cmkguard/handlers/keyvaultevents"
	"cmkguard/handlers/resourceevents"
	"cmkguard/handlers/sweep"
	"cmkguard/handlers/vaultlogs"
	"cmkguard/handlers/work"
	"cmkguard/internal/funchost"
	"cmkguard/internal/guard"
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

func (c *core) TakeLogs(_ context.Context, source string, messages [][]byte) (guard.Taken, error) {
	c.source = source
	for _, m := range messages {
		c.took += string(m) + "|"
	}
	return guard.Taken{}, c.err
}

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
		{"resource", func(c *core) funchost.Handler { return resourceevents.Handler(c) }, "event", `{"id":"2"}`, core{source: "resourceevents", took: `{"id":"2"}`}},
		{"queued event", func(c *core) funchost.Handler { return eventqueue.Handler(c) }, "item", `"eyJpZCI6IjMifQ=="`, core{source: "eventqueue", took: `{"id":"3"}`}},
		{"logs", func(c *core) funchost.Handler { return vaultlogs.Handler(c) }, "logs", `"[\"aGk=\",\"aG8=\"]"`, core{source: "vaultlogs", took: "hi|ho|"}},
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
