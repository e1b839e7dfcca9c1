package preview_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/alerttest"
	"cmkguard/internal/alert/pagerduty"
	"cmkguard/internal/alert/preview"
	"cmkguard/internal/alert/slack"
	"cmkguard/internal/alert/teams"
	"cmkguard/internal/alert/webhook"
)

func at() time.Time { return time.Date(2026, 9, 20, 10, 0, 0, 0, time.UTC) }

// sentBy returns what the channel posts for the alert.
func sentBy(t *testing.T, kind string, a alert.Alert) []byte {
	t.Helper()
	var body []byte
	in := alerttest.Serve(t, func(w http.ResponseWriter, _ *http.Request, b []byte) { body = b; w.WriteHeader(http.StatusOK) })
	var ch alert.Channel
	var err error
	switch kind {
	case "slack":
		ch, err = slack.NewWebhook(in.URL, at)
	case "teams":
		ch, err = teams.New(in.URL, at)
	case "pagerduty":
		ch, err = pagerduty.New(in.URL, strings.Repeat("k", 32), at)
	case "webhook":
		ch, err = webhook.New(in.URL, "whsec_YSBzZWNyZXQgb2YgdGhlIGRlbW8sIG5vdCBvZiBhbnlib2R5", at)
	}
	if err == nil {
		_, err = ch.Send(context.Background(), a)
	}
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// TestWhatIsSentIsDrawnWhole: every kind of alert on every channel, nothing left
// undrawn, and every page harmless. The huge one is made of markup.
func TestWhatIsSentIsDrawnWhole(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"slack", "teams", "pagerduty", "webhook"} {
		for name, a := range alerttest.Kinds(at()) {
			m := preview.Message{N: 1, Channel: "c", Kind: kind, At: at(), To: "/x", Answer: "200 ok", Body: sentBy(t, kind, a)}
			page, err := preview.Page([]preview.Message{m}, 1, "")
			if err != nil {
				t.Fatal(err)
			}
			for _, bad := range []string{"not drawn here", "could not be drawn", "ZgotmplZ"} {
				if bytes.Contains(page, []byte(bad)) {
					t.Errorf("%s %s: the page says %q", kind, name, bad)
				}
			}
			harmless(t, kind+" "+name, page)
			if name == "huge" {
				continue
			}
			text := textOf(page)
			for _, want := range []string{a.Title, a.What, "pay-cache"} {
				if !strings.Contains(text, want) {
					t.Errorf("%s %s: the page lacks %q", kind, name, want)
				}
			}
			if kind != "webhook" && !strings.Contains(text, strings.ToUpper(string(a.Severity))) {
				t.Errorf("%s %s: the severity is not there as a word", kind, name)
			}
		}
	}
}

// harmless fails on anything in the page that could run, load or be sent: an
// element or an attribute that the templates do not have, and any URL but a link's.
func harmless(t testing.TB, what string, page []byte) {
	t.Helper()
	elements := strings.Fields("html head meta title link body header h1 h2 nav main article section p b span time details summary pre div svg rect dl dt dd a br hr iframe script")
	attributes := strings.Fields("class href rel lang charset name content id role aria-label aria-current aria-hidden focusable width height fill data-count src defer sandbox title loading")
	for n := range parse(t, page).Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if !slices.Contains(elements, n.Data) {
			t.Errorf("%s: an element <%s>", what, n.Data)
		}
		for _, a := range n.Attr {
			own := a.Key == "href" && strings.HasPrefix(a.Val, "/")
			switch {
			case !slices.Contains(attributes, a.Key):
				t.Errorf("%s: <%s> has an attribute %s=%q", what, n.Data, a.Key, a.Val)
			case a.Key == "href" && !own && !strings.HasPrefix(a.Val, "https://") && !strings.HasPrefix(a.Val, "http://"):
				t.Errorf("%s: <%s> leads to %q", what, n.Data, a.Val)
			case a.Key == "src" && a.Val != "/live.js" && !strings.HasPrefix(a.Val, "/mail/"):
				t.Errorf("%s: <%s> loads %q", what, n.Data, a.Val)
			case a.Key == "sandbox" && a.Val != "":
				t.Errorf("%s: the sandbox allows %q", what, a.Val)
			}
		}
		if n.Data == "iframe" && !slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == "sandbox" }) {
			t.Errorf("%s: a frame without a sandbox", what)
		}
		if n.Data == "script" && n.FirstChild != nil {
			t.Errorf("%s: a script with a text of its own: %q", what, n.FirstChild.Data)
		}
	}
}

func parse(t testing.TB, page []byte) *html.Node {
	t.Helper()
	doc, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func textOf(page []byte) string {
	var b strings.Builder
	doc, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		return ""
	}
	for n := range doc.Descendants() {
		if n.Type == html.TextNode && n.Parent.Data != "pre" {
			b.WriteString(n.Data)
		}
	}
	return b.String()
}

const evil = `<script>alert(1)</script><img src=x onerror=alert(1)>\" onload=x`

