package capture

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/funchost"
)

// fields are the names of an object, folded, for a glance at what it is.
type fields map[string]json.RawMessage

func glance(raw []byte) fields {
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil {
		return nil
	}
	out := make(fields, len(m))
	for name, v := range m {
		out[strings.ToLower(strings.TrimSpace(name))] = v
	}
	return out
}

func (f fields) has(names ...string) bool {
	for _, n := range names {
		if f[n] == nil {
			return false
		}
	}
	return true
}

func (f fields) text(name string) string {
	var s string
	_ = json.Unmarshal(f[name], &s)
	return s
}

// document reads an object or an array.
func (r *reader) document(raw []byte) error {
	first := raw
	if raw[0] == '[' {
		var list []json.RawMessage
		if err := json.Unmarshal(raw, &list); err != nil {
			return fault.Wrap(fault.Invalid, "capture.Read", err)
		}
		if len(list) == 0 {
			r.shape("an empty array")
			r.out.Events = &event.Parsed{}
			return nil
		}
		first = bytes.TrimSpace(list[0])
	}
	f := glance(first)
	switch {
	case raw[0] == '{' && IsRequest(raw):
		return r.request(raw)
	case raw[0] == '{' && f.text("schemaid") == commonSchema:
		return r.common(raw)
	case raw[0] == '{' && r.kit.IsWork(raw):
		r.shape("a message of the work queue")
		r.out.Work = append(r.out.Work, raw)
		return nil
	case f.has("records"), f.has("operationname") && !f.has("data") && !f.has("eventtype") && !f.has("specversion"):
		return r.logs(raw)
	}
	return r.events(raw)
}

// IsRequest reports whether an object is the host's whole request: of an event, whose
// names may come in any case, "Data" is one field of several.
func IsRequest(raw []byte) bool {
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil || m["Data"] == nil {
		return false
	}
	for name := range m {
		if name != "Data" && name != "Metadata" {
			return false
		}
	}
	return true
}

func (r *reader) events(raw []byte) error {
	p, err := event.ParseGrid(raw, r.kit.Cloud)
	if err != nil {
		return err
	}
	r.out.GivenUp = append(r.out.GivenUp, event.ReadGivenUp(raw)...)
	r.shape("%s", eventsShape(raw, p, len(r.out.GivenUp) > 0))
	for _, e := range p.Rejected {
		r.problem(e.Raw, "event "+orUnnamed(e.ID)+" ("+orUnnamed(e.Type)+"): "+strings.Join(e.Problems, "; "))
	}
	if r.out.Events == nil {
		r.out.Events = &event.Parsed{}
	}
	r.out.Events.Signals = append(r.out.Events.Signals, p.Signals...)
	r.out.Events.Ignored = append(r.out.Events.Ignored, p.Ignored...)
	r.out.Events.Rejected = append(r.out.Events.Rejected, p.Rejected...)
	return nil
}

func orUnnamed(s string) string {
	if s == "" {
		return "unnamed"
	}
	return s
}

func (r *reader) problem(at []byte, what string) {
	r.out.Problems = append(r.out.Problems, Problem{Line: r.line(at), What: what})
}

func eventsShape(raw []byte, p event.Parsed, givenUp bool) string {
	what := "an event"
	first := raw
	if raw[0] == '[' {
		var list []json.RawMessage
		_ = json.Unmarshal(raw, &list)
		what, first = "an array of events", list[0]
	}
	schema := " in the Event Grid schema"
	switch f := glance(first); {
	case f.has("specversion"):
		schema = " in the CloudEvents schema"
	case f.has("type") && !f.has("eventtype"):
		schema = " in the CloudEvents schema, if any: there is no specversion"
	case len(p.Signals)+len(p.Ignored) == 0:
		schema = ", or what should be"
	}
	if givenUp {
		schema += ", given up by Event Grid"
	}
	return what + schema
}

func (r *reader) logs(raw []byte) error {
	a, err := event.ParseAuditLogs(raw, r.kit.Cloud)
	if err != nil {
		return err
	}
	r.shape("a message of a vault's log")
	for _, e := range a.Rejected {
		r.problem(e.Raw, "record "+strings.Join(e.Problems, "; "))
	}
	if r.out.Logs == nil {
		r.out.Logs = &event.Audit{}
	}
	l := r.out.Logs
	l.Signals, l.Uses, l.Rejected, l.Dropped = append(l.Signals, a.Signals...), append(l.Uses, a.Uses...), append(l.Rejected, a.Rejected...), l.Dropped+a.Dropped
	return nil
}

// request reads the host's request by the names of its bindings, as function.json
// of each function has them.
func (r *reader) request(raw []byte) error {
	const op = "capture.Read"
	inv, err := funchost.Open("replay", raw)
	if err != nil {
		return err
	}
	r.shape("the Functions host's request")
	for _, binding := range []string{"event", "item", "logs", "timer", "req"} {
		if inv.Data[binding] == nil {
			continue
		}
		if len(inv.Data) > 1 {
			return fault.New(fault.Invalid, op, "Data has %d bindings: want the one of a trigger of ours", len(inv.Data))
		}
		return r.binding(inv, binding)
	}
	names := make([]string, 0, len(inv.Data))
	for name := range inv.Data {
		names = append(names, name)
	}
	return fault.New(fault.Invalid, op, "Data.%s: no function of ours has such a binding: want event, item, logs, timer or req", strings.Join(names, ", "))
}

func (r *reader) binding(inv *funchost.Invocation, name string) error {
	switch name {
	case "event":
		v, err := inv.Object(name)
		if err != nil {
			return err
		}
		return r.document(v)
	case "item":
		v, err := inv.Bytes(name)
		if err != nil {
			return err
		}
		r.shape("a queue's message")
		return r.value(v, 1)
	case "logs":
		list, err := inv.Batch(name)
		if err != nil {
			return err
		}
		for i, m := range list {
			if err := r.logs(m); err != nil {
				r.out.Problems = append(r.out.Problems, Problem{What: fmt.Sprintf("message %d: %v", i, err)})
			}
		}
		return nil
	case "timer":
		r.shape("a timer's tick")
		r.out.Tick = true
		return nil
	}
	req, err := inv.Request(name)
	if err != nil {
		return err
	}
	r.shape("a person's request")
	r.out.Request = &Request{Method: req.Method, Plan: req.Params["id"]}
	return nil
}
