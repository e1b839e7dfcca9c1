package templates

import (
	"fmt"
	"reflect"
	"text/template"
	"text/template/parse"
)

// deepest is how many ranges may stand in one another: lists of an alert have a
// hundred entries at most, so that this bounds the steps that a template can take.
const deepest = 2

// escaper is the function that the tree is given at the end of each output.
const escaper = "_escape"

// check refuses what could make a template run for ever: other templates, which can
// call themselves, and a range over anything but a field, for of numbers and of
// variables nobody knows how many steps they are.
func check(t *template.Template) error {
	if len(t.Templates()) > 1 {
		return &Problem{Message: "defines another template, which could call itself: want one text"}
	}
	if t.Tree == nil || t.Root == nil {
		return &Problem{Message: "is empty"}
	}
	c := checker{tree: t.Tree}
	return c.list(t.Root, 0)
}

type checker struct{ tree *parse.Tree }

func (c checker) bad(n parse.Node, format string, args ...any) error {
	line, _ := c.tree.ErrorContext(n)
	p := problem(fmt.Errorf("template: %s: "+format, append([]any{line}, args...)...))
	return p
}

func (c checker) list(l *parse.ListNode, depth int) error {
	if l == nil {
		return nil
	}
	for _, n := range l.Nodes {
		if err := c.node(n, depth); err != nil {
			return err
		}
	}
	return nil
}

func (c checker) node(n parse.Node, depth int) error {
	switch n := n.(type) {
	case *parse.TemplateNode:
		return c.bad(n, "calls a template, which could call itself: want one text")
	case *parse.RangeNode:
		if depth++; depth > deepest {
			return c.bad(n, "has a range in a range in a range: want %d at most", deepest)
		}
		if !overField(n.Pipe) {
			return c.bad(n, "has a range over what is no field of the alert: want range .Commands, or a field of what an outer range gives")
		}
		return c.branch(n.List, n.ElseList, depth)
	case *parse.IfNode:
		return c.branch(n.List, n.ElseList, depth)
	case *parse.WithNode:
		return c.branch(n.List, n.ElseList, depth)
	case *parse.ListNode:
		return c.list(n, depth)
	}
	return nil
}

func (c checker) branch(list, otherwise *parse.ListNode, depth int) error {
	if err := c.list(list, depth); err != nil {
		return err
	}
	return c.list(otherwise, depth)
}

// overField reports whether a pipe is nothing but a field. No field is a number.
func overField(p *parse.PipeNode) bool {
	if p == nil || len(p.Cmds) != 1 || len(p.Cmds[0].Args) != 1 {
		return false
	}
	switch n := p.Cmds[0].Args[0].(type) {
	case *parse.FieldNode:
		return true
	case *parse.VariableNode:
		return len(n.Ident) > 1
	}
	return false
}

// escapeAll ends each output with the escaper, as html/template does: what an author
// forgets would be markup.
func escapeAll(tree *parse.Tree, n parse.Node) {
	switch n := n.(type) {
	case *parse.ActionNode:
		if len(n.Pipe.Decl) == 0 {
			end := parse.NewIdentifier(escaper).SetTree(tree).SetPos(n.Pos)
			n.Pipe.Cmds = append(n.Pipe.Cmds, &parse.CommandNode{NodeType: parse.NodeCommand, Pos: n.Pos, Args: []parse.Node{end}})
		}
	case *parse.ListNode:
		if n == nil {
			return
		}
		for _, x := range n.Nodes {
			escapeAll(tree, x)
		}
	case *parse.IfNode:
		escapeBoth(tree, n.List, n.ElseList)
	case *parse.WithNode:
		escapeBoth(tree, n.List, n.ElseList)
	case *parse.RangeNode:
		escapeBoth(tree, n.List, n.ElseList)
	}
}

func escapeBoth(tree *parse.Tree, lists ...*parse.ListNode) {
	for _, l := range lists {
		if l != nil {
			escapeAll(tree, l)
		}
	}
}

// ready is text that is already in the receiver's form.
type ready string

// escaped is a value as text in the part's markup.
func escaped(p Part, v any) string {
	if r, ok := v.(ready); ok {
		return string(r)
	}
	if x := reflect.ValueOf(v); !x.IsValid() || x.Kind() == reflect.Pointer && x.IsNil() {
		return ""
	}
	return p.escape(fmt.Sprint(v))
}
