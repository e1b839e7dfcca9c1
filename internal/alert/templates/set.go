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

// Linter tries templates on every kind of message, the smallest and the largest: what
// fails at night is to fail when the policy is read.
type Linter struct{ tries []try }

type try struct {
	name string
	a    alert.Alert
	view View
}

// NewLinter prepares the messages once for many templates.
func NewLinter() *Linter {
	l, now := &Linter{}, examples.At()
	for _, e := range examples.All(now) {
		l.tries = append(l.tries, try{e.Name, e.Alert, ViewOf(e.Alert, now)})
	}
	for _, e := range []try{{name: "small", a: examples.Small(now)}, {name: "huge", a: examples.Huge(now)}} {
		view := ViewOf(e.a, now)
		for _, lifecycle := range []alert.Lifecycle{alert.Trigger, alert.Update, alert.Acknowledge, alert.Resolve, alert.Notice} {
			e.a.Lifecycle = lifecycle
			view.setLifecycle(lifecycle)
			e.view = view
			l.tries = append(l.tries, e)
		}
	}
	return l
}

// Lint reads a template and tries it, with the parameters of a webhook's recipe, on
// messages of some lifecycles; nil: all.
func (l *Linter) Lint(p Part, source string, with map[string]string, on []string) *Problem {
	t, err := Parse(p, source)
	if err != nil {
		return asProblem(err)
	}
	for _, e := range l.tries {
		if on != nil && !slices.Contains(on, string(e.a.Lifecycle)) {
			continue
		}
		e.view.With, e.view.Found = with, "FOUND"
		if _, err := t.render(e.view, e.a); err != nil {
			found := asProblem(err)
			found.Message = "fails for the example " + e.name + ": " + found.Message
			return found
		}
	}
	return nil
}

func asProblem(err error) *Problem {
	if p, ok := err.(*Problem); ok { //nolint:errorlint // ours, never wrapped
		return p
	}
	return &Problem{Message: err.Error()}
}
