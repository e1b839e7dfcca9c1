package alerttest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"
)

// slackBlock is a block of a message, as far as we send any.
type slackBlock struct {
	Type     string
	Text     *slackText
	Fields   []slackText
	Elements []struct {
		Type     string
		Text     json.RawMessage // a string in context elements, an object in buttons
		URL      string
		ActionID string `json:"action_id"`
	}
}

type slackText struct{ Type, Text string }

type slackMessage struct {
	Channel     string
	Text        string
	Attachments []struct {
		Color  string
		Blocks []slackBlock
	}
}

// slackProblem enforces the documented limits of a message
// (docs.slack.dev/reference/block-kit/blocks): 50 blocks; a header of 150 and a
// section of 1 to 3,000 characters; 25 elements of actions, a button's text of 75 and
// its url of 3,000 characters (.../block-elements/button-element). The words are
// Slack's own.
func slackProblem(body []byte) string {
	var m slackMessage
	if err := json.Unmarshal(body, &m); err != nil {
		return "invalid_payload"
	}
	if m.Text == "" || len(m.Attachments) != 1 {
		return "no_text"
	}
	blocks := m.Attachments[0].Blocks
	if len(blocks) == 0 || len(blocks) > 50 || !strings.HasPrefix(m.Attachments[0].Color, "#") {
		return "invalid_attachments"
	}
	for i, b := range blocks {
		if p := slackBlockProblem(b); p != "" {
			return fmt.Sprintf("invalid_blocks: [%d] %s", i, p)
		}
	}
	return ""
}

func slackBlockProblem(b slackBlock) string {
	switch b.Type {
	case "header", "section":
		most := map[string]int{"header": 150, "section": 3000}[b.Type]
		if b.Text == nil {
			return "missing text"
		}
		if n := utf8.RuneCountInString(b.Text.Text); n == 0 || n > most {
			return fmt.Sprintf("%s of %d characters", b.Type, n)
		}
		if b.Type == "header" && b.Text.Type != "plain_text" {
			return "a header is plain_text"
		}
	case "actions":
		return slackActionsProblem(b)
	case "context", "divider":
	default:
		return "unsupported type: " + b.Type
	}
	return ""
}

func slackActionsProblem(b slackBlock) string {
	seen := map[string]bool{}
	if len(b.Elements) == 0 || len(b.Elements) > 25 {
		return "1 to 25 elements"
	}
	for _, e := range b.Elements {
		var text slackText
		if json.Unmarshal(e.Text, &text) != nil || e.Type != "button" || text.Type != "plain_text" || text.Text == "" ||
			utf8.RuneCountInString(text.Text) > 75 || utf8.RuneCountInString(e.URL) > 3000 || !isWeb(e.URL) || e.ActionID == "" || seen[e.ActionID] {
			return "a button's text, url or action_id"
		}
		seen[e.ActionID] = true
	}
	return ""
}

// SlackWebhook is an incoming webhook: it answers "ok", or a status with one word
// (api.slack.com/changelog/2016-05-17-changes-to-errors-for-incoming-webhooks); one
// message a second, then 429 with Retry-After (docs.slack.dev/apis/web-api/rate-limits).
func SlackWebhook() Provider {
	return Provider{
		Name: "slack webhook", OK: http.StatusOK, Busy: "rate_limited",
		Refuse: func(r *http.Request, body []byte) *Refusal {
			if p := slackProblem(body); p != "" {
				return no(http.StatusBadRequest, strings.SplitN(p, ":", 2)[0], p)
			}
			if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
				return no(http.StatusBadRequest, "invalid_payload", "")
			}
			return nil
		},
		Answer: func(w http.ResponseWriter, _ *http.Request, _ []byte) { _, _ = w.Write([]byte("ok")) },
	}
}

// SlackBot is the Web API's chat.postMessage for one token and channel: it refuses
// with 200 and ok false (docs.slack.dev/reference/methods/chat.postMessage), but for
// 429 with Retry-After.
func SlackBot(token, channel string) Provider {
	answer := func(w http.ResponseWriter, v map[string]any) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_ = json.NewEncoder(w).Encode(v)
	}
	return Provider{
		Name: "slack bot", OK: http.StatusOK, Busy: `{"ok":false,"error":"ratelimited"}`,
		Refuse: func(r *http.Request, body []byte) *Refusal {
			var m slackMessage
			_ = json.Unmarshal(body, &m)
			p := slackProblem(body)
			switch {
			case r.URL.Path != "/chat.postMessage":
				return no(http.StatusOK, "unknown_method", "")
			case r.Header.Get("Authorization") != "Bearer "+token:
				return no(http.StatusOK, "invalid_auth", "")
			case m.Channel != channel:
				return no(http.StatusOK, "channel_not_found", "")
			case p != "":
				return no(http.StatusOK, strings.SplitN(p, ":", 2)[0], p)
			}
			return nil
		},
		Refusal: func(w http.ResponseWriter, status int, code, _ string) {
			if status != http.StatusOK {
				w.WriteHeader(status)
			}
			answer(w, map[string]any{"ok": false, "error": code})
		},
		Answer: func(w http.ResponseWriter, _ *http.Request, body []byte) {
			var m slackMessage
			_ = json.Unmarshal(body, &m)
			answer(w, map[string]any{"ok": true, "channel": m.Channel, "ts": "1758362400.000100"})
		},
	}
}

// SeenInSlack is what a message shows, unescaped.
func SeenInSlack(body []byte) string {
	var m slackMessage
	if json.Unmarshal(body, &m) != nil {
		return ""
	}
	var b strings.Builder
	for _, a := range m.Attachments {
		for _, x := range a.Blocks {
			if x.Text != nil {
				b.WriteString(x.Text.Text + "\n")
			}
			for _, e := range x.Elements {
				b.WriteString(string(e.Text) + " " + e.URL + "\n")
			}
		}
	}
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(b.String())
}

// SlackColour is the bar's.
func SlackColour(body []byte) string {
	var m slackMessage
	if json.Unmarshal(body, &m) != nil || len(m.Attachments) == 0 {
		return ""
	}
	return m.Attachments[0].Color
}
