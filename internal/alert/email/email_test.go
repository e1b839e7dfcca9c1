package email_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/alerttest"
	"cmkguard/internal/alert/email"
	"cmkguard/internal/alert/examples"
	"cmkguard/internal/fault"
)

func start() time.Time { return time.Date(2026, 9, 20, 10, 0, 0, 0, time.UTC) }

const password = "mail-secret"

// channel is a Channel to the server.
func channel(t testing.TB, s *alerttest.SMTP, addr string, roots *x509.CertPool) (alert.Channel, error) {
	t.Helper()
	o := email.Options{
		Server: addr, Implicit: s.Implicit, From: "CMK Guard <cmkguard@example.com>",
		To: []string{"oncall@example.com", "Ada <ada@example.com>"}, Roots: roots, Now: start,
	}
	if s.User != "" {
		o.User, o.Password = s.User, password
	}
	return email.New(o)
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, implicit := range map[string]bool{"starttls": false, "implicit": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			roots := map[string]*x509.CertPool{}
			servers := map[string]*alerttest.SMTP{}
			alerttest.Conform(t, alerttest.Kit{
				Serve: locked(func(t *testing.T, mood alerttest.Mood) (string, func() []alerttest.Call) {
					s := &alerttest.SMTP{Implicit: implicit, User: "cmk", Pass: password, Mood: mood}
					addr, pool := s.Start(t)
					roots[addr], servers[addr] = pool, s
					return addr, s.Mails
				}),
				Open:  lockedOpen(func(addr string) (alert.Channel, error) { return channel(t, servers[addr], addr, roots[addr]) }),
				Moods: moods(implicit),
				Seen:  seen, Colour: colour, Secrets: []string{password},
			})
		})
	}
}

// moods: a server without TLS is what a redirection is to HTTP.
func moods(implicit bool) []alerttest.Mood {
	all := []alerttest.Mood{alerttest.Busy, alerttest.BusyMute, alerttest.Hung, alerttest.Cut, alerttest.Prose, alerttest.Endless}
	if !implicit {
		all = append(all, alerttest.Elsewhere)
	}
	return all
}

// parts are a mail's text and HTML, decoded.
func parts(raw []byte) (header mail.Header, text, html string) {
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return nil, err.Error(), ""
	}
	_, params, _ := mime.ParseMediaType(m.Header.Get("Content-Type"))
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := r.NextPart()
		if err != nil {
			return m.Header, text, html
		}
		body, _ := io.ReadAll(p) // multipart decodes quoted-printable
		if strings.HasPrefix(p.Header.Get("Content-Type"), "text/html") {
			html = string(body)
		} else {
			text = string(body)
		}
	}
}

func seen(raw []byte) string {
	h, text, html := parts(raw)
	subject, _ := new(mime.WordDecoder).DecodeHeader(h.Get("Subject"))
	if !strings.Contains(html, "<h1") || !strings.Contains(text, "what:") && !strings.Contains(text, "id:") {
		return "a part is missing"
	}
	return subject + "\n" + text
}

func colour(raw []byte) string {
	_, _, html := parts(raw)
	_, rest, _ := strings.Cut(html, "background:#")
	_, rest, _ = strings.Cut(rest, "<h1")
	_, rest, _ = strings.Cut(rest, "background:")
	return rest[:min(7, len(rest))]
}

func send(t *testing.T, s *alerttest.SMTP, a alert.Alert) (string, error) {
	t.Helper()
	addr, roots := s.Start(t)
	c, err := channel(t, s, addr, roots)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return c.Send(ctx, a)
}

// What the server says decides whether the mail comes again.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]struct {
		at   string
		kind fault.Kind
	}{
		"421 4.3.2 shutting down":            {"MAIL", fault.Transient},
		"450 4.2.1 mailbox busy":             {"RCPT", fault.Transient},
		"452 4.3.1 insufficient storage":     {".", fault.Transient},
		"454 4.7.0 temporary failure":        {"AUTH", fault.Transient},
		"535 5.7.8 bad credentials":          {"AUTH", fault.Denied},
		"530 5.7.0 authentication needed":    {"MAIL", fault.Denied},
		"550 5.7.1 sender not allowed":       {"MAIL", fault.Invalid},
		"552 5.3.4 message too big":          {".", fault.Invalid},
		"554 5.7.1 rejected as spam":         {".", fault.Invalid},
		"550 5.1.1 no such user":             {"RCPT", fault.Invalid},
		"454 4.7.0 TLS not available":        {"STARTTLS", fault.Transient},
		"503 5.5.1 bad sequence of commands": {"DATA", fault.Invalid},
	} {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			_, err := send(t, &alerttest.SMTP{User: "cmk", Pass: password, At: map[string]string{want.at: answer}}, alerttest.Sample("a-1", start()))
			if !fault.Is(err, want.kind) || !strings.Contains(err.Error(), answer[:3]) || strings.Contains(err.Error(), password) {
				t.Errorf("%s: %v, want %s", want.at, err, want.kind)
			}
		})
	}
}

// A mail that broke off before its end was not taken; after it, it may have been.
func TestALineThatBreaks(t *testing.T) {
	t.Parallel()
	_, err := send(t, &alerttest.SMTP{Mood: alerttest.Cut}, alerttest.Sample("a-1", start()))
	if err == nil || fault.KindOf(err) != fault.Unknown {
		t.Errorf("after the end: %v", err)
	}
	_, err = send(t, &alerttest.SMTP{Mood: alerttest.BusyMute}, alerttest.Sample("a-1", start()))
	if !fault.Is(err, fault.Transient) {
		t.Errorf("at the greeting: %v", err)
	}
}