// hostile are payloads that none of our channels sends: whoever reaches a receiver
// can send them.
func hostile() map[string][]preview.Message {
	link := func(kind, body string) preview.Message {
		return preview.Message{N: 3, Channel: evilName, Kind: kind, To: evilName, Answer: evilName, Body: []byte(body)}
	}
	js := `javascript:alert(1)`
	return map[string][]preview.Message{
		"text in every place": {
			link("slack", fmt.Sprintf(`{"text":"%[1]s","attachments":[{"color":"%[1]s","text":"%[1]s","blocks":[{"type":"header","text":{"type":"plain_text","text":"%[1]s"}},
				{"type":"section","text":{"type":"mrkdwn","text":"&lt;script&gt; &amp;lt;script&amp;gt; %[1]s"}},{"type":"%[1]s"}]}]}`, evil)),
			link("teams", fmt.Sprintf(`{"attachments":[{"contentType":"application/vnd.microsoft.card.adaptive","content":{"type":"AdaptiveCard","body":[
				{"type":"TextBlock","color":"%[1]s","size":"%[1]s","text":"%[1]s"},{"type":"FactSet","facts":[{"title":"%[1]s","value":"%[1]s"}]},{"type":"%[1]s"}]}}]}`, evil)),
			link("pagerduty", fmt.Sprintf(`{"event_action":"%[1]s","payload":{"severity":"%[1]s","summary":"%[1]s","custom_details":{"%[1]s":{"%[1]s":"%[1]s"}}}}`, evil)),
			link("webhook", fmt.Sprintf(`{"type":"%[1]s","data":{"title":"%[1]s","%[1]s":["%[1]s"]}}`, evil)),
			link("email", "Subject: "+strings.ReplaceAll(evil, `\`, "")+"\r\nContent-Type: text/html\r\n\r\n"+evil),
			link(evilName, evil),
		},
		"links that run": {
			link("slack", fmt.Sprintf(`{"blocks":[{"type":"section","text":{"type":"mrkdwn","text":"<%[1]s|here> <JaVaScRiPt:x> <data:text/html,x|y>"}},
				{"type":"actions","elements":[{"type":"button","text":{"type":"plain_text","text":"x"},"url":"%[1]s"}]}]}`, js)),
			link("teams", fmt.Sprintf(`{"attachments":[{"contentType":"application/vnd.microsoft.card.adaptive","content":{"type":"AdaptiveCard","body":[
				{"type":"TextBlock","text":"[x](%[1]s) [y]( %[1]s) [z](vbscript:x)"}],"actions":[{"type":"Action.OpenUrl","title":"x","url":"%[1]s"}]}}]}`, js)),
			link("pagerduty", fmt.Sprintf(`{"payload":{},"links":[{"href":"%[1]s","text":"x"}]}`, js)),
		},
		"what cannot be read": {link("slack", `[]`), link("teams", `{`), link("pagerduty", ``), link("webhook", `"x"`), link("email", "no header")},
	}
}

const evilName = `"><script>alert(1)</script>`

func TestHostilePayloadsAreInert(t *testing.T) {
	t.Parallel()
	for name, all := range hostile() {
		page, err := preview.Page(all, len(all), evilName)
		if err != nil {
			t.Fatal(err)
		}
		harmless(t, name, page)
		for _, m := range all {
			alone, err := preview.Alone(m)
			if err != nil {
				t.Fatal(err)
			}
			harmless(t, name, alone)
		}
	}
	for name, h := range map[string]http.Header{"page": preview.Headers(), "mail": preview.MailHeaders()} {
		csp := h.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "script-src 'unsafe") || strings.Contains(csp, "*") {
			t.Errorf("%s: %s", name, csp)
		}
	}
	if csp := preview.MailHeaders().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "sandbox;") || strings.Contains(csp, "script-src") {
		t.Errorf("a mail's frame: %s", csp)
	}
}

func TestTheNewestStandsFirstAndPerChannel(t *testing.T) {
	t.Parallel()
	all := []preview.Message{
		{N: 1, Channel: "chat", Kind: "slack", Body: []byte(`{"text":"the first"}`)},
		{N: 2, Channel: "bus", Kind: "webhook", Body: []byte(`{"type":"the second"}`)},
		{N: 3, Channel: "chat", Kind: "slack", Body: []byte(`{"text":"the third"}`)},
	}
	page, err := preview.Page(all, 9, "")
	if err != nil {
		t.Fatal(err)
	}
	text := textOf(page)
	if strings.Index(text, "the third") > strings.Index(text, "the first") || !strings.Contains(text, "chat 2") || !strings.Contains(string(page), `data-count="9"`) {
		t.Errorf("%s", text)
	}
	if page, err = preview.Page(all, 9, "bus"); err != nil || strings.Contains(textOf(page), "the first") || !strings.Contains(textOf(page), "the second") {
		t.Errorf("%v %s", err, textOf(page))
	}
}

func TestKeysOfSendersAreNotShown(t *testing.T) {
	t.Parallel()
	for _, m := range []preview.Message{
		{Kind: "pagerduty", Body: []byte(`{"routing_key":"0123456789abcdef","payload":{}}`)}, {Kind: "other", Body: []byte(`{"token":"0123456789abcdef"}`)},
	} {
		if page, err := preview.Page([]preview.Message{m}, 1, ""); err != nil || bytes.Contains(page, []byte("0123456789abcdef")) {
			t.Errorf("%v %s", err, page)
		}
	}
}

func FuzzDraw(f *testing.F) {
	for _, all := range hostile() {
		for _, m := range all {
			f.Add(m.Kind, m.Body)
		}
	}
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		page, err := preview.Alone(preview.Message{Kind: kind, Body: body})
		if err != nil {
			t.Fatal(err)
		}
		harmless(t, kind, page)
	})
}
