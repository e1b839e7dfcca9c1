package templates

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/examples"
)

// Set is the templates of one kind of channel, by part. Its zero value has none.
type Set map[string]*Template

// Render returns the parts that the set makes of the alert. One that fails is not
// among them: the alert that comes back says so in a note, and is to be shown by the
// built-in text.
func (s Set) Render(a alert.Alert, now time.Time) (map[string]string, alert.Alert) {
	out := make(map[string]string, len(s))
	var notes []string
	for _, name := range slices.Sorted(maps.Keys(s)) {
		t := s[name]
		made, err := t.Render(a, now)
		if err != nil {
			notes = append(notes, fmt.Sprintf("the policy's template %s.%s failed, so this is the built-in text: %v", t.part.Kind, name, err))
			continue
		}
		out[name] = made
	}
	if notes != nil {
		a.Notes = append(slices.Clone(a.Notes), notes...)
	}
	return out, a
}

// Lint reads a template and tries it on every kind of message, the smallest and the
// largest: what fails at night is to fail when the policy is read.
func Lint(p Part, source string) (*Template, *Problem) {
	t, err := Parse(p, source)
	if err != nil {
		return nil, asProblem(err)
	}
	all := examples.All(examples.At())
	all = append(all, examples.Example{Name: "small", Alert: examples.Small(examples.At())}, examples.Example{Name: "huge", Alert: examples.Huge(examples.At())})
	for _, e := range all {
		if _, err := t.Render(e.Alert, e.Alert.At); err != nil {
			found := asProblem(err)
			found.Message = "fails for the example " + e.Name + ": " + found.Message
			return nil, found
		}
	}
	return t, nil
}

func asProblem(err error) *Problem {
	if p, ok := err.(*Problem); ok { //nolint:errorlint // ours, never wrapped
		return p
	}
	return &Problem{Message: err.Error()}
}
