package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/alerttest"
	"cmkguard/internal/alert/email"
	"cmkguard/internal/alert/pagerduty"
	"cmkguard/internal/alert/slack"
	"cmkguard/internal/alert/teams"
	"cmkguard/internal/alert/webhook"
)

func get(t *testing.T, url, host string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// mailTo is a channel to the mailbox, which trusts it by its file of roots.
func mailTo(t *testing.T, m *mailbox, now func() time.Time) (alert.Channel, error) {
	t.Helper()
	raw, err := os.ReadFile(m.roots)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(raw)
	return email.New(email.Options{Server: m.addr, Implicit: true, From: "a@demo.example", To: []string{"b@demo.example"}, Roots: roots, Now: now})
}

// TestThePageShowsWhatTheChannelsSend over the channels that ship.
func TestThePageShowsWhatTheChannelsSend(t *testing.T) {
	t.Parallel()
	now := func() time.Time { return time.Date(2026, 9, 20, 10, 0, 0, 0, time.UTC) }
	r, err := listen(now)
	if err != nil {
		t.Fatal(err)
	}
	defer r.server.Close()
	box, err := openMailbox(t.TempDir(), r.keep)
	if err != nil {
		t.Fatal(err)
	}
	defer box.listen.Close()
	p, err := showSent(r)
	if err != nil {
		t.Fatal(err)
	}
	defer p.server.Close()
	s := r.settings()
	for name, ch := range map[string]func() (alert.Channel, error){
		"ops":   func() (alert.Channel, error) { return webhook.New(r.url+"/alerts", s["CMKGUARD_DEMO_SECRET"], now) },
		"pager": func() (alert.Channel, error) { return pagerduty.New(r.url, s["CMKGUARD_DEMO_PAGER"], now) },
		"chat":  func() (alert.Channel, error) { return slack.NewWebhook(s["CMKGUARD_DEMO_CHAT"], now) },
		"team":  func() (alert.Channel, error) { return teams.New(s["CMKGUARD_DEMO_TEAM"], now) },
		"mail":  func() (alert.Channel, error) { return mailTo(t, box, now) },
	} {
		c, err := ch()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Send(context.Background(), alerttest.Sample("a-1", now())); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if code, body := get(t, p.url+"?channel="+name, ""); code != http.StatusOK || !strings.Contains(body, "the identity cannot unwrap") {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
	if _, body := get(t, p.url+"count", ""); body != "5" {
		t.Errorf("count %s, want 5", body)
	}
	if _, ok := r.find(func(a alert.Alert) bool { return a.ID == "a-1" }); !ok {
		t.Error("the signed alert was not taken")
	}
	if resp, err := http.Post(r.url+"/alerts", "application/json", strings.NewReader(`{"data":{"id":"forged"}}`)); err != nil || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("an unsigned webhook: %v %v", resp, err)
	}
	if _, ok := r.find(func(a alert.Alert) bool { return a.ID == "forged" }); ok {
		t.Error("an unsigned alert was taken")
	}
	for path, want := range map[string]int{"": 200, "style.css": 200, "live.js": 200, "page.html": 404, "mail/99": 404} {
		if code, _ := get(t, p.url+path, ""); code != want {
			t.Errorf("/%s: %d, want %d", path, code, want)
		}
	}
	all, _ := r.messages()
	for _, m := range all {
		code, body := get(t, fmt.Sprintf("%smail/%d", p.url, m.N), "")
		if ok := m.Kind == "email"; ok != (code == http.StatusOK && strings.Contains(body, "<h1") && strings.Contains(body, "the identity cannot unwrap")) {
			t.Errorf("mail/%d of %s: %d", m.N, m.Kind, code)
		}
	}
	if code, body := get(t, p.url, "evil.example:80"); code != http.StatusMisdirectedRequest || strings.Contains(body, "CRITICAL") {
		t.Errorf("under another's name: %d", code)
	}
}
