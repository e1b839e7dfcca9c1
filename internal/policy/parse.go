package policy

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"cmkguard/internal/canonical"
	"cmkguard/internal/risk"
)

// Bounds on a policy file. The YAML library descends once per level, so that
// only what is known to be shallow may reach it.
const (
	maxBytes = 64 << 10
	maxOpen  = 64   // brackets open at once
	maxLine  = 2048 // bytes: each "- " of a line is a level, and costs the square of them
)

// Parse reads and checks a policy. name is the file's name for messages;
// ceilings are the remedies that exist and the most that each may do, which no
// policy can raise.
//
// The error is *Problems with everything that is wrong, an Invalid fault. The
// caller goes on with the policy that it had before; half of a policy is never
// returned.
func Parse(name string, b []byte, ceilings map[string]Mode) (*Policy, error) {
	out := &Problems{File: name}
	root, ok := parseYAML(b, out)
	if !ok {
		return nil, out
	}
	p := Default()
	p.Hash, p.File, p.ceilings = canonical.Hash(b), name, ceilings
	r := reader{policy: p, ceilings: ceilings}
	r.root(root)
	if len(out.List) > 0 {
		out.sort()
		return nil, out
	}
	return p, nil
}

// parseYAML returns the file's only document.
func parseYAML(b []byte, out *Problems) (node, bool) {
	if len(b) > maxBytes {
		out.add(0, "", "has %d bytes: want at most %d", len(b), maxBytes)
		return node{}, false
	}
	if line := tooNested(b); line > 0 {
		out.add(line, "", "the line has more than %d bytes or more than %d brackets are open: want a flatter file", maxLine, maxOpen)
		return node{}, false
	}
	file, err := safeParse(b)
	if err != nil {
		line, msg := syntax(err)
		out.add(line, "", "not YAML: %s", msg)
		return node{}, false
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			out.add(lineOf(doc.Body), "", "a second YAML document: want one")
			return node{}, false
		}
		body = doc.Body
	}
	return node{yaml: body, line: max(1, lineOf(body)), out: out}, true
}

// safeParse turns a panic of the YAML library into an error: a policy file must
// never be able to end the process that watches the keys.
func safeParse(b []byte) (file *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the YAML reader gave up (%v)", r)
		}
	}()
	return parser.ParseBytes(b, 0, parser.AllowDuplicateMapKey())
}

// syntax returns line and message of the library's error, without the excerpt
// of the file that it draws: the excerpt could hold a secret.
func syntax(err error) (int, string) {
	var se *yaml.SyntaxError
	if !errors.As(err, &se) {
		return 0, clip(err.Error())
	}
	if se.Token == nil || se.Token.Position == nil {
		return 0, clip(se.Message)
	}
	return se.Token.Position.Line, clip(se.Message)
}

// tooNested returns the first line that is too long or where too many brackets
// are open, or 0. Brackets
// in quotes and comments count: a policy that has 64 of them open there can be
// written otherwise.
func tooNested(b []byte) int {
	line, open, start := 1, 0, 0
	for i, c := range b {
		switch c {
		case '\n':
			line, start = line+1, i+1
		case '[', '{':
			open++
		case ']', '}':
			open = max(0, open-1)
		}
		if open > maxOpen || i-start >= maxLine {
			return line
		}
	}
	return 0
}

// Default returns what holds without a policy file: everything is a dry run
// and every alert goes to the console.
func Default() *Policy {
	return &Policy{
		File:     "built-in policy",
		Remedies: map[string]Mode{},
		Limits:   defaultLimits(),

		Approvals: Approvals{ValidFor: 24 * time.Hour},
		Channels:  []Channel{{Name: "console", Kind: "console"}},
		Routes:    []Route{{Match: AlertMatch{MinSeverity: risk.Info}, Channels: []string{"console"}}},
		lines:     map[string]int{},
	}
}

// where names a line of the policy for a reason.
func (p *Policy) where(line int) string {
	if line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", strings.TrimSpace(filepath.Base(p.File)), line)
}
