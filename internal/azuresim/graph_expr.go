package azuresim

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// expr parses `a or b`, whose parts are `a and b` of comparisons.
func (p *kqlParser) expr() (kqlExpr, error) {
	return p.chain("or", true, func() (kqlExpr, error) {
		return p.chain("and", false, p.comparison)
	})
}

// chain parses operands joined by word; the result is stop as soon as one
// operand is.
func (p *kqlParser) chain(word string, stop bool, operand func() (kqlExpr, error)) (kqlExpr, error) {
	first, err := operand()
	if err != nil || p.peek().text != word {
		return first, err
	}
	all := []kqlExpr{first}
	for p.take(word) {
		e, err := operand()
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return func(r kqlRow) any {
		for _, e := range all {
			if (e(r) == true) == stop {
				return stop
			}
		}
		return !stop
	}, nil
}

func (p *kqlParser) comparison() (kqlExpr, error) {
	left, err := p.value()
	if err != nil {
		return nil, err
	}
	if p.take("in") {
		return p.membership(left, p.take("~"))
	}
	compare := map[string]func(a, b string) bool{
		"=~":         strings.EqualFold,
		"==":         func(a, b string) bool { return a == b },
		"!~":         func(a, b string) bool { return !strings.EqualFold(a, b) },
		"!=":         func(a, b string) bool { return a != b },
		"contains":   func(a, b string) bool { return strings.Contains(strings.ToLower(a), strings.ToLower(b)) },
		"startswith": func(a, b string) bool { return strings.HasPrefix(strings.ToLower(a), strings.ToLower(b)) },
	}[p.peek().text]
	if compare == nil || p.peek().kind == 's' {
		return left, nil
	}
	p.next()
	right, err := p.value()
	if err != nil {
		return nil, err
	}
	return func(r kqlRow) any { return compare(kqlString(left(r)), kqlString(right(r))) }, nil
}

// membership parses the list of `in (...)` and `in~ (...)`.
func (p *kqlParser) membership(left kqlExpr, fold bool) (kqlExpr, error) {
	items, err := p.arguments()
	if err != nil {
		return nil, err
	}
	return func(r kqlRow) any {
		have := kqlString(left(r))
		return slices.ContainsFunc(items, func(e kqlExpr) bool {
			want := kqlString(e(r))
			return want == have || fold && strings.EqualFold(want, have)
		})
	}, nil
}

// arguments parses `( a, b, ... )`.
func (p *kqlParser) arguments() ([]kqlExpr, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	var out []kqlExpr
	for !p.take(")") {
		if len(out) > 0 {
			if err := p.expect(","); err != nil {
				return nil, err
			}
		}
		e, err := p.expr()
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// value parses a literal, a parenthesis, a call or a column, and what follows
// it: .property, ['property'] and [index].
func (p *kqlParser) value() (kqlExpr, error) {
	t := p.next()
	switch {
	case t.kind == 's':
		return func(kqlRow) any { return t.text }, nil
	case t.kind == 'n':
		n, err := strconv.ParseFloat(t.text, 64)
		return func(kqlRow) any { return n }, err
	case t.text == "(":
		e, err := p.expr()
		if err != nil {
			return nil, err
		}
		return e, p.expect(")")
	case t.kind != 'w':
		return nil, p.errorf("unexpected %q", t.text)
	case p.peek().text == "(" && p.peek().kind == 'p':
		return p.call(t.text)
	case t.text == "true" || t.text == "false":
		return func(kqlRow) any { return t.text == "true" }, nil
	}
	return p.path(func(r kqlRow) any { return r[t.text] })
}

func (p *kqlParser) path(base kqlExpr) (kqlExpr, error) {
	for {
		var step kqlToken
		switch {
		case p.take("."):
			step = p.next()
		case p.take("["):
			step = p.next()
			if err := p.expect("]"); err != nil {
				return nil, err
			}
		default:
			return base, nil
		}
		of := base
		base = func(r kqlRow) any { return kqlStep(of(r), step) }
	}
}

func kqlStep(v any, step kqlToken) any {
	switch v := v.(type) {
	case map[string]any:
		return v[step.text]
	case []any:
		if i, err := strconv.Atoi(step.text); err == nil && i < len(v) {
			return v[i]
		}
	}
	return nil
}

func (p *kqlParser) call(name string) (kqlExpr, error) {
	args, err := p.arguments()
	if err != nil {
		return nil, err
	}
	f, n := kqlFunction(name)
	if f == nil || n != len(args) {
		return nil, p.errorf("function %s of %d arguments is not known here", name, len(args))
	}
	return p.path(func(r kqlRow) any {
		values := make([]any, len(args))
		for i, a := range args {
			values[i] = a(r)
		}
		return f(values)
	})
}

// kqlFunction returns a scalar function and how many arguments it takes.
func kqlFunction(name string) (func([]any) any, int) {
	switch name {
	case "tostring":
		return func(a []any) any { return kqlString(a[0]) }, 1
	case "tolower":
		return func(a []any) any { return strings.ToLower(kqlString(a[0])) }, 1
	case "tobool":
		return func(a []any) any { b, err := strconv.ParseBool(kqlString(a[0])); return orNull(b, err) }, 1
	case "toint":
		return func(a []any) any { n, err := strconv.ParseFloat(kqlString(a[0]), 64); return orNull(n, err) }, 1
	case "isempty":
		return func(a []any) any { return kqlString(a[0]) == "" }, 1
	case "isnotempty":
		return func(a []any) any { return kqlString(a[0]) != "" }, 1
	case "not":
		return func(a []any) any { return a[0] != true }, 1
	case "split":
		return func(a []any) any {
			var out []any
			for _, part := range strings.Split(kqlString(a[0]), kqlString(a[1])) {
				out = append(out, part)
			}
			return out
		}, 2
	}
	return nil, 0
}

func orNull[T any](v T, err error) any {
	if err != nil {
		return nil
	}
	return v
}

// kqlString is tostring(): null is empty, objects are their JSON.
func kqlString(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}
