package policy

import (
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Template is a text of messages that the policy makes in place of the built-in one.
// It is a Go template, which this package does not read (internal/alert/templates
// does).
type Template struct {
	Kind string // of the channels
	Part string // of their messages
	Text string
	Line int // of the file, of the text's first line
}

// TemplateParts are the parts of messages that a template can make, by the channels'
// kind.
func TemplateParts() map[string][]string {
	return map[string][]string{
		kindPagerDuty:    {"summary"},
		kindSlack:        {"title", "text"},
		kindTeams:        {"title", "text"},
		kindEmail:        {"subject", "text", "html"},
		kindAlertmanager: {"summary", "description"},
		kindConsole:      {"text"},
	}
}

func (r reader) templates(n node) {
	parts := TemplateParts()
	for _, kind := range n.entries() {
		known, ok := parts[kind.name]
		if !ok {
			kind.problem("is no kind of channel with templates: want one of %s; a webhook has body or requests", strings.Join(sortedKeys(parts), ", "))
			continue
		}
		for _, part := range kind.entries() {
			if !slices.Contains(known, part.name) {
				part.problem("is no part of %s: want one of %s", kind.name, strings.Join(known, ", "))
				continue
			}
			text, line := part.template()
			r.policy.Templates = append(r.policy.Templates, Template{Kind: kind.name, Part: part.name, Text: text, Line: line})
		}
	}
}

// template returns a text as it stands, and the line on which it begins.
func (n node) template() (string, int) {
	text, line := "", n.line
	switch y := n.yaml.(type) {
	case *ast.StringNode:
		text = y.Value
		if l := lineOf(y); l > 0 {
			line = l
		}
	case *ast.LiteralNode:
		text = y.Value.Value
		if l := lineOf(y); l > 0 {
			line = l + 1 // below the bar
		}
	default:
		n.problem("is %s: want a template's text", describe(n.yaml))
		return "", line
	}
	if strings.TrimSpace(text) == "" {
		n.problem("is empty: want a template's text, or leave it out for the built-in one")
	}
	return text, line
}
