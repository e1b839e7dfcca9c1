package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"cmkguard/internal/fault"
)

// Bounds on one delivery. Event Grid sends at most 5,000 events and 1 MB at
// once (learn.microsoft.com, "Event Grid quotas and limits"); JSON inside a
// JSON string can double that, and once more.
const (
	maxBytes    = 4 << 20
	maxElements = 5000
	maxLayers   = 3  // of JSON strings around the JSON
	maxDepth    = 32 // of one element; the documented shapes have 2
)

// maxEpoch is the last second of the year 9999: beyond it Go's and everybody
// else's RFC 3339 text ends.
const maxEpoch = 253402300799

// split returns the elements of a delivery.
func split(raw []byte) ([]json.RawMessage, error) {
	const op = "event.Parse"
	if len(raw) > maxBytes {
		return nil, fault.New(fault.Invalid, op, "body has %d bytes: want at most %d", len(raw), maxBytes)
	}
	body, err := unwrap(raw)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, op, err)
	}
	var list []json.RawMessage
	switch {
	case !json.Valid(body):
		return nil, fault.New(fault.Invalid, op, "body is not JSON: it begins %q", clip(string(body[:min(len(body), 200)])))
	case body[0] == '{':
		list = []json.RawMessage{bytes.Clone(body)}
	case body[0] == '[':
		if err := json.Unmarshal(body, &list); err != nil {
			return nil, fault.New(fault.Invalid, op, "body: %w", err)
		}
	default:
		return nil, fault.New(fault.Invalid, op, "body is %s: want an event or an array of events", jsonType(body))
	}
	if len(list) > maxElements {
		return nil, fault.New(fault.Invalid, op, "body has %d elements: want at most %d", len(list), maxElements)
	}
	return list, nil
}

// unwrap takes away the JSON strings around JSON: the Functions host hands a
// queue item over as a string of a string, and a delivery of several events
// may come as a string of an array. What it returns is not empty.
func unwrap(raw []byte) (json.RawMessage, error) {
	for range maxLayers + 1 {
		raw = bytes.TrimSpace(bytes.TrimPrefix(raw, []byte("\ufeff")))
		if len(raw) == 0 {
			return nil, fmt.Errorf("empty: want an event or an array of events")
		}
		if raw[0] != '"' {
			return raw, nil
		}
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, fmt.Errorf("not JSON: %w", err)
		}
		raw = []byte(s)
	}
	return nil, fmt.Errorf("more than %d JSON strings around each other: want the event itself", maxLayers)
}

// parseEpoch reads seconds since 1970 from a JSON number or a string that holds
// one: the documentation shows strings, captures show numbers. A fraction is
// cut off, as Key Vault's resolution is the second.
func parseEpoch(v json.RawMessage) (time.Time, error) {
	text := string(v)
	if text[0] == '"' {
		if err := json.Unmarshal(v, &text); err != nil {
			return time.Time{}, err
		}
		text = strings.TrimSpace(text)
	}
	// ParseFloat alone would also take "NaN", "Inf" and hexadecimal.
	if text == "" || strings.Trim(text, "0123456789+-.eE") != "" {
		return time.Time{}, fmt.Errorf("%q is not a number: want seconds since 1970 or null", clip(text))
	}
	f, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil:
		return time.Time{}, fmt.Errorf("%q is not a number: want seconds since 1970 or null", clip(text))
	case f < 0 || f >= maxEpoch+1:
		return time.Time{}, fmt.Errorf("%s is outside the years 1970 to 9999: want seconds since 1970, not milliseconds", clip(text))
	}
	return time.Unix(int64(math.Floor(f)), 0).UTC(), nil
}

// parseTime reads RFC 3339 as .NET writes it (seven decimals) and its usual
// neighbours: a space for the T, an offset without a colon, no offset (UTC).
func parseTime(s string) (time.Time, error) {
	u := strings.ToUpper(s)
	for _, layout := range []string{
		time.RFC3339Nano, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05",
		"2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05Z0700", "2006-01-02 15:04:05",
	} {
		t, err := time.Parse(layout, u)
		if err != nil {
			continue
		}
		// An offset can push a year over the edge that JSON can carry.
		if t = t.UTC(); t.Year() < 1 || t.Year() > 9999 {
			break
		}
		return t, nil
	}
	return time.Time{}, fmt.Errorf("%q is not a time: want RFC 3339 such as 2026-11-01T00:05:12.1234567Z", clip(s))
}

// depth returns how deep objects and arrays nest, without building any.
func depth(raw []byte) int {
	deepest, now, inString := 0, 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}

func jsonType(v []byte) string {
	switch v[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// reason returns a classified error's message without the name of the function
// that made it, which tells the reader of a rejected event nothing.
func reason(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		err = f.Err
	}
	return clip(err.Error())
}

// clip keeps a stranger's text from filling messages and rows.
func clip(s string) string {
	const most = 300
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
