// Package pagerduty sends alerts to PagerDuty's Events API v2: a problem is an
// alert with a stable key, which updates and resolves it; what is no problem, a
// rotation done, is a change event, which wakes nobody. A severe notice (somebody made
// a version of a key in use) is an alert all the same.
package pagerduty

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/PagerDuty/go-pagerduty"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/post"
	"cmkguard/internal/alert/templates"
	"cmkguard/internal/fault"
)

// The service regions' hosts (developer.pagerduty.com, Events API v2 overview).
const (
	hostUS = "https://events.pagerduty.com"
	hostEU = "https://events.eu.pagerduty.com"
)

// Channel sends to one integration. It is safe for concurrent use.
type Channel struct {
	words         templates.Set
	key           string
	alerts, moves *post.Client
}

var (
	_ alert.Channel  = (*Channel)(nil)
	_ alert.Renderer = (*Channel)(nil)
)

// New returns a Channel. key is the integration's routing key; region is us, eu
// or the base URL of a relay. Errors are Invalid and never repeat the key.
func New(region, key string, now func() time.Time) (*Channel, error) {
	const op = "pagerduty.New"
	base := strings.TrimSuffix(region, "/")
	switch region {
	case "", "us":
		base = hostUS
	case "eu":
		base = hostEU
	}
	if len(key) != 32 {
		return nil, fault.New(fault.Invalid, op, "the routing key has %d characters: want the 32 of an Events API v2 integration", len(key))
	}
	alerts, err := post.New("pagerduty.Send", base+"/v2/enqueue", now)
	if err != nil {
		return nil, err
	}
	moves, err := post.New("pagerduty.Send", base+"/v2/change/enqueue", now)
	return &Channel{key: key, alerts: alerts, moves: moves}, err
}

// With returns the channel with templates of the policy.
func (c *Channel) With(words templates.Set) *Channel {
	out := *c
	out.words = words
	return &out
}

// Send implements alert.Channel. The alert's DedupKey is PagerDuty's: sent twice,
// it is one alert. It is also the provider's id; a change event has none but the
// alert's.
func (c *Channel) Send(ctx context.Context, a alert.Alert) (string, error) {
	body, isAlert, _, err := c.body(a)
	if err != nil {
		return "", fault.Wrap(fault.Invalid, "pagerduty.Send", err)
	}
	to, id := c.alerts, alert.Clean(a.DedupKey, maxDedup)
	if !isAlert {
		to, id = c.moves, a.ID
	}
	answer, err := to.Send(ctx, body, http.Header{"Content-Type": {"application/json"}})
	if err != nil {
		return "", err
	}
	var got pagerduty.V2EventResponse
	if json.Unmarshal(answer, &got) == nil && got.DedupKey != "" {
		id = got.DedupKey
	}
	return id, nil
}

// Render implements alert.Renderer. Body holds the routing key: whoever shows it
// makes the channel with another.
func (c *Channel) Render(a alert.Alert) (alert.Rendered, error) {
	body, _, fields, err := c.body(a)
	return alert.Rendered{Media: "application/json", Body: body, Text: alert.Plain(alert.Head(a), fields)}, err
}
