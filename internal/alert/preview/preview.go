// Package preview shows what was sent to a channel as a person would see it
// there: a payload goes in, HTML comes out. It draws the elements that this
// program sends (and says so where it meets another one), after each product's
// own documentation of them; fonts and spacing are near, not equal.
//
// It is for the demo's page and for pictures. It fetches nothing, runs no
// script, and whatever a payload holds is text: the templates escape it, links
// lead to http and https only, and the pages' headers allow nothing else.
package preview

import (
	"bytes"
	"embed"
	"encoding/json"
	"html/template"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/fault"
)

// Message is one message as its receiver took it.
type Message struct {
	N       int       // number of the message, from 1
	Channel string    // name of the channel in the policy
	Kind    string    // the channel's kind: slack, teams, email, pagerduty, webhook...
	At      time.Time // when it was taken
	To      string    // where it came in: a path, or an e-mail's recipients
	Answer  string    // what the receiver answered, its receipt: "202 ok"
	Body    []byte
}

// Card is one message drawn.
type Card struct {
	Message
	Title  string // what a notification would show
	Nodes  []Node
	Mail   *Mail  // an e-mail's parts; nil for others
	Raw    string // indented where it is JSON, without the sender's keys
	Broken string // why it could not be drawn; the raw text still stands
}

// Node is one element of a card.
type Node struct {
	Kind   string // what the templates draw: heading, text, facts, note, rule, buttons, box, row, cell, unknown
	Class  string // how it looks
	Colour string // of a bar: #rrggbb
	Lines  [][]Span
	Facts  []Fact
	Nodes  []Node
}

// Fact is a label with its text.
type Fact struct {
	Label []Span
	Lines [][]Span
}

// Span is a piece of text of one look.
type Span struct {
	Text  string
	Class string // b, i, s, code and their sums; button, primary, danger
	URL   string // "" for none; http or https only
}

//go:embed page.html style.css live.js
var files embed.FS

// Draw returns the message as a card. What it cannot read it shows raw, with the
// reason.
func Draw(m Message) Card {
	c := Card{Message: m, Raw: raw(m.Body)}
	draw, ok := map[string]func(*Card) error{
		"slack": drawSlack, "teams": drawTeams, "pagerduty": drawPagerDuty, "email": drawMail, "webhook": drawWebhook,
	}[m.Kind]
	if !ok {
		c.Title = m.Kind + " message"
		return c
	}
	if err := draw(&c); err != nil {
		c.Broken, c.Nodes, c.Mail = err.Error(), nil, nil
	}
	return c
}

// Page returns the page of messages, the newest first, of one channel or of all
// (""). total is how many were sent in all: the page loads itself again when the
// server's count is another.
func Page(all []Message, total int, channel string) ([]byte, error) {
	data := struct {
		Title    string
		Channel  string
		Channels []counted
		Total    int
		Cards    []Card
	}{Title: "Sent by CMK Guard", Channel: channel, Channels: count(all), Total: total}
	for _, m := range slices.Backward(all) {
		if channel == "" || m.Channel == channel {
			data.Cards = append(data.Cards, Draw(m))
		}
	}
	return execute("page", data)
}

// Alone returns a page with one card and nothing else, for pictures.
func Alone(m Message) ([]byte, error) {
	c := Draw(m)
	return execute("alone", struct {
		Title string
		Card  Card
	}{c.Title, c})
}

type counted struct {
	Name, Kind string
	N          int
}

func count(all []Message) []counted {
	var out []counted
	for _, m := range all {
		i := slices.IndexFunc(out, func(c counted) bool { return c.Name == m.Channel })
		if i < 0 {
			i = len(out)
			out = append(out, counted{Name: m.Channel, Kind: m.Kind})
		}
		out[i].N++
	}
	return out
}

func execute(name string, data any) ([]byte, error) {
	t, err := template.New("").ParseFS(files, "page.html")
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "preview.Page", err) // unreachable: a test draws it
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, name, data); err != nil {
		return nil, fault.Wrap(fault.Invalid, "preview.Page", err)
	}
	return b.Bytes(), nil
}

// File returns the page's own style or script ("style.css", "live.js").
func File(name string) ([]byte, bool) {
	b, err := files.ReadFile(name)
	return b, err == nil && name != "page.html"
}

// Headers are the answer's for a page of this package: it loads its own style and
// script and frames its own mails, and nothing else.
func Headers() http.Header {
	return http.Header{
		"Content-Type": {"text/html; charset=utf-8"},
		"Content-Security-Policy": {"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; frame-src 'self'; " +
			"form-action 'none'; base-uri 'none'; frame-ancestors 'none'"},
		"Referrer-Policy": {"no-referrer"}, "X-Content-Type-Options": {"nosniff"}, "Cache-Control": {"no-store"},
	}
}

// MailHeaders are those of an e-mail's HTML in its frame: no script, nothing
// loaded, an origin of its own (sandbox), its own style only.
func MailHeaders() http.Header {
	h := Headers()
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'")
	return h
}

// secretField finds what a receiver knows its sender by.
func secretField() *regexp.Regexp {
	return regexp.MustCompile(`("(?:routing_key|token)"\s*:\s*")[^"]*"`)
}

func raw(body []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, body, "", "  ") != nil {
		return strings.ToValidUTF8(string(body), "?")
	}
	return secretField().ReplaceAllString(b.String(), `${1}..."`)
}

// link returns the URL if it is one that a browser may follow from here.
func link(s string) string {
	if strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://") {
		return s
	}
	return ""
}

func plain(s string) [][]Span {
	var out [][]Span
	for l := range strings.SplitSeq(strings.ReplaceAll(s, "\r\n", "\n"), "\n") {
		out = append(out, []Span{{Text: l}})
	}
	return out
}

func unknown(what string) Node {
	return Node{Kind: "unknown", Lines: plain("not drawn here: " + what)}
}
