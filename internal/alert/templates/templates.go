// Package templates renders parts of messages by Go templates that the policy holds:
// a small, documented set of functions over plain data, without a method that could
// read, write or wait, within a bounded size and a bounded number of steps. Every text
// of the alert is escaped for the receiver's markup where it is put out, unless it is
// HTML, which html/template escapes for its place.
//
// A template that fails is never a reason for silence: who renders goes on with the
// built-in text, and says so.
package templates

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/markup"
)

// Bounds of a rendered part, in bytes.
const (
	maxLine = 4 << 10
	maxText = 64 << 10
	maxBody = 512 << 10 // of a request
)

// Part is one text of one kind of channel that a template can make.
type Part struct {
	Kind, Name string
	Says       string // what it is, for people
	most       int
	form       form
	escape     func(string) string
}

// form is what a part must be.
type form int

const (
	text form = iota // any text
	head             // one line, with the alert's banners
	html
	body // JSON
)

// Parts are all that a policy can name under templates.
func Parts() []Part {
	return []Part{
		{"pagerduty", "summary", "the alert's one line; 1,024 characters are shown", maxLine, head, markup.Plain},
		{"slack", "title", "the header, in plain text; 150 characters are shown", maxLine, head, markup.Plain},
		{"slack", "text", "what stands below it, in mrkdwn", maxText, text, markup.Slack},
		{"teams", "title", "the card's first line", maxLine, head, markup.Card},
		{"teams", "text", "what stands below it, in the Markdown of Adaptive Cards", maxText, text, markup.Card},
		{"email", "subject", "the subject; 200 characters are shown", maxLine, head, markup.Plain},
		{"email", "text", "the part in plain text", maxText, text, markup.Plain},
		{"email", "html", "the part in HTML: the whole page", maxText, html, markup.Plain},
		{"alertmanager", "summary", "the annotation summary", maxLine, head, markup.Plain},
		{"alertmanager", "description", "the annotation description", maxText, text, markup.Plain},
		{"console", "text", "what is printed", maxText, text, markup.Plain},
	}
}

// Find returns the part of the kind and name.
func Find(kind, name string) (Part, bool) {
	for _, p := range Parts() {
		if p.Kind == kind && p.Name == name {
			return p, true
		}
	}
	return Part{}, false
}

// Body is the part that a webhook's body is made by: JSON, in which a text that is
// put out stands inside a string's quotes.
func Body() Part { return Part{"webhook", "body", "the request's body", maxBody, body, markup.JSON} }

// Path is the part that a webhook's path is made by.
func Path() Part {
	return Part{"webhook", "path", "what follows the url", maxLine, head, pathEscape}
}

// Template is a parsed template of a part. It is safe for concurrent use.
type Template struct {
	part Part
	run  func(w io.Writer, v View) error
}

// Parse reads a template. The error is a *Problem.
func Parse(p Part, source string) (*Template, error) {
	t, err := template.New(p.Name).Option("missingkey=error").Funcs(functions()).Parse(source)
	if err != nil {
		return nil, problem(err)
	}
	if err := check(t); err != nil {
		return nil, err
	}
	if p.form == html {
		h, err := htmltemplate.New(p.Name).Option("missingkey=error").Funcs(htmltemplate.FuncMap(functions())).Parse(source)
		if err != nil {
			return nil, problem(err)
		}
		return &Template{p, func(w io.Writer, v View) error { return h.Execute(w, v) }}, nil
	}
	t.Funcs(template.FuncMap{escaper: func(v any) string { return escaped(p, v) }})
	escapeAll(t.Tree, t.Root)
	return &Template{p, func(w io.Writer, v View) error { return t.Execute(w, v) }}, nil
}

// Render executes the template. The error is a *Problem.
func (t *Template) Render(a alert.Alert, now time.Time) (string, error) {
	return t.RenderWith(a, now, nil, "")
}

// RenderWith is Render with the parameters of a webhook's recipe, and with what the
// receiver has of the problem.
func (t *Template) RenderWith(a alert.Alert, now time.Time, with map[string]string, found string) (string, error) {
	v := ViewOf(a, now)
	v.With, v.Found = with, found
	return t.render(v, a)
}

func (t *Template) render(v View, a alert.Alert) (out string, err error) {
	defer func() {
		if r := recover(); r != nil { // a bug of ours or of the library: never a lost alert
			out, err = "", &Problem{Message: fmt.Sprintf("gave up: %v", r)}
		}
	}()
	b := &bounded{most: t.part.most}
	if err := t.run(b, v); err != nil {
		if b.full {
			return "", &Problem{Message: fmt.Sprintf("makes more than the %d bytes that this part may have", t.part.most)}
		}
		return "", problem(err)
	}
	return t.part.finish(b.String(), a)
}

// finish gives a rendered text the part's form, or says why it has none.
func (p Part) finish(s string, a alert.Alert) (string, error) {
	switch p.form {
	case head:
		s = strings.Join(strings.Fields(s), " ")
		if missing := banners(a, s); missing != "" && p.Kind != "webhook" {
			s = missing + " " + s // an exercise must not look like the real thing, whatever the template forgot
		}
	case body:
		if !json.Valid([]byte(s)) {
			return "", &Problem{Message: "makes no JSON: text stands inside quotes, as in \"{{.Title}}\", and a whole value is {{json .Clusters}}"}
		}
	case text, html:
	}
	if strings.TrimSpace(s) == "" {
		return "", &Problem{Message: "makes an empty text"}
	}
	return s, nil
}

// banners are those of the alert that the text lacks.
func banners(a alert.Alert, s string) string {
	with, _, _ := strings.Cut(alert.Head(alert.Alert{Test: a.Test, Drill: a.Drill, DryRun: a.DryRun, Unrecorded: a.Unrecorded}), "UNRATED")
	if with = strings.TrimSpace(with); with == "" || strings.Contains(s, with) || strings.Contains(strings.ReplaceAll(s, `\`, ""), with) {
		return ""
	}
	return with
}

// bounded is a buffer that takes only so much.
type bounded struct {
	bytes.Buffer
	most int
	full bool
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.most {
		b.full = true
		return 0, errors.New("too long")
	}
	return b.Buffer.Write(p)
}

// Problem is what is wrong with a template.
type Problem struct {
	Line    int // of the template, from 1; 0: of all of it
	Message string
}

// Error implements error.
func (p *Problem) Error() string {
	if p.Line == 0 {
		return p.Message
	}
	return fmt.Sprintf("line %d: %s", p.Line, p.Message)
}

// problem takes the libraries' errors apart: "template: NAME:LINE:COL: executing
// "NAME" at <.X>: what".
func problem(err error) *Problem {
	m := regexp.MustCompile(`(?s)^(?:html/)?template: ?[^:]*:(\d+)(?::\d+)?: (?:executing "[^"]*" )?(.*)$`).FindStringSubmatch(err.Error())
	if m == nil {
		return &Problem{Message: alert.Clean(err.Error(), 300)}
	}
	line, _ := strconv.Atoi(m[1])
	return &Problem{Line: line, Message: alert.Clean(m[2], 300)}
}
