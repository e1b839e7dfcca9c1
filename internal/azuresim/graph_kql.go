package azuresim

import (
	"fmt"
	"strings"
)

// kqlRow is one row of Azure Resource Graph: column name to JSON value.
type kqlRow map[string]any

// kqlExpr computes a value from a row. A missing column or property is nil.
type kqlExpr func(kqlRow) any

// kqlStage is one operator of a query, between two pipes.
type kqlStage func([]kqlRow) []kqlRow

// kqlQuery is a parsed query. Columns is empty unless the query projects.
type kqlQuery struct {
	Table   string
	Stages  []kqlStage
	Columns []string
}

// parseKQL parses the part of the Resource Graph language that this product
// and its neighbours use: where, extend, project, order by and take, with
// comparisons, property paths and a few conversions. Whatever else it meets is
// an error, as a wrong query is at Azure, so that a client's typing mistake
// cannot pass as an empty answer. (Operators: learn.microsoft.com
// governance/resource-graph/concepts/query-language, [doc].)
func parseKQL(text string) (*kqlQuery, error) {
	tokens, err := lexKQL(text)
	if err != nil {
		return nil, err
	}
	p := &kqlParser{tokens: tokens}
	q := &kqlQuery{Table: strings.ToLower(p.next().text)}
	for p.take("|") {
		if err := p.stage(q); err != nil {
			return nil, err
		}
	}
	if !p.done() {
		return nil, p.errorf("unexpected %q", p.peek().text)
	}
	return q, nil
}

// run applies the stages to rows of the query's table.
func (q *kqlQuery) run(rows []kqlRow) []kqlRow {
	for _, stage := range q.Stages {
		rows = stage(rows)
	}
	return rows
}

type kqlToken struct {
	kind byte // 'w' word, 's' string, 'n' number, 'p' punctuation, 0 end
	text string
}

const kqlWordBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789"

func lexKQL(text string) ([]kqlToken, error) {
	var out []kqlToken
	for i := 0; i < len(text); {
		rest := text[i:]
		switch c := text[i]; {
		case strings.IndexByte(" \t\r\n", c) >= 0:
			i++
		case strings.HasPrefix(rest, "//"):
			end := strings.IndexByte(rest, '\n')
			if end < 0 {
				return out, nil
			}
			i += end
		case c == '\'' || c == '"':
			tok, n, err := lexKQLString(rest)
			if err != nil {
				return nil, err
			}
			out, i = append(out, tok), i+n
		case strings.IndexByte(kqlWordBytes, c) >= 0:
			word := rest[:len(rest)-len(strings.TrimLeft(rest, kqlWordBytes))]
			kind := byte('w')
			if c >= '0' && c <= '9' {
				kind = 'n'
			}
			out, i = append(out, kqlToken{kind, word}), i+len(word)
		default:
			tok, ok := lexKQLPunct(rest)
			if !ok {
				return nil, fmt.Errorf("unexpected character %q at offset %d", c, i)
			}
			out, i = append(out, tok), i+len(tok.text)
		}
	}
	return out, nil
}

func lexKQLPunct(s string) (kqlToken, bool) {
	for _, p := range []string{"=~", "==", "!=", "!~", "|", ",", "(", ")", "[", "]", ".", "=", "~"} {
		if strings.HasPrefix(s, p) {
			return kqlToken{'p', p}, true
		}
	}
	return kqlToken{}, false
}

// lexKQLString reads a quoted string with backslash escapes and returns how
// many bytes it took.
func lexKQLString(s string) (kqlToken, int, error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == s[0]:
			return kqlToken{'s', b.String()}, i + 1, nil
		case s[i] == '\n':
			return kqlToken{}, 0, fmt.Errorf("a string runs over the end of its line")
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(s[i])
		}
	}
	return kqlToken{}, 0, fmt.Errorf("a string is not closed")
}

type kqlParser struct {
	tokens []kqlToken
	at     int
}

func (p *kqlParser) done() bool { return p.at >= len(p.tokens) }

func (p *kqlParser) peek() kqlToken {
	if p.done() {
		return kqlToken{text: "end of query"}
	}
	return p.tokens[p.at]
}

func (p *kqlParser) next() kqlToken {
	t := p.peek()
	p.at++
	return t
}

// take consumes the next token if it is the given word or punctuation.
func (p *kqlParser) take(text string) bool {
	if t := p.peek(); t.kind != 's' && t.kind != 0 && t.text == text {
		p.at++
		return true
	}
	return false
}

func (p *kqlParser) expect(text string) error {
	if !p.take(text) {
		return p.errorf("want %q, not %q", text, p.peek().text)
	}
	return nil
}

func (p *kqlParser) errorf(format string, args ...any) error {
	return fmt.Errorf("at token %d: %s", p.at+1, fmt.Sprintf(format, args...))
}
