package handlers_test

import (
	"go/ast"
	goparser "go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// heard is what one event subscription in Bicep lets through.
type heard struct {
	name     string
	types    []string
	operator string
	keys     []string
	values   []string
	body     string
}

// passes says whether Event Grid would deliver an event: it compares without case.
func (h heard) passes(typ, operation string) bool {
	if !slices.ContainsFunc(h.types, func(t string) bool { return strings.EqualFold(t, typ) }) {
		return false
	}
	return slices.ContainsFunc(h.values, func(v string) bool { return h.matches(v, operation) })
}

func (h heard) matches(value, operation string) bool {
	value, operation = strings.ToLower(value), strings.ToLower(operation)
	return h.operator == "StringIn" && value == operation ||
		h.operator == "StringBeginsWith" && strings.HasPrefix(operation, value)
}

var quoted = regexp.MustCompile(`'([^']*)'`)

// all returns what a pattern's first group finds.
func all(text, pattern string) []string {
	var out []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	return out
}

// items returns the quoted items of every list of that name.
func items(text, name string) []string {
	var out []string
	for _, list := range all(text, `(?s)\b`+name+`: \[(.*?)\]`) {
		out = append(out, all(list, quoted.String())...)
	}
	return out
}

// heardIn returns the event subscriptions of a Bicep text: each resource from its
// line to the brace that ends it.
func heardIn(text string) []heard {
	var out []heard
	for _, at := range regexp.MustCompile(`resource (\w+) 'eventSubscriptions' = \{`).FindAllStringSubmatchIndex(text, -1) {
		end, depth := at[1], 1
		for ; end < len(text) && depth > 0; end++ {
			switch text[end] {
			case '{':
				depth++
			case '}':
				depth--
			}
		}
		body := text[at[1]:end]
		out = append(out, heard{
			name: text[at[2]:at[3]], body: body, types: items(body, "includedEventTypes"), values: items(body, "values"),
			operator: strings.Join(all(body, `operatorType: '(\w+)'`), " AND "), keys: all(body, `\bkey: '([^']+)'`),
		})
	}
	return out
}

// operations returns the names that internal/event's switches know, read from its
// source: a name added there and forgotten in infra must not go unheard.
func operations(t *testing.T) []string {
	t.Helper()
	file, err := goparser.ParseFile(token.NewFileSet(), filepath.Join("..", "internal", "event", "operations.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	prefixes := map[string]string{"operationOf": "", "vaultOperation": "microsoft.keyvault/", "governanceOperation": ""}
	var out []string
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		prefix, ours := prefixes[f.Name.Name]
		ast.Inspect(f, func(n ast.Node) bool {
			c, isCase := n.(*ast.CaseClause)
			if !isCase || !ours {
				return true
			}
			for _, e := range c.List {
				if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					name, _ := strconv.Unquote(lit.Value)
					out = append(out, prefix+name)
				}
			}
			return true
		})
	}
	return out
}

// onWhat is a resource that an operation could be about: an extension resource is
// attached to a vault, what lies in another has a name for each part.
func onWhat(operation string) string {
	const group = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg"
	parts := strings.Split(operation, "/")
	parts = parts[:len(parts)-1]
	id := group
	switch {
	case parts[0] == "microsoft.authorization", parts[0] == "microsoft.insights", operation == "microsoft.eventgrid/eventsubscriptions/write",
		operation == "microsoft.eventgrid/eventsubscriptions/delete":
		id += "/providers/Microsoft.KeyVault/vaults/kv-orders"
	}
	id += "/providers/" + parts[0]
	for _, p := range parts[1:] {
		if p == "action" || p == "purge" {
			continue
		}
		id += "/" + p + "/n1"
	}
	return id
}
