package app

import (
	"fmt"
	"os"
	"slices"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/console"
	"cmkguard/internal/alert/email"
	"cmkguard/internal/alert/pagerduty"
	"cmkguard/internal/alert/slack"
	"cmkguard/internal/alert/teams"
	"cmkguard/internal/alert/templates"

	"cmkguard/internal/alert/alertmanager"
	"cmkguard/internal/plan"
	"cmkguard/internal/policy"
)

// readPolicy returns the policy of the file, or the built-in one and why.
func readPolicy(file string) (*policy.Policy, string) {
	if file == "" {
		return policy.Default(), ""
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return policy.Default(), "CMKGUARD_POLICY: " + err.Error()
	}
	pol, err := parsePolicy(file, raw)
	if err != nil {
		return policy.Default(), "the policy is not in force, the built-in one is (dry run, console alerts): " + err.Error()
	}
	return pol, ""
}

// parsePolicy reads a policy and tries its templates on every kind of message. The
// error is *policy.Problems.
func parsePolicy(file string, raw []byte) (*policy.Policy, error) {
	pol, err := policy.Parse(file, raw, plan.Ceilings())
	if err != nil {
		return nil, err
	}
	if found := lint(pol); len(found) > 0 {
		return nil, &policy.Problems{File: file, List: found}
	}
	return pol, nil
}

// lint is what is wrong with the policy's templates, by line of the file.
func lint(pol *policy.Policy) []policy.Problem {
	if len(pol.Templates) == 0 && !slices.ContainsFunc(pol.Channels, func(c policy.Channel) bool { return len(c.Hook.Requests) > 0 }) {
		return nil
	}
	l := templates.NewLinter()
	out := lintHooks(l, pol)
	for _, t := range pol.Templates {
		part, ok := templates.Find(t.Kind, t.Part)
		if !ok {
			out = append(out, policy.Problem{Line: t.Line, Field: "templates." + t.Kind + "." + t.Part, Message: "is no part that a template can make"})
			continue
		}
		if p := l.Lint(part, t.Text, nil, nil); p != nil {
			out = append(out, policy.Problem{Line: t.Line + max(0, p.Line-1), Field: "templates." + t.Kind + "." + t.Part, Message: p.Message})
		}
	}
	return out
}

// lintHooks is what is wrong with the requests that the policy writes itself; those of
// recipes are tried by tests, with what a policy gives them here.
func lintHooks(l *templates.Linter, pol *policy.Policy) []policy.Problem {
	var out []policy.Problem
	for i, c := range pol.Channels {
		find := policy.Request{Path: c.Hook.Find.Path, PathLine: c.Hook.Find.PathLine}
		for _, r := range append([]policy.Request{find}, c.Hook.Requests...) {
			for _, t := range []struct {
				part   templates.Part
				source string
				line   int
			}{{templates.Path(), r.Path, r.PathLine}, {templates.Body(), r.Body, r.BodyLine}} {
				if t.source == "" {
					continue
				}
				p := l.Lint(t.part, t.source, c.Hook.With, r.On)
				if p == nil {
					continue
				}
				line, message := t.line+max(0, p.Line-1), p.Message
				if c.Hook.Recipe != "" {
					line, message = c.Line, "the recipe "+c.Hook.Recipe+": "+message
				}
				out = append(out, policy.Problem{Line: line, Field: fmt.Sprintf("channels[%d].%s", i, t.part.Name), Message: message})
			}
		}
	}
	return out
}

// wordsOf are the policy's templates for a kind of channel. They were tried when the
// policy was read; one that cannot be read all the same is left out.
func wordsOf(pol *policy.Policy, kind string) templates.Set {
	out := templates.Set{}
	for _, t := range pol.Templates {
		if t.Kind != kind {
			continue
		}
		part, _ := templates.Find(t.Kind, t.Part)
		if parsed, err := templates.Parse(part, t.Text); err == nil {
			out[t.Part] = parsed
		}
	}
	return out
}

// worded gives a channel the policy's templates for its kind.
func worded(ch alert.Channel, words templates.Set) alert.Channel {
	if len(words) == 0 {
		return ch
	}
	switch c := ch.(type) {
	case *alertmanager.Channel:
		return c.With(words)
	case *console.Channel:
		return c.With(words)
	case *email.Channel:
		return c.With(words)
	case *pagerduty.Channel:
		return c.With(words)
	case *slack.Channel:
		return c.With(words)
	case *teams.Channel:
		return c.With(words)
	}
	panic(fmt.Sprintf("app.worded: %T has templates and no words", ch)) // policy.TemplateParts names a kind that is not here: a test finds it
}
