package alert

import (
	"net/url"
	"strings"
)

// Pages returns the pages that an alert leads to: its links, and its runbook where
// that is one. They show and never act, so that a scanner may follow them. What is
// no web address is left out: a channel would make a button of it.
func Pages(a Alert) []Link {
	return append(pages(a.Links), pages([]Link{{Label: "runbook", URL: a.Runbook}})...)
}

func pages(in []Link) []Link {
	var out []Link
	for _, l := range in {
		u, err := url.Parse(l.URL)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || Clean(l.URL, maxLine) != l.URL || strings.ContainsAny(l.URL, " \"<>|\\^`") {
			continue
		}
		label := strings.TrimSpace(Clean(l.Label, maxName))
		if label == "" {
			label = "page"
		}
		out = append(out, Link{Label: label, URL: l.URL})
	}
	return out
}

// Rendered is one message as a channel sends it.
type Rendered struct {
	Media string // of Body: application/json, message/rfc822, text/plain
	Body  []byte
	Text  string // what a person sees there, without markup
}

// Renderer is a channel that can show what it would send.
type Renderer interface {
	Render(a Alert) (Rendered, error)
}
