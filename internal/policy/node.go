package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// node is a place in the policy file: a YAML node and the path that leads to
// it. Its readers report to one shared list and return the zero value after a
// problem, so that one run finds everything.
type node struct {
	yaml ast.Node // nil: an empty document
	path string
	line int
	out  *Problems
}

// entry is one field of a mapping.
type entry struct {
	name string
	node
}

func (n node) problem(format string, args ...any) { n.out.add(n.line, n.path, format, args...) }

func (n node) child(name string, line int, value ast.Node) node {
	var path string
	switch {
	case strings.HasPrefix(name, "["), n.path == "":
		path = n.path + name
	default:
		path = n.path + "." + name
	}
	return node{yaml: value, path: path, line: line, out: n.out}
}

// entries returns a mapping's fields in the order of the file; a name that
// appears twice is reported and left out.
func (n node) entries() []entry {
	var values []*ast.MappingValueNode
	switch y := n.yaml.(type) {
	case *ast.MappingNode:
		values = y.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{y}
	default:
		n.problem("is %s: want fields (name: value)", describe(n.yaml))
		return nil
	}
	var out []entry
	first := make(map[string]int, len(values))
	for _, v := range values {
		name, line := nameOf(v)
		e := entry{name: name, node: n.child(name, line, v.Value)}
		if before, twice := first[name]; twice {
			e.problem("is set twice, first on line %d: want it once", before)
			continue
		}
		first[name] = line
		out = append(out, e)
	}
	return out
}

func nameOf(v *ast.MappingValueNode) (string, int) {
	tk := v.Key.GetToken()
	if tk == nil {
		return "", lineOf(v)
	}
	return clip(tk.Value), tk.Position.Line
}

// isMapping reports whether n can have fields.
func (n node) isMapping() bool {
	switch n.yaml.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return true
	}
	return false
}

// fields calls the reader of each field; unknown names are reported with the
// known ones. It returns the names that it found, so that the caller can ask
// for those that must be there; nil if n cannot have fields, which is reported.
func (n node) fields(read map[string]func(node)) map[string]bool {
	if !n.isMapping() {
		n.problem("is %s: want fields (name: value) of %s", describe(n.yaml), strings.Join(sortedKeys(read), ", "))
		return nil
	}
	found := map[string]bool{}
	for _, e := range n.entries() {
		f, ok := read[e.name]
		if !ok {
			e.problem("is unknown: want one of %s", strings.Join(sortedKeys(read), ", "))
			continue
		}
		found[e.name] = true
		f(e.node)
	}
	return found
}

// require reports the names that fields did not find.
func (n node) require(found map[string]bool, name, mend string) {
	if found != nil && !found[name] {
		n.problem("has no %s: want %s", name, mend)
	}
}

// items returns a list's elements. An empty list is reported: where a template
// left one out, "nothing" and "everything" are both a bad guess.
func (n node) items() []node {
	seq, ok := n.yaml.(*ast.SequenceNode)
	if !ok {
		n.problem("is %s: want a list", describe(n.yaml))
		return nil
	}
	if len(seq.Values) == 0 {
		n.problem("is an empty list: leave it out or name at least one")
	}
	out := make([]node, len(seq.Values))
	for i, v := range seq.Values {
		line := n.line
		if l := lineOf(v); l > 0 {
			line = l
		}
		out[i] = n.child(fmt.Sprintf("[%d]", i), line, v)
	}
	return out
}

// text returns a non-empty string.
func (n node) text() string {
	var s string
	switch y := n.yaml.(type) {
	case *ast.StringNode:
		s = y.Value
	case *ast.LiteralNode:
		s = y.Value.Value
	default:
		n.problem("is %s: want a string", describe(n.yaml))
		return ""
	}
	if s = strings.TrimSpace(s); s == "" {
		n.problem("is empty: want a string with text")
	}
	return s
}

// texts returns a list of strings, each of which pass accepts.
func (n node) texts(check func(string) error) []string {
	var out []string
	for _, item := range n.items() {
		s := item.text()
		if s == "" {
			continue
		}
		if err := check(s); err != nil {
			item.problem("%v", err)
			continue
		}
		out = append(out, s)
	}
	return out
}

func (n node) boolean() bool {
	y, ok := n.yaml.(*ast.BoolNode)
	if !ok {
		n.problem("is %s: want true or false", describe(n.yaml))
		return false
	}
	return y.Value
}

// number returns an integer of the range; low after a problem.
func (n node) number(low, high int) int {
	if y, ok := n.yaml.(*ast.IntegerNode); ok {
		if v, ok := y.Value.(uint64); ok && v >= uint64(low) && v <= uint64(high) {
			return int(v)
		}
	}
	n.problem("is %s: want a whole number from %d to %d", describe(n.yaml), low, high)
	return low
}

// describe says what a node is, in words and without its text: the text may be
// a secret in the wrong place.
func describe(y ast.Node) string {
	switch y.(type) {
	case nil, *ast.NullNode:
		return "empty"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a set of fields"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode, *ast.LiteralNode:
		return "a string"
	case *ast.BoolNode:
		return "true or false"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.AliasNode, *ast.AnchorNode, *ast.MergeKeyNode:
		return "an anchor or alias, which policies do not use"
	case *ast.TagNode:
		return "a YAML tag, which policies do not use"
	}
	return "something else"
}

func lineOf(y ast.Node) int {
	if y == nil {
		return 0
	}
	var tk *token.Token
	// A mapping's own token is its first colon, a sequence's its first dash.
	if m, ok := y.(*ast.MappingNode); ok && len(m.Values) > 0 {
		tk = m.Values[0].Key.GetToken()
	} else {
		tk = y.GetToken()
	}
	if tk == nil || tk.Position == nil {
		return 0
	}
	return tk.Position.Line
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func clip(s string) string {
	const most = 100
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
