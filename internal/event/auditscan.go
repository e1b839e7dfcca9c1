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
	resource  []byte // whose log it is
	status    int    // -1: not found
	wrapped   bool   // it is no record: it holds a list of them
}

// level is where in a message a scan is.
type level int

const (
	inside       level = iota // of a value that nobody asks about
	inEach                    // of an object whose every field is asked for
	inProperties              // of a record's properties
	inRecord
	inMessage // a record, or what stands around a list of them
)

// scanRecords calls fn for each record of a log message, in whichever way they
// are wrapped: {"records":[...]}, an array of those, a bare array (Managed HSM),
// or one record. It checks and looks in one pass, and returns false if body is
// no JSON: what fn was told then counts for nothing. The slices alias body.
func scanRecords(body []byte, fn func(rec []byte, g glance)) bool {
	s := scanner{b: body, found: fn}
	if !s.message(0) {
		return false
	}
	s.space()
	return s.i == len(body)
}

// message scans what a message may be, from the value that stands next.
func (s *scanner) message(depth int) bool {
	s.space()
	start, g := s.i, glance{status: -1}
	switch {
	case s.at('['):
		return s.list(depth, (*scanner).message)
	case s.at('{'):
		if !s.object(inMessage, depth, &g) {
			return false
		}
	case !s.value(depth):
		return false
	}
	if !g.wrapped {
		s.found(s.b[start:s.i], g)
	}
	return true
}

// record scans one element of a list of records.
func (s *scanner) record(depth int) bool {
	s.space()
	start, g := s.i, glance{status: -1}
	if s.at('{') {
		if !s.object(inRecord, depth, &g) {
			return false
		}
	} else if !s.value(depth) {
		return false
	}
	s.found(s.b[start:s.i], g)
	return true
}

// field scans a field's value and keeps what is asked of it at this level.
func (s *scanner) field(l level, name []byte, depth int, g *glance) bool {
	f := nobodys
	if l >= inProperties {
		f = fieldOf(name)
	}
	switch {
	case f == fieldRecords && l == inMessage && s.at('['):
		g.wrapped = true
		return s.list(depth, (*scanner).record)
	case f == fieldProperties && l >= inRecord && s.at('{'):
		return s.object(inProperties, depth, g)
	}
	start := s.i
	if !s.value(depth) {
		return false
	}
	value := s.b[start:s.i]
	switch {
	case l == inEach:
		s.each(name, value)
	case f == fieldStatus: // Managed HSM has it outside of properties
		g.status = statusOf(value)
	case l < inRecord:
	case f == fieldOperation:
		g.operation = text(value)
	case f == fieldCategory:
		g.category = text(value)
	case f == fieldResource:
		g.resource = text(value)
	}
	return true
}

// asked is a field that a glance asks for.
type asked int

const (
	nobodys asked = iota
	fieldRecords
	fieldOperation
	fieldCategory
	fieldStatus
	fieldProperties
	fieldResource
)

// fieldOf compares a raw name with the wanted ones, without regard to case and
// to space around it. A name with an escape is decoded first; no sender writes
// one.
func fieldOf(name []byte) asked {
	if bytes.IndexByte(name, '\\') >= 0 {
		var s string
		if json.Unmarshal([]byte(`"`+string(name)+`"`), &s) != nil {
			return nobodys
		}
		name = []byte(s)
	}
	var f asked
	var want string
	name = bytes.TrimSpace(name)
	switch len(name) {
	case 7:
		f, want = fieldRecords, "records"
	case 8:
		f, want = fieldCategory, "category"
	case 10:
		if f, want = fieldProperties, "properties"; name[0]|0x20 == 'r' {
			f, want = fieldResource, "resourceId"
		}
	case 13:
		f, want = fieldOperation, "operationName"
	case 14:
		f, want = fieldStatus, "httpStatusCode"
	default:
		return nobodys
	}
	if !bytes.EqualFold(name, []byte(want)) {
		return nobodys
	}
	return f
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

// auditBody returns a log message's JSON without a byte-order mark or strings
// around it. That it is JSON is not checked yet.
func auditBody(raw []byte) ([]byte, error) {
	const op = "event.ParseAuditLogs"
	if len(raw) > maxBytes {
		return nil, fault.New(fault.Invalid, op, "message has %d bytes: want at most %d", len(raw), maxBytes)
	}
	body, err := unwrap(raw)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, op, err)
	}
	if body[0] != '{' && body[0] != '[' {
		return nil, fault.New(fault.Invalid, op, "message is no object and no array: want {\"records\":[...]}, and it begins %q", clip(string(body[:min(len(body), 200)])))
	}
	return body, nil
}
