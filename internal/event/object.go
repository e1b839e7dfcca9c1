package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"cmkguard/internal/azureid"
)

// object is a JSON object whose names are compared trimmed and without regard
// to case: Microsoft's own pages show Pascal and camel case and names with
// stray spaces. Its readers report to one shared list, so that a person sees
// all that is wrong with an element at once.
type object struct {
	prefix   string                     // "" or "data."
	fields   map[string]json.RawMessage // by folded name; nil: no object
	problems *[]string
}

func newObject(name string, raw json.RawMessage, problems *[]string) object {
	o := object{problems: problems}
	what := "element"
	if name != "" {
		o.prefix, what = name+".", name
	}
	raw, err := unwrap(raw)
	if err != nil {
		o.problem("%s: %s", what, clip(err.Error()))
		return o
	}
	if raw[0] != '{' {
		is := "a string that is no JSON" // what was in it does not begin any JSON value
		if json.Valid(raw) {
			is = jsonType(raw)
		}
		o.problem("%s is %s: want an object", what, is)
		return o
	}
	if d := depth(raw); d > maxDepth {
		o.problem("%s is nested %d deep: want at most %d levels", what, d, maxDepth)
		return o
	}
	if !o.read(raw) {
		o.problem("%s is not JSON: want an object", what)
		o.fields = nil
	}
	return o
}

// read takes the fields one by one, because a map would let the last of two
// values win in silence. It returns false if raw is no JSON: a string's inside has
// not been looked at before. The values alias raw.
func (o *object) read(raw json.RawMessage) bool {
	o.fields = make(map[string]json.RawMessage, 8)
	s := scanner{b: raw, each: func(name, value []byte) {
		text := string(name)
		if plain := strings.IndexFunc(text, func(r rune) bool { return r == '\\' || r > '~' }) < 0; !plain {
			_ = json.Unmarshal([]byte(`"`+text+`"`), &text) // valid, or the scan would have ended
		}
		key := fold(text)
		if old, twice := o.fields[key]; twice && !bytes.Equal(old, value) {
			o.problem("%s appears twice with different values: want it once", o.prefix+clip(strings.TrimSpace(text)))
		}
		o.fields[key] = value
	}}
	if !s.object(inEach, 0, nil) {
		return false
	}
	s.space()
	return s.i == len(raw)
}

func fold(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

func (o object) problem(format string, args ...any) {
	*o.problems = append(*o.problems, fmt.Sprintf(format, args...))
}

// value returns the field's JSON; nil if it is absent or null.
func (o object) value(name string) json.RawMessage {
	v := o.fields[fold(name)]
	if string(v) == "null" {
		return nil
	}
	return v
}

func (o object) has(name string) bool { return o.value(name) != nil }

// required returns the text of a field that must be there.
func (o object) required(name string) string {
	v := o.value(name)
	if v == nil {
		o.problem("%s is missing: want a string", o.prefix+name)
		return ""
	}
	var s string
	if json.Unmarshal(v, &s) != nil {
		o.problem("%s is %s: want a string", o.prefix+name, jsonType(v))
		return ""
	}
	if s = strings.TrimSpace(s); s == "" {
		o.problem("%s is empty: want a string with text", o.prefix+name)
	}
	return s
}

// child returns the field as an object; it may come as a string of JSON.
func (o object) child(name string) object {
	v := o.value(name)
	if v == nil {
		o.problem("%s is missing: want an object", o.prefix+name)
		return object{problems: o.problems}
	}
	return newObject(o.prefix+name, v, o.problems)
}

// key returns the field as the URL of a vault's key; zero after a problem.
func (o object) key(name string, c azureid.Cloud) azureid.Key {
	s := o.required(name)
	if s == "" {
		return azureid.Key{}
	}
	k, err := azureid.ParseKey(s, c)
	if err != nil {
		o.problem("%s: %s; want https://VAULT%s/keys/NAME/VERSION", o.prefix+name, reason(err), strings.Join(c.VaultSuffixes, "|"))
		return azureid.Key{}
	}
	if c.IsHSM(k.Host) {
		o.problem("%s: host %q is a Managed HSM, which sends no events: want a vault's", o.prefix+name, k.Host)
		return azureid.Key{}
	}
	return k
}

// epoch returns the field as a time; nil if it is absent, null or empty.
func (o object) epoch(name string) *time.Time {
	v := o.value(name)
	if v == nil || string(v) == `""` {
		return nil
	}
	t, err := parseEpoch(v)
	if err != nil {
		o.problem("%s: %v", o.prefix+name, err)
		return nil
	}
	return &t
}

// timestamp returns the field as a time in UTC; zero if it is absent.
func (o object) timestamp(name string) time.Time {
	if !o.has(name) {
		return time.Time{}
	}
	s := o.required(name)
	if s == "" {
		return time.Time{}
	}
	t, err := parseTime(s)
	if err != nil {
		o.problem("%s: %v", o.prefix+name, err)
	}
	return t
}
