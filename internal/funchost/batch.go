package funchost

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
)

// Batch returns the exact bytes of every message of a trigger with cardinality
// many and dataType binary (eventHubTrigger): the host sends the text of an array
// of base64 strings. A bare array is taken too. An element that is no base64 is
// an ErrShape for all, since the host never mixes them.
//
// Source: EventHubTriggerBindingStrategy.cs, ScriptInvocationContextExtensions.cs.
func (inv *Invocation) Batch(name string) ([][]byte, error) {
	const op = "funchost.Batch"
	v, ok := inv.Data[name]
	if !ok {
		return nil, shape(op, "no binding %q", name)
	}
	v = bytes.TrimSpace(v)
	if out, ok := asTheHostWritesIt(v); ok {
		return out, nil
	}
	if first(v) == '"' {
		var text string
		if err := json.Unmarshal(v, &text); err != nil {
			return nil, shape(op, "binding %q: %s", name, jsonProblem(err))
		}
		v = json.RawMessage(text)
	}
	var list []string
	if first(bytes.TrimSpace(v)) != '[' {
		return nil, shape(op, "binding %q is no array of messages: function.json wants cardinality many", name)
	}
	if err := json.Unmarshal(v, &list); err != nil {
		return nil, shape(op, "binding %q: %s", name, jsonProblem(err))
	}
	out := make([][]byte, 0, len(list))
	for i, text := range list {
		b, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil {
			return nil, shape(op, "binding %q, message %d: %v: function.json wants dataType binary", name, i, err)
		}
		out = append(out, b)
	}
	return out, nil
}

// asTheHostWritesIt reads a batch in the one form that the host sends, which is as
// long as the logs are: each way through encoding/json copies all of it. Anything
// else about it is not its matter: ok is false then.
func asTheHostWritesIt(v []byte) (out [][]byte, ok bool) {
	const quote = `\"`
	list, ok := bytes.CutPrefix(v, []byte(`"[`))
	if !ok {
		return nil, false
	}
	for {
		if list, ok = bytes.CutPrefix(list, []byte(quote)); !ok {
			return nil, false
		}
		end := bytes.IndexByte(list, '\\')
		if end < 0 || !bytes.HasPrefix(list[end:], []byte(quote)) {
			return nil, false
		}
		b := make([]byte, base64.StdEncoding.DecodedLen(end))
		n, err := base64.StdEncoding.Strict().Decode(b, list[:end])
		if err != nil {
			return nil, false
		}
		out, list = append(out, b[:n]), list[end+len(quote):]
		if string(list) == `]"` {
			return out, true
		}
		if list, ok = bytes.CutPrefix(list, []byte(",")); !ok {
			return nil, false
		}
	}
}
