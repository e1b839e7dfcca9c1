// Package capture recognises what a captured file holds: any of the shapes in which
// events, log records and messages reach this product, alone, in an array, in base64
// as a queue holds them, or as the Functions host's whole request.
//
// It reads and judges nothing beyond that: internal/event parses, and what an event
// leads to is asked of the guard. It is for people at a command line; no function
// takes its input through it.
package capture

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"cmkguard/internal/azureid"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
)

// maxFile is how much of a file is read: an Event Hub batch at its largest.
const maxFile = 64 << 20

// Capture is what a file holds. One of Events, Logs, Work, Tick, Request and Alert
// is set, or several where the host's request has several messages.
type Capture struct {
	// Shape says in words what the file is, the outermost first: "the Functions
	// host's request", "base64", "an event in the Event Grid schema".
	Shape   []string
	Events  *event.Parsed   // of Event Grid, in either schema
	GivenUp []event.GivenUp // what Event Grid says of those that it gave up
	Logs    *event.Audit    // records of a vault's log
	Work    [][]byte        // messages of the work queue
	Tick    bool            // a timer's
	Request *Request        // a person's
	Alert   *CommonAlert
	// Problems are what could not be read, each with where it stands.
	Problems []Problem
}

// Request is a person's request to the function of approvals. Nothing of its headers
// or body is kept: it holds a token.
type Request struct {
	Method string
	Plan   string // that it names, or ""
}

// Problem is one part of the file that could not be read.
type Problem struct {
	Line int    `json:"line,omitempty"` // in the file, from 1; 0: within base64 or a string
	What string `json:"what"`           // with the field and the mend
}

// String returns "line N: what".
func (p Problem) String() string {
	if p.Line == 0 {
		return p.What
	}
	return fmt.Sprintf("line %d: %s", p.Line, p.What)
}

// Kit is what a Reader needs of others.
type Kit struct {
	Cloud azureid.Cloud
	// IsWork reports whether the bytes are a message of the work queue.
	IsWork func([]byte) bool
}

// Read recognises raw. An Invalid fault says, by line, why it is nothing that can be
// read at all.
func Read(raw []byte, k Kit) (Capture, error) {
	r := &reader{kit: k, file: raw}
	if len(raw) > maxFile {
		return r.out, fault.New(fault.Invalid, "capture.Read", "%d bytes: want at most %d", len(raw), maxFile)
	}
	err := r.value(raw, 0)
	return r.out, err
}

type reader struct {
	kit  Kit
	file []byte
	out  Capture
}

// maxWraps is how many layers of strings and base64 are taken off.
const maxWraps = 4

func (r *reader) shape(format string, args ...any) {
	r.out.Shape = append(r.out.Shape, fmt.Sprintf(format, args...))
}

// value reads one value, whatever it is wrapped in.
func (r *reader) value(raw []byte, wraps int) error {
	const op = "capture.Read"
	raw = bytes.TrimSpace(bytes.TrimPrefix(raw, []byte("\ufeff")))
	if len(raw) == 0 {
		return fault.New(fault.Invalid, op, "empty: want an event, a log record or a message")
	}
	if wraps > maxWraps {
		return fault.New(fault.Invalid, op, "more than %d layers of strings and base64 around each other", maxWraps)
	}
	switch raw[0] {
	case '{', '[':
		if err := r.check(raw); err != nil {
			return err
		}
		return r.document(raw)
	case '"':
		if err := r.check(raw); err != nil {
			return err
		}
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return fault.Wrap(fault.Invalid, op, err)
		}
		r.shape("a JSON string")
		return r.value([]byte(text), wraps+1)
	}
	inner, ok := decode64(raw)
	if !ok {
		return fault.New(fault.Invalid, op, "%sneither JSON nor base64: it begins %q", r.where(raw), clip(string(raw[:min(len(raw), 80)])))
	}
	r.shape("base64")
	return r.value(inner, wraps+1)
}

// decode64 takes base64 off, in either alphabet, wrapped into lines or not. What
// decodes by accident to no text is left as it is.
func decode64(raw []byte) ([]byte, bool) {
	text := strings.Join(strings.Fields(string(raw)), "")
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
		inner, err := enc.DecodeString(text)
		if err != nil {
			continue
		}
		trimmed := bytes.TrimSpace(bytes.TrimPrefix(inner, []byte("\ufeff")))
		return inner, len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[' || trimmed[0] == '"')
	}
	return nil, false
}

// check says where in the file raw stops to be JSON.
func (r *reader) check(raw []byte) error {
	var v json.RawMessage
	err := json.Unmarshal(raw, &v)
	if err == nil {
		return nil
	}
	line := r.line(raw)
	if line == 0 {
		return fault.New(fault.Invalid, "capture.Read", "within a string or base64: not JSON: %w", err)
	}
	before := raw[:len(raw)-1]
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) && syntax.Offset > 0 && int(syntax.Offset) <= len(raw) {
		before = raw[:syntax.Offset-1] // the offset counts the character that is wrong
	}
	column := len(before) - bytes.LastIndexByte(before, '\n')
	return fault.New(fault.Invalid, "capture.Read", "line %d, column %d: not JSON: %w", line+bytes.Count(before, []byte("\n")), column, err)
}

// line is where part begins in the file; 0 if it does not stand there as it is.
func (r *reader) line(part []byte) int {
	at := bytes.Index(r.file, part)
	if at < 0 || len(part) == 0 {
		return 0
	}
	return 1 + bytes.Count(r.file[:at], []byte("\n"))
}

// where is "line N: ", or what the part stands in.
func (r *reader) where(part []byte) string {
	if line := r.line(part); line > 0 {
		return fmt.Sprintf("line %d: ", line)
	}
	return "within " + strings.Join(r.out.Shape, ", ") + ": "
}

func clip(s string) string {
	const most = 300
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
