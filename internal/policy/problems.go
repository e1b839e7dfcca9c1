package policy

import (
	"fmt"
	"slices"
	"strings"

	"cmkguard/internal/fault"
)

// Problem is one thing that is wrong with a policy file.
type Problem struct {
	Line    int    // from 1; 0 if it concerns the file as a whole
	Field   string // path such as "rules[0].match.keys[1]"; may be empty
	Message string // what is wrong and the mend
}

// Problems is everything that is wrong with one policy file, by line. It is an
// error and an Invalid fault.
type Problems struct {
	File string
	List []Problem
}

// Error returns one line per problem, in the form that editors jump to:
// "policy.yaml:12: remedies.rotate: ...".
func (p *Problems) Error() string {
	lines := make([]string, len(p.List))
	for i, one := range p.List {
		lines[i] = p.text(one)
	}
	return strings.Join(lines, "\n")
}

func (p *Problems) text(one Problem) string {
	at := p.File
	if one.Line > 0 {
		at = fmt.Sprintf("%s:%d", p.File, one.Line)
	}
	if one.Field != "" {
		at += ": " + one.Field
	}
	return at + ": " + one.Message
}

// Unwrap returns the fault that classifies the problems.
func (p *Problems) Unwrap() error {
	return fault.New(fault.Invalid, "policy.Parse", "%d problems in %s", len(p.List), p.File)
}

func (p *Problems) add(line int, field, format string, args ...any) {
	p.List = append(p.List, Problem{Line: line, Field: field, Message: fmt.Sprintf(format, args...)})
}

// sort orders by line, so that a person reads them along with the file.
func (p *Problems) sort() {
	slices.SortStableFunc(p.List, func(a, b Problem) int { return a.Line - b.Line })
}
