package event

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"cmkguard/internal/fault"
)

// glance is what one look over a record's bytes tells, without building
// anything: enough to drop nine of ten.
type glance struct {
	operation []byte // inside the quotes; nil if it is missing or no string
	category  []byte
	status    int // -1: not found
}

// records calls fn for each record of a log message, in whichever way they are
// wrapped: {"records":[...]}, an array of those, a bare array (Managed HSM), or
// one record. body must be valid JSON; the slices alias it.
func records(body []byte, fn func(rec []byte)) {
	switch body[0] {
	case '[':
		eachElement(body, func(el []byte) { records(el, fn) })
	case '{':
		wrapped := false
		eachField(body, func(name, value []byte) {
			if is(name, "records") && value[0] == '[' {
				wrapped = true
				eachElement(value, fn)
			}
		})
		if !wrapped {
			fn(body)
		}
	default:
		fn(body) // no record at all: the reader says so
	}
}

// look scans a record's top level, and its properties for the status.
func look(rec []byte) glance {
	g := glance{status: -1}
	if len(rec) == 0 || rec[0] != '{' {
		return g
	}
	eachField(rec, func(name, value []byte) {
		switch {
		case is(name, "operationName"):
			g.operation = text(value)
		case is(name, "category"):
			g.category = text(value)
		case is(name, "httpStatusCode"): // Managed HSM has it here
			g.status = statusOf(value)
		case is(name, "properties") && value[0] == '{':
			eachField(value, func(name, value []byte) {
				if is(name, "httpStatusCode") {
					g.status = statusOf(value)
				}
			})
		}
	})
	return g
}

// is compares a raw name with a wanted one, without regard to case and to space
// around it. A name with an escape is decoded first; no sender writes one.
func is(name []byte, want string) bool {
	if bytes.IndexByte(name, '\\') >= 0 {
		var s string
		if json.Unmarshal([]byte(`"`+string(name)+`"`), &s) != nil {
			return false
		}
		name = []byte(s)
	}
	name = bytes.TrimSpace(name)
	return len(name) == len(want) && bytes.EqualFold(name, []byte(want))
}

// text returns what stands between the quotes of a string; nil of anything else.
func text(value []byte) []byte {
	if len(value) < 2 || value[0] != '"' {
		return nil
	}
	return bytes.TrimSpace(value[1 : len(value)-1])
}

// statusOf reads an HTTP status written as a number or a string; -1 otherwise.
func statusOf(value []byte) int {
	if value[0] == '"' {
		value = text(value)
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(string(value), ".0"), 10, 16)
	if err != nil || n < 100 || n > 599 {
		return -1
	}
	return int(n)
}

// eachField calls fn for every field of a valid JSON object.
func eachField(obj []byte, fn func(name, value []byte)) {
	for i := space(obj, 1); i < len(obj) && obj[i] == '"'; {
		end := skip(obj, i)
		name := obj[i+1 : end-1]
		i = space(obj, end) // the colon
		i = space(obj, i+1) // the value
		end = skip(obj, i)
		fn(name, obj[i:end])
		i = space(obj, end) // a comma or the end
		i = space(obj, i+1)
	}
}

// eachElement calls fn for every element of a valid JSON array.
func eachElement(list []byte, fn func(el []byte)) {
	for i := space(list, 1); i < len(list) && list[i] != ']'; {
		end := skip(list, i)
		fn(list[i:end])
		i = space(list, end)
		i = space(list, i+1)
	}
}

// space returns the index of the first byte from i on that is no white space.
func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// skip returns the index behind the valid JSON value that begins at i. Nesting
// is counted, not followed, so that depth costs no stack.
func skip(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			i = skipString(b, i)
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
			if depth <= 0 {
				if depth < 0 {
					return i // the end of what holds a bare value
				}
				return i + 1
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i // a number, true, false or null ends here
			}
		}
		i++
	}
	return i
}

func skipString(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return i
}

// auditBody returns a log message's JSON without a byte-order mark or strings
// around it.
func auditBody(raw []byte) ([]byte, error) {
	const op = "event.ParseAuditLogs"
	if len(raw) > maxBytes {
		return nil, fault.New(fault.Invalid, op, "message has %d bytes: want at most %d", len(raw), maxBytes)
	}
	body, err := unwrap(raw)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, op, err)
	}
	switch {
	case !json.Valid(body):
		return nil, fault.New(fault.Invalid, op, "message is not JSON: it begins %q", clip(string(body[:min(len(body), 200)])))
	case body[0] != '{' && body[0] != '[':
		return nil, fault.New(fault.Invalid, op, "message is %s: want {\"records\":[...]}", jsonType(body))
	}
	return body, nil
}
