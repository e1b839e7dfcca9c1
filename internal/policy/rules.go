package policy

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml/ast"
)

func (r reader) rules(n node) {
	names := map[string]int{}
	for _, item := range n.items() {
		rule := r.rule(item)
		if rule.Name != "" {
			if before, twice := names[rule.Name]; twice {
				item.problem("name %q is used twice, first on line %d: want names that differ", clip(rule.Name), before)
			}
			names[rule.Name] = item.line
		}
		r.policy.Rules = append(r.policy.Rules, rule)
	}
}

func (r reader) rule(n node) Rule {
	rule := Rule{Line: n.line}
	found := n.fields(map[string]func(node){
		"name":     func(n node) { rule.Name = n.text() },
		"match":    func(n node) { rule.Match = readMatch(n) },
		"remedies": func(n node) { rule.Remedies = r.remedies(n) },
	})
	n.require(found, "name", "name: TEXT, which the reasons show")
	n.require(found, "match", "what it is for; modes for everything belong under remedies at the top")
	n.require(found, "remedies", "remedies: {NAME: MODE}")
	return rule
}

func readMatch(n node) Match {
	var m Match
	found := n.fields(map[string]func(node){
		"subscriptions":  func(n node) { m.Subscriptions = n.texts(checkSubscription) },
		"resourceGroups": func(n node) { m.ResourceGroups = n.texts(checkName) },
		"clusters":       func(n node) { m.Clusters = n.texts(checkPattern) },
		"keys":           func(n node) { m.Keys = n.texts(checkKeyPattern) },
		"tags":           func(n node) { m.Tags = readTags(n) },
	})
	if found != nil && len(found) == 0 {
		n.problem("is empty and would match everything: want at least one of subscriptions, resourceGroups, clusters, keys, tags")
	}
	return m
}

// readTags takes numbers and booleans by their text, as tag values are text.
func readTags(n node) map[string]string {
	out := map[string]string{}
	entries := n.entries()
	for _, e := range entries {
		switch y := e.yaml.(type) {
		case *ast.IntegerNode, *ast.BoolNode, *ast.FloatNode:
			out[e.name] = y.GetToken().Value
		default:
			out[e.name] = e.text()
		}
	}
	if n.isMapping() && len(entries) == 0 {
		n.problem("names no tag: want NAME: VALUE")
	}
	return out
}

func checkSubscription(s string) error {
	if strings.ContainsAny(s, "/* \t") || len(s) > 64 {
		return fmt.Errorf("%q is no subscription id: want the id alone, without /subscriptions/ and wildcards", clip(s))
	}
	return nil
}

// checkName refuses what can match no name.
func checkName(s string) error {
	if strings.ContainsRune(s, '/') {
		return fmt.Errorf("%q has a slash: want a name in which * stands for any text", clip(s))
	}
	return checkPattern(s)
}

// checkPattern takes names and whole ARM ids.
func checkPattern(s string) error {
	odd := strings.IndexFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || unicode.IsSpace(r) || strings.ContainsRune(`?[]{}\^$|+"'`, r)
	})
	switch {
	case odd >= 0 || len(s) > 1024:
		return fmt.Errorf("%q is no pattern: want a name in which * is the only wildcard", clip(s))
	case strings.Contains(s, "/") && !strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "*"):
		return fmt.Errorf("%q is neither a name nor an ARM id: want NAME or /subscriptions/ID/resourceGroups/NAME and so on", clip(s))
	}
	return nil
}

// checkKeyPattern takes VAULT/NAME, and VAULT alone for all of its keys.
func checkKeyPattern(s string) error {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-*/", r) {
			return fmt.Errorf("%q is no key pattern: want VAULT/NAME in which * stands for any text, such as kv-orders/*", clip(s))
		}
	}
	vault, name, both := strings.Cut(s, "/")
	if vault == "" || both && name == "" || strings.Contains(name, "/") {
		return fmt.Errorf("%q is no key pattern: want VAULT/NAME such as kv-orders/*, without host and version", clip(s))
	}
	return nil
}
