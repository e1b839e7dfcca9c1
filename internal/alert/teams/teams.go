// Package teams sends alerts to Microsoft Teams through a Workflows webhook, as
// Adaptive Cards.
package teams

import (
	"context"
	"net/http"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/post"
	"cmkguard/internal/alert/templates"
	"cmkguard/internal/fault"
)

// Channel posts to one workflow. It is safe for concurrent use.
type Channel struct {
	words templates.Set
	to    *post.Client
}

var (
	_ alert.Channel  = (*Channel)(nil)
	_ alert.Renderer = (*Channel)(nil)
)

// New returns a Channel. The workflow's URL holds its signature and is a secret:
// errors never repeat it.
func New(secretURL string, now func() time.Time) (*Channel, error) {
	to, err := post.New("teams.Send", secretURL, now)
	return &Channel{to: to}, err
}

// Send implements alert.Channel. A workflow tells no id; the provider's id is the
// alert's.
func (c *Channel) Send(ctx context.Context, a alert.Alert) (string, error) {
	body, _, err := card(a, c.words)
	if err != nil {
		return "", fault.Wrap(fault.Invalid, "teams.Send", err)
	}
	if _, err := c.to.Send(ctx, body, http.Header{"Content-Type": {"application/json"}}); err != nil {
		return "", err
	}
	return a.ID, nil
}

// With returns the channel with templates of the policy.
func (c *Channel) With(words templates.Set) *Channel {
	out := *c
	out.words = words
	return &out
}

// Render implements alert.Renderer.
func (c *Channel) Render(a alert.Alert) (alert.Rendered, error) {
	body, fields, err := card(a, c.words)
	return alert.Rendered{Media: "application/json", Body: body, Text: alert.Plain(alert.Head(a), fields)}, err
}
