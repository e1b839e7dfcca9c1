package post

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode"
)

const (
	maxWord   = 60  // of an answer in text
	maxReason = 160 // of a message in JSON
	minSecret = 6   // shorter pieces of a URL are words
)

// reason is the receiver's own word for its refusal: a short text such as
// invalid_blocks, or the message of an error in JSON. A page or a long text is left
// out, and so is whatever shows a part of what opened the door.
func reason(answer []byte, secrets []string) string {
	s := strings.TrimSpace(string(answer))
	if strings.HasPrefix(s, "{") || strings.HasPrefix(s, `"`) {
		s = message(answer)
	} else if len(s) > maxWord || strings.ContainsAny(s, "<>{}\n\r\"") {
		return ""
	}
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "") + "..."
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
			return ' '
		}
		return r
	}, s)
	for _, secret := range secrets {
		if strings.Contains(s, secret) {
			return ""
		}
	}
	if s = strings.TrimSpace(s); s == "" {
		return ""
	}
	return ": " + s
}

// message finds what an error in JSON says, where providers put it: PagerDuty errors[],
// Jira errorMessages[] and errors{}, Opsgenie and Azure message and error.message,
// ServiceNow error.message and error.detail, Alertmanager a string.
func message(answer []byte) string {
	var v any
	if json.Unmarshal(answer, &v) != nil {
		return ""
	}
	if s, ok := v.(string); ok {
		return s
	}
	o, _ := v.(map[string]any)
	var parts []string
	for _, name := range []string{"error", "message", "detail", "errors", "errorMessages"} {
		parts = append(parts, texts(o[name])...)
	}
	return strings.Join(parts, "; ")
}

// texts are the texts of a value one level down.
func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, x := range v {
			if s, ok := x.(string); ok {
				out = append(out, s)
			}
		}
		return out
	case map[string]any:
		if s := message(encoded(v)); s != "" {
			return []string{s}
		}
		var out []string
		for _, name := range slices.Sorted(maps.Keys(v)) { // Jira: field to what is wrong with it
			if s, ok := v[name].(string); ok && name != "code" {
				out = append(out, name+": "+s)
			}
		}
		return out
	}
	return nil
}

func encoded(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return raw
}

// secretsOf are the pieces of a request that open a door: what is in its URL behind the
// host, and its Authorization.
func secretsOf(r *http.Request) []string {
	var out []string
	add := func(pieces []string) {
		for _, p := range pieces {
			if len(p) >= minSecret {
				out = append(out, p)
			}
		}
	}
	add(strings.FieldsFunc(r.URL.EscapedPath(), func(c rune) bool { return c == '/' }))
	add(strings.FieldsFunc(r.URL.RawQuery, func(c rune) bool { return c == '&' || c == '=' }))
	for _, h := range []string{"Authorization", "X-Api-Key"} {
		add(strings.Fields(r.Header.Get(h)))
	}
	return out
}
