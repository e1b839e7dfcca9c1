package pictures_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/email"
	"cmkguard/internal/alert/examples"
	"cmkguard/internal/alert/pagerduty"
	"cmkguard/internal/alert/preview"
	"cmkguard/internal/alert/slack"
	"cmkguard/internal/alert/teams"
)

// channels are those whose messages have a look, by kind.
func channels(t *testing.T) map[string]alert.Renderer {
	t.Helper()
	const nowhere = "http://127.0.0.1:1/"
	out := map[string]alert.Renderer{}
	add := func(kind string, r alert.Renderer, err error) {
		if err != nil {
			t.Fatal(err)
		}
		out[kind] = r
	}
	s, err := slack.NewWebhook(nowhere, examples.At)
	add("slack", s, err)
	m, err := teams.New(nowhere, examples.At)
	add("teams", m, err)
	p, err := pagerduty.New(nowhere, strings.Repeat("k", 32), examples.At)
	add("pagerduty", p, err)
	e, err := email.New(email.Options{Server: "127.0.0.1:1", From: "CMK Guard <cmkguard@example.com>", To: []string{"oncall@example.com"}, Now: examples.At})
	add("email", e, err)
	return out
}

// drawn is what the channel sends for the alert, as a page: of an e-mail, its HTML
// part as a mail program has it.
func drawn(t *testing.T, kind string, r alert.Renderer, a alert.Alert) []byte {
	t.Helper()
	sent, err := r.Render(a)
	if err != nil {
		t.Fatal(err)
	}
	if kind == "email" {
		m, err := preview.ReadMail(sent.Body)
		if err != nil || m.HTML == "" || m.Text == "" {
			t.Fatalf("no mail of two parts: %v", err)
		}
		return []byte(m.HTML)
	}
	html, err := preview.Alone(preview.Message{Kind: kind, Channel: kind, Body: sent.Body})
	if err != nil {
		t.Fatal(err)
	}
	return html
}

// shown is a page of our own on loopback.
func shown(t *testing.T) (srv *httptest.Server, show func(html []byte, h http.Header)) {
	t.Helper()
	var current []byte
	var headers http.Header
	srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if css, ok := preview.File(strings.TrimPrefix(r.URL.Path, "/")); ok && r.URL.Path == "/style.css" {
			w.Header().Set("Content-Type", "text/css")
			_, _ = w.Write(css)
			return
		}
		maps.Copy(w.Header(), headers)
		_, _ = w.Write(current)
	}))
	t.Cleanup(srv.Close)
	return srv, func(html []byte, h http.Header) { current, headers = html, h }
}

// fits fails on what cannot be read at the widths of a phone, a tablet and a desk, by
// day and by night.
func (b *browser) fits(what string) {
	b.t.Helper()
	for _, width := range []int64{320, 640, 1280} {
		for _, dark := range []bool{false, true} {
			b.look(width, dark)
			a := b.audit()
			for _, problem := range slices.Concat(a.Overflow, a.Contrast) {
				b.t.Errorf("%s at %d px, dark %v: %s", what, width, dark, problem)
			}
			if a.Texts == 0 {
				b.t.Errorf("%s shows no text", what)
			}
		}
	}
}

// TestCards draws every kind of alert on every channel.
func TestCards(t *testing.T) {
	update := wanted(t)
	b := open(t)
	srv, show := shown(t)
	for kind, channel := range channels(t) {
		for _, e := range examples.All(examples.At()) {
			name, headers := kind+"/"+e.Name, preview.Headers()
			if kind == "email" {
				headers = preview.MailHeaders()
			}
			show(drawn(t, kind, channel, e.Alert), headers)
			b.open(srv.URL)
			b.fits(name)
			b.look(320, false)
			b.ordered(name, e.Alert)
			b.look(640, false)
			golden(t, update, name, b.shot(), b.audit().Layout)
			if update && slices.Contains(kept(), name) {
				keep(t, b, name)
			}
		}
	}
}

// ordered: severity as a word; what breaks, and until when, before any id, and on a
// phone's first screen or the next.
func (b *browser) ordered(name string, a alert.Alert) {
	b.t.Helper()
	text := b.audit().Text
	if word := strings.ToUpper(string(a.Severity)); word != "" && !strings.Contains(text, word) {
		b.t.Errorf("%s does not say %s in words", name, word)
	}
	breaks, id := strings.Index(text, a.Breaks), strings.LastIndex(text, a.ID)
	if a.Breaks != "" && (breaks < 0 || id >= 0 && breaks > id) {
		b.t.Errorf("%s: what breaks is at %d, the id at %d", name, breaks, id)
	}
}