// One wrong address in a list does not keep the others from being told, and is seen.
func TestARefusedRecipient(t *testing.T) {
	t.Parallel()
	s := &alerttest.SMTP{Rcpt: map[string]string{"ada@example.com": "550 5.1.1 no such user"}}
	id, err := send(t, s, alerttest.Sample("a-1", start()))
	if err != nil || !strings.Contains(id, "but not to ada@example.com (550 5.1.1 no such user)") {
		t.Errorf("%q %v", id, err)
	}
	if m := s.Mails(); len(m) != 1 || m[0].Path != "oncall@example.com" {
		t.Errorf("%d mails, to %+v", len(m), m[0].Path)
	}
	// One that is refused for now holds the mail back: else the others get it twice.
	s = &alerttest.SMTP{Rcpt: map[string]string{"ada@example.com": "450 4.2.1 busy"}}
	if _, err := send(t, s, alerttest.Sample("a-1", start())); !fault.Is(err, fault.Transient) || len(s.Mails()) != 0 {
		t.Errorf("%v; %d mails", err, len(s.Mails()))
	}
}

// Nothing is said on a line that is not secure, nor to somebody else.
func TestNothingWithoutTLS(t *testing.T) {
	t.Parallel()
	s := &alerttest.SMTP{User: "cmk", Pass: password, Mood: alerttest.Elsewhere}
	if _, err := send(t, s, alerttest.Sample("a-1", start())); err == nil || !strings.Contains(err.Error(), "no STARTTLS") || len(s.Mails()) != 0 {
		t.Errorf("%v", err)
	}
	s = &alerttest.SMTP{}
	addr, _ := s.Start(t)
	c, err := channel(t, s, addr, x509.NewCertPool())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Send(context.Background(), alerttest.Sample("a-1", start())); err == nil || !strings.Contains(err.Error(), "certificate") || len(s.Mails()) != 0 {
		t.Errorf("an unknown certificate: %v", err)
	}
}

// One incident is one thread, and no two messages have one id.
func TestThreads(t *testing.T) {
	t.Parallel()
	s := &alerttest.SMTP{}
	addr, roots := s.Start(t)
	c, err := channel(t, s, addr, roots)
	if err != nil {
		t.Fatal(err)
	}
	ids, threads := map[string]bool{}, map[string]bool{}
	for n, name := range []string{"key-deleted", "reminder", "acknowledged", "resolved"} {
		e, _ := examples.Find(name, start())
		e.Alert.ID = string(rune('a' + n))
		if _, err := c.Send(context.Background(), e.Alert); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range s.Mails() {
		h, _, _ := parts(m.Body)
		ids[h.Get("Message-Id")], threads[h.Get("References")] = true, true
		if h.Get("In-Reply-To") != h.Get("References") || h.Get("Auto-Submitted") != "auto-generated" || h.Get("X-Auto-Response-Suppress") != "All" {
			t.Errorf("%v", h)
		}
		if ids[h.Get("References")] {
			t.Error("a thread has the id of a mail: the second one of it would be dropped as known")
		}
	}
	if len(ids) != 4 || len(threads) != 1 {
		t.Errorf("%d ids in %d threads", len(ids), len(threads))
	}
}

// Names are text in every part, and no header.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	s := &alerttest.SMTP{}
	a := alerttest.Sample("a-1", start())
	a.Title, a.What = "x\r\nBcc: evil@example.com\r\n\r\n<b>", "<script>alert(1)</script> ünï"
	a.Commands = []alert.Command{{Does: "<i>", Line: "echo '<&>'"}}
	a.Links = []alert.Link{{Label: "<b>go", URL: "https://cmk.example.com/a?b=1&c=2"}, {Label: "bad", URL: "javascript:alert(1)"}}
	if _, err := send(t, s, a); err != nil {
		t.Fatal(err)
	}
	h, text, html := parts(s.Mails()[0].Body)
	if h.Get("Bcc") != "" || !strings.Contains(text, "<script>") || !strings.Contains(text, "ünï") {
		t.Errorf("%v\n%s", h, text)
	}
	for _, want := range []string{"&lt;script&gt;", "echo &#39;&lt;&amp;&gt;&#39;", `href="https://cmk.example.com/a?b=1&amp;c=2"`, "&lt;b&gt;go"} {
		if !strings.Contains(html, want) {
			t.Errorf("%s is not in\n%s", want, html)
		}
	}
	if strings.Contains(html, "<script") || strings.Contains(html, "javascript") {
		t.Error("markup came through")
	}
}

func TestWrongSettings(t *testing.T) {
	t.Parallel()
	good := email.Options{Server: "mail.example.com:587", From: "a@example.com", To: []string{"b@example.com"}, Password: password}
	for name, change := range map[string]func(*email.Options){
		"server": func(o *email.Options) { o.Server = "mail" }, "from": func(o *email.Options) { o.From = "a" },
		"to": func(o *email.Options) { o.To = []string{"b"} }, "nobody": func(o *email.Options) { o.To = nil },
	} {
		o := good
		change(&o)
		if _, err := email.New(o); !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), password) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := email.New(good); err != nil || !email.ImplicitTLS("x:465") || email.ImplicitTLS("x:587") {
		t.Errorf("%v", err)
	}
}
