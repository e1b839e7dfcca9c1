// Package slack sends alerts to a Slack channel, through an incoming webhook or
// as a bot, as Block Kit messages with a bar in the severity's colour.
package slack

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/post"
	"cmkguard/internal/alert/templates"
	"cmkguard/internal/fault"
)

const apiURL = "https://slack.com/api"

// Channel sends to one place. It is safe for concurrent use.
type Channel struct {
	words   templates.Set
	to      *post.Client
	token   string // of the bot; "" for a webhook
	channel string // of the bot
}

var (
	_ alert.Channel  = (*Channel)(nil)
	_ alert.Renderer = (*Channel)(nil)
)

// NewWebhook returns a Channel that posts to an incoming webhook. Its URL is a
// secret: errors never repeat it.
func NewWebhook(secretURL string, now func() time.Time) (*Channel, error) {
	to, err := post.New("slack.Send", secretURL, now)
	return &Channel{to: to}, err
}

// NewBot returns a Channel that posts as a bot (scope chat:write) to a channel's
// id or name. api is the base URL of a relay, or "".
func NewBot(api, token, channel string, now func() time.Time) (*Channel, error) {
	const op = "slack.NewBot"
	if !strings.HasPrefix(token, "xox") || channel == "" {
		return nil, fault.New(fault.Invalid, op, "want a bot token (xoxb-...) and the channel's id or name")
	}
	if api == "" {
		api = apiURL
	}
	to, err := post.New("slack.Send", strings.TrimSuffix(api, "/")+"/chat.postMessage", now)
	return &Channel{to: to, token: token, channel: channel}, err
}

// Send implements alert.Channel. The provider's id is the message's timestamp
// for a bot, and the alert's for a webhook, which tells nothing.
func (c *Channel) Send(ctx context.Context, a alert.Alert) (string, error) {
	const op = "slack.Send"
	body, _, err := c.body(a)
	if err != nil {
		return "", fault.Wrap(fault.Invalid, op, err)
	}
	header := http.Header{"Content-Type": {"application/json; charset=utf-8"}}
	if c.token != "" {
		header.Set("Authorization", "Bearer "+c.token)
	}
	answer, err := c.to.Send(ctx, body, header)
	if err != nil || c.token == "" {
		return a.ID, err
	}
	return judge(answer)
}

func (c *Channel) body(a alert.Alert) ([]byte, []alert.Field, error) {
	m, fields := message(a, c.words)
	m.Channel = c.channel
	body, err := json.Marshal(m)
	return body, fields, err
}

// With returns the channel with templates of the policy.
func (c *Channel) With(words templates.Set) *Channel {
	out := *c
	out.words = words
	return &out
}

// Render implements alert.Renderer.
func (c *Channel) Render(a alert.Alert) (alert.Rendered, error) {
	body, fields, err := c.body(a)
	return alert.Rendered{Media: "application/json", Body: body, Text: alert.Plain(alert.Head(a), fields)}, err
}

// judge: the Web API refuses with 200 and ok false (api.slack.com/methods/chat.postMessage).
func judge(answer []byte) (string, error) {
	const op = "slack.Send"
	var got struct {
		OK        bool   `json:"ok"`
		Error     string `json:"error"`
		Timestamp string `json:"ts"`
	}
	if err := json.Unmarshal(answer, &got); err != nil {
		return "", fault.New(fault.Unknown, op, "the answer is no JSON")
	}
	e := fault.New(fault.Invalid, op, "Slack answered %s", alert.Clean(got.Error, 100))
	switch {
	case got.OK:
		return got.Timestamp, nil
	case strings.Contains(got.Error, "auth") || strings.Contains(got.Error, "token") || got.Error == "missing_scope" || got.Error == "account_inactive":
		e.Kind = fault.Denied
	case strings.HasSuffix(got.Error, "ratelimited"):
		e.Kind, e.Code = fault.Transient, alert.CodeRate
	case got.Error == "internal_error" || got.Error == "fatal_error" || got.Error == "service_unavailable":
		e.Kind = fault.Transient
	}
	return "", e
}
