// Package slack sends alerts to a Slack channel, through an incoming webhook or
// as a bot, as Block Kit messages with a bar in the severity's colour.
package slack

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/post"
	"cmkguard/internal/fault"
	"cmkguard/internal/risk"
)

const apiURL = "https://slack.com/api"

// The limits of a message (api.slack.com/reference/block-kit/blocks).
const (
	maxHeader  = 150  // characters
	maxSection = 3000 // characters
	maxBlocks  = 45   // of 50
)

// Channel sends to one place. It is safe for concurrent use.
type Channel struct {
	to      *post.Client
	token   string // of the bot; "" for a webhook
	channel string // of the bot
}

var _ alert.Channel = (*Channel)(nil)

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
	m := message(a)
	m.Channel = c.channel
	body, err := json.Marshal(m)
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
	case strings.HasSuffix(got.Error, "ratelimited") || got.Error == "internal_error" || got.Error == "fatal_error" || got.Error == "service_unavailable":
		e.Kind = fault.Transient
	}
	return "", e
}

// escape keeps text from becoming a mention or a link
// (api.slack.com/reference/surfaces/formatting#escaping).
func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

func message(a alert.Alert) *slack.WebhookMessage {
	head := alert.Head(a)
	blocks := []slack.Block{slack.NewHeaderBlock(slack.NewTextBlockObject(slack.PlainTextType, alert.CutRunes(head, maxHeader), false, false))}
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			blocks = append(blocks, slack.NewSectionBlock(slack.NewTextBlockObject(slack.MarkdownType, strings.TrimSpace(text.String()), false, true), nil, nil))
			text.Reset()
		}
	}
	for _, f := range alert.Fields(a, a.At) {
		line := "*" + f.Label + "* " + escape(alert.CutRunes(f.String(), 2000)) + "\n"
		if len([]rune(line)) > maxSection { // a text of nothing but what must be escaped
			line = "*" + f.Label + "* " + escape(alert.CutRunes(f.String(), 500)) + "\n"
		}
		if len([]rune(text.String()))+len([]rune(line)) > maxSection {
			flush()
		}
		if len(blocks) >= maxBlocks {
			break
		}
		text.WriteString(line)
	}
	flush()
	return &slack.WebhookMessage{
		Text:        escape(alert.CutRunes(head, maxSection)), // what a notification shows
		Attachments: []slack.Attachment{{Color: colour(a), Blocks: slack.Blocks{BlockSet: blocks}}},
	}
}

func colour(a alert.Alert) string {
	if a.Lifecycle == alert.Resolve {
		return "#2e7d32"
	}
	switch a.Severity {
	case risk.Critical:
		return "#b71c1c"
	case risk.High:
		return "#d84315"
	case risk.Medium:
		return "#f9a825"
	case risk.Low, risk.Info:
	}
	return "#1565c0"
}
