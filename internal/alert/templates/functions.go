package templates

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"text/template"

	"cmkguard/internal/alert"
)

// functions are what a template can call beside the language's own. docs/
// alerts-channels.md lists them. print, printf and println are the language's with a
// bound: a width of a million is a mistake, and a loop of them would be memory.
func functions() template.FuncMap {
	return template.FuncMap{
		"cut":     func(most int, s string) string { return alert.CutRunes(s, max(0, most)) },
		"upper":   strings.ToUpper,
		"lower":   strings.ToLower,
		"trim":    strings.TrimSpace,
		"join":    func(between string, list []string) (string, error) { return limited(strings.Join(list, between)) },
		"replace": func(from, to, s string) (string, error) { return limited(strings.ReplaceAll(s, from, to)) },
		"default": func(otherwise, s string) string {
			if s == "" {
				return otherwise
			}
			return s
		},
		"severity": severityOf,
		"json":     asJSON,
		"object":   object,
		"first":    first,
		"path":     func(s string) ready { return ready(pathEscape(s)) },
		"query":    func(s string) ready { return ready(url.QueryEscape(s)) },
		"print":    func(v ...any) (string, error) { return limited(fmt.Sprint(v...)) },
		"println":  func(v ...any) (string, error) { return limited(fmt.Sprintln(v...)) },
		"printf":   printf,
		"call":     func(...any) (string, error) { return "", errors.New("call is not offered") },
		escaper:    func(v any) string { return fmt.Sprint(v) }, // replaced by the part's own
	}
}

const maxValue = 128 << 10

func limited(s string) (string, error) {
	if len(s) > maxValue {
		return "", fmt.Errorf("a text of more than %d bytes", maxValue)
	}
	return s, nil
}

// printf refuses widths and precisions: a hundred of a million would be memory.
func printf(format string, v ...any) (string, error) {
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			continue
		}
		for i++; i < len(format) && strings.IndexByte("+-# 0123456789.*[]", format[i]) >= 0; i++ {
			if c := format[i]; c >= '1' && c <= '9' || c == '*' || c == '.' {
				return "", errors.New("printf takes no width or precision: cut makes a text shorter")
			}
		}
	}
	return limited(fmt.Sprintf(format, v...))
}

// asJSON is a whole JSON value, quotes included.
func asJSON(v any) (ready, error) {
	s, err := encode(v)
	return ready(s), err
}

// first is the first so many of a list.
func first(n int, list any) (any, error) {
	v := reflect.ValueOf(list)
	if !v.IsValid() || v.Kind() != reflect.Slice || n < 0 {
		return nil, errors.New("first wants a number and a list")
	}
	return v.Slice(0, min(n, v.Len())).Interface(), nil
}

// encode is compact JSON that keeps < and > as they are: a reader of HTML is none of
// its receivers.
func encode(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	return limited(strings.TrimSpace(b.String()))
}

// object is a JSON object as text, for receivers that want JSON inside a string:
// "{{object "id" .ID "links" .Links}}".
func object(pairs ...any) (string, error) {
	if len(pairs)%2 != 0 {
		return "", errors.New("object wants names and values in pairs")
	}
	out := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return "", errors.New("object wants a text for each name")
		}
		out[name] = pairs[i+1]
	}
	return encode(out)
}

// severityOf maps the five severities to a receiver's words: severity "1" "2" "3" "4"
// "5" .Severity gives "1" for critical.
func severityOf(critical, high, medium, low, info, s string) string {
	switch s {
	case "critical":
		return critical
	case "high":
		return high
	case "medium":
		return medium
	case "low":
		return low
	}
	return info
}

func pathEscape(s string) string { return url.PathEscape(s) }

// Functions are the names of what a template can call beside the language's own.
func Functions() []string {
	var out []string
	for name := range functions() {
		switch name {
		case escaper, "call", "print", "println", "printf":
		default:
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
