package email

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"html/template"
	"strings"

	gomail "github.com/wneessen/go-mail"

	"cmkguard/internal/alert"
	"cmkguard/internal/risk"
)

//go:embed mail.html
var page string

const (
	maxSubject = 200 // characters: a subject is read on a lock screen
	// maxHTML is what is shown without being cut: Gmail shows 102 KB of a mail.
	maxHTML = 80 << 10
)

// message is the mail; what has no room is left out by importance. It is the same at
// every attempt, byte for byte.
func (c *Channel) message(a alert.Alert) (*gomail.Msg, []alert.Field, error) {
	made, a := c.words.Render(a, a.At)
	var html string
	var err error
	fields := alert.Shrink(alert.Fields(a, a.At), func(f []alert.Field) bool {
		html, err = htmlOf(a, f)
		return err != nil || len(html) <= maxHTML
	})
	if err != nil {
		return nil, nil, err
	}
	if html, err = htmlOf(a, fields); err != nil {
		return nil, nil, err
	}
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent(), gomail.WithBoundary("cmkguard-"+sum(a.ID)))
	if err := m.From(c.from.String()); err != nil {
		return nil, nil, err
	}
	if err := m.To(addresses(c.to)...); err != nil {
		return nil, nil, err
	}
	subject, text := alert.Head(a), alert.Plain(alert.Head(a), fields)
	for part, to := range map[string]*string{"subject": &subject, "text": &text, "html": &html} {
		if s, ok := made[part]; ok {
			*to = s
		}
	}
	m.Subject(alert.CutRunes(subject, maxSubject))
	c.headers(m, a)
	m.SetBodyString(gomail.TypeTextPlain, text)
	m.AddAlternativeString(gomail.TypeTextHTML, html)
	return m, fields, nil
}

// headers: an answering machine does not answer (RFC 3834; Exchange's own header), and
// what is urgent says so.
func (c *Channel) headers(m *gomail.Msg, a alert.Alert) {
	m.SetDateWithValue(a.At.UTC())
	m.SetMessageIDWithValue(c.messageID(a))
	thread := "<incident-" + sum(a.DedupKey) + "@" + c.domain() + ">"
	m.SetGenHeader("In-Reply-To", thread)
	m.SetGenHeader("References", thread)
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	m.SetGenHeader("X-Auto-Response-Suppress", "All")
	m.SetGenHeader("X-Mailer", "cmkguard")
	if a.Lifecycle != alert.Resolve && a.Severity.Rank() >= risk.High.Rank() {
		m.SetImportance(gomail.ImportanceHigh)
	}
}

// messageID is the same at every attempt of one alert and of no other: servers drop a
// mail whose id they have seen.
func (c *Channel) messageID(a alert.Alert) string { return sum(a.ID) + "@" + c.domain() }

func (c *Channel) domain() string {
	_, domain, _ := strings.Cut(c.from.Address, "@")
	return domain
}

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:16])
}

// htmlOf is the mail's page: what breaks under the band, then the pages, then the
// rest, and ids small at the end. html/template escapes every text for its place.
func htmlOf(a alert.Alert, fields []alert.Field) (string, error) {
	t, err := template.New("mail").Parse(page)
	if err != nil {
		return "", err
	}
	data := struct {
		Head, Colour, Tint string
		Breaks, Rows, IDs  []alert.Field
		Pages              []alert.Link
	}{Head: alert.Head(a), Colour: colour(a), Tint: tint(a), Pages: alert.Pages(a)}
	for _, p := range alert.Parts(fields) {
		switch p.Name {
		case alert.PartBreaks:
			data.Breaks = p.Fields
		case alert.PartIDs:
			data.IDs = p.Fields
		case alert.PartWhat, alert.PartHits, alert.PartDone, alert.PartDo:
			data.Rows = append(data.Rows, rows(p.Fields)...)
		}
	}
	var b bytes.Buffer
	err = t.Execute(&b, data)
	return b.String(), err
}

// rows are the lines of a table: a label that is the one above is not said again, and
// pages are buttons.
func rows(fields []alert.Field) []alert.Field {
	var out []alert.Field
	label := ""
	for _, f := range fields {
		if f.URL != "" {
			continue
		}
		if f.Label == label {
			f.Label = ""
		} else {
			label = f.Label
		}
		out = append(out, f)
	}
	return out
}

// tint is the ground of what breaks.
func tint(a alert.Alert) string {
	switch {
	case a.Lifecycle == alert.Resolve:
		return "#e8f5e9"
	case a.Severity.Rank() >= risk.High.Rank():
		return "#fdecea"
	case a.Severity == risk.Medium:
		return "#fff4de"
	}
	return "#e8f1fc"
}

// colour is the band's; white text on it has a contrast of 4.5 or more.
func colour(a alert.Alert) string {
	switch a.Lifecycle {
	case alert.Resolve:
		return "#1b5e20"
	case alert.Acknowledge:
		return "#6a1b9a"
	case alert.Trigger, alert.Update, alert.Notice:
	}
	switch a.Severity {
	case risk.Critical:
		return "#b71c1c"
	case risk.High:
		return "#bf360c"
	case risk.Medium:
		return "#8a5a00"
	case risk.Low, risk.Info:
	}
	return "#0d47a1"
}

// Render implements alert.Renderer: the mail as it is sent.
func (c *Channel) Render(a alert.Alert) (alert.Rendered, error) {
	m, fields, err := c.message(a)
	if err != nil {
		return alert.Rendered{}, err
	}
	var b bytes.Buffer
	_, err = m.WriteTo(&b)
	return alert.Rendered{Media: "message/rfc822", Body: b.Bytes(), Text: alert.Plain(alert.Head(a), fields)}, err
}
