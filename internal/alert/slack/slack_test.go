package slack_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/alerttest"
	"cmkguard/internal/alert/examples"
	"cmkguard/internal/alert/slack"
	"cmkguard/internal/fault"
)

func start() time.Time { return time.Date(2026, 9, 20, 10, 0, 0, 0, time.UTC) }

const token = "xoxb-1-secret"

func TestAWebhookConforms(t *testing.T) {
	t.Parallel()
	alerttest.Conform(t, alerttest.Kit{
		Open: func(url string) (alert.Channel, error) {
			return slack.NewWebhook(url+"/services/T0/B0/XSECRETX", start)
		},
		Fake: alerttest.SlackWebhook(), Seen: alerttest.SeenInSlack, Colour: alerttest.SlackColour, Secrets: []string{"XSECRETX"},
	})
}

func TestABotConforms(t *testing.T) {
	t.Parallel()
	alerttest.Conform(t, alerttest.Kit{
		Open: func(url string) (alert.Channel, error) { return slack.NewBot(url, token, "C0123", start) },
		Fake: alerttest.SlackBot(token, "C0123"), Seen: alerttest.SeenInSlack, Colour: alerttest.SlackColour, Secrets: []string{token},
	})
}

// Names become neither mentions nor links, a command can be copied whole, and the
// pages are buttons that open an address.
func TestTheMessage(t *testing.T) {
	t.Parallel()
	c, err := slack.NewWebhook("https://hooks.slack.com/services/x", start)
	if err != nil {
		t.Fatal(err)
	}
	a := examplesAlert(t, "key-deleted")
	a.What = "<!channel> <https://evil.example|click> *bold*"
	a.Commands = append(a.Commands, alert.Command{Does: "holds a tick", Line: "echo `id`"})
	r, err := c.Render(a)
	if err != nil {
		t.Fatal(err)
	}
	text := unquoted(t, r.Body)
	for _, want := range []string{
		"&lt;!channel&gt;", "`cmkguard approve recover-key~9fe55fff8e88413bf260771c5b4d095cef957c59 --reason 'WHY'`", "\necho `id`",
		`"url":"https://cmkguard.example.com/api/approvals/recover-key~`, `"text":"approve or deny"`, `"#b71c1c"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in\n%s", want, text)
		}
	}
	if strings.Contains(text, "<!") || strings.Contains(text, "<http") || strings.Contains(text, "``") {
		t.Errorf("a mention, a link or an open code came through:\n%s", text)
	}
}

// unquoted is JSON with its text as people read it.
func unquoted(t *testing.T, body []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
	return strings.NewReplacer(`\n`, "\n", `\u0026`, "&").Replace(b.String())
}

func examplesAlert(t *testing.T, name string) alert.Alert {
	t.Helper()
	e, ok := examples.Find(name, start())
	if !ok {
		t.Fatal(name)
	}
	return e.Alert
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
		c, err := slack.NewBot(in.URL, token, "C0123", start)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Send(context.Background(), alerttest.Sample("a", start())); !fault.Is(err, want) || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v, want %s", word, err, want)
		}
	}
	in := alerttest.Listen(t, alerttest.SlackBot(token, "C0123"), alerttest.Right)
	c, err := slack.NewBot(in.URL, token, "C0123", start)
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
