package slack_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/alerttest"
	"cmkguard/internal/alert/slack"
	"cmkguard/internal/fault"
)

func start() time.Time { return time.Date(2026, 9, 20, 10, 0, 0, 0, time.UTC) }

type text struct{ Type, Text string }

type message struct {
	Channel, Text string
	Attachments   []struct {
		Color  string
		Blocks []struct {
			Type string
			Text *text
		}
	}
}

// problem enforces the limits of a message: a fallback text, 50 blocks, 150
// characters of header, 1 to 3,000 of a section (api.slack.com/reference/block-kit/
// blocks), and no mention that a name smuggled in.
func problem(body []byte) string {
	var m message
	if err := json.Unmarshal(body, &m); err != nil || m.Text == "" || len(m.Attachments) != 1 {
		return fmt.Sprintf("no_text %v", err)
	}
	if len(m.Attachments[0].Blocks) > 50 || !strings.HasPrefix(m.Attachments[0].Color, "#") {
		return "invalid_attachments"
	}
	for i, b := range m.Attachments[0].Blocks {
		most := map[string]int{"header": 150, "section": 3000}[b.Type]
		if b.Text == nil {
			return fmt.Sprintf("invalid_blocks %d", i)
		}
		if n := utf8.RuneCountInString(b.Text.Text); n == 0 || n > most {
			return fmt.Sprintf("invalid_blocks %d: %s of %d characters", i, b.Type, n)
		}
		if b.Text.Type == "mrkdwn" && strings.ContainsAny(b.Text.Text, "<>") {
			return "a mention or a link"
		}
	}
	return ""
}

func webhook(w http.ResponseWriter, _ *http.Request, body []byte) {
	if p := problem(body); p != "" {
		http.Error(w, p, http.StatusBadRequest)
		return
	}
	_, _ = w.Write([]byte("ok"))
}

func bot(w http.ResponseWriter, r *http.Request, body []byte) {
	var m message
	_ = json.Unmarshal(body, &m)
	answer := map[string]any{"ok": true, "ts": "1758362400.000100", "channel": m.Channel}
	switch p := problem(body); {
	case r.Header.Get("Authorization") != "Bearer xoxb-1":
		answer = map[string]any{"ok": false, "error": "invalid_auth"}
	case m.Channel != "C0123":
		answer = map[string]any{"ok": false, "error": "channel_not_found"}
	case p != "":
		answer = map[string]any{"ok": false, "error": p}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func TestConformance(t *testing.T) {
	t.Parallel()
	alerttest.Conform(t, func(url string) (alert.Channel, error) { return slack.NewWebhook(url, start) }, webhook)
	alerttest.Conform(t, func(url string) (alert.Channel, error) { return slack.NewBot(url, "xoxb-1", "C0123", start) }, bot)
}

// The Web API refuses with 200: what it says decides.
func TestABotsRefusals(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]fault.Kind{
		"invalid_auth": fault.Denied, "token_revoked": fault.Denied, "missing_scope": fault.Denied, "ratelimited": fault.Transient,
		"internal_error": fault.Transient, "channel_not_found": fault.Invalid, "is_archived": fault.Invalid, "invalid_blocks": fault.Invalid,
	} {
		in := alerttest.Serve(t, func(w http.ResponseWriter, _ *http.Request, _ []byte) {
			fmt.Fprintf(w, `{"ok":false,"error":%q}`, word)
		})
		c, err := slack.NewBot(in.URL, "xoxb-1", "C0123", start)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Send(context.Background(), alerttest.Sample("a", start())); !fault.Is(err, want) || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v, want %s", word, err, want)
		}
	}
	in := alerttest.Serve(t, bot)
	c, err := slack.NewBot(in.URL, "xoxb-1", "C0123", start)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := c.Send(context.Background(), alerttest.Sample("a", start())); err != nil || id != "1758362400.000100" {
		t.Errorf("%q %v", id, err)
	}
	if _, err := slack.NewBot("", "password", "C0123", start); !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "password") {
		t.Errorf("%v", err)
	}
}
