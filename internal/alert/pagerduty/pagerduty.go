// Package pagerduty sends alerts to PagerDuty's Events API v2: a problem is an
// alert with a stable key, which updates and resolves it; what is no problem, a
// rotation done, is a change event, which wakes nobody.
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
	"cmkguard/internal/fault"
	"cmkguard/internal/risk"
)

// The service regions' hosts (developer.pagerduty.com, Events API v2 overview).
const (
	hostUS = "https://events.pagerduty.com"
	hostEU = "https://events.eu.pagerduty.com"
)

// The limits of an event (developer.pagerduty.com, "Send an alert event").
const (
	maxSummary = 1024 // characters
	maxDedup   = 255
)

// Channel sends to one integration. It is safe for concurrent use.
type Channel struct {
	key           string
	alerts, moves *post.Client
}

var _ alert.Channel = (*Channel)(nil)

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

// Send implements alert.Channel. The alert's DedupKey is PagerDuty's: sent twice,
// it is one alert. It is also the provider's id.
func (c *Channel) Send(ctx context.Context, a alert.Alert) (string, error) {
	const op = "pagerduty.Send"
	to, id, event := c.alerts, alert.Cut(a.DedupKey, maxDedup), any(c.event(a))
	if a.Lifecycle == alert.Notice {
		to, id, event = c.moves, a.ID, c.change(a)
	}
	body, err := json.Marshal(event)
	if err != nil {
		return "", fault.Wrap(fault.Invalid, op, err)
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

func (c *Channel) event(a alert.Alert) pagerduty.V2Event {
	e := pagerduty.V2Event{RoutingKey: c.key, Action: "trigger", DedupKey: alert.Cut(a.DedupKey, maxDedup), Client: "CMK Guard"}
	if a.Lifecycle == alert.Resolve {
		e.Action = "resolve"
	}
	e.Payload = &pagerduty.V2Payload{
		Summary: alert.Cut(alert.Head(a), maxSummary), Source: alert.Clean(a.Subject, maxSummary), Severity: severity(a.Severity),
		Timestamp: a.At.UTC().Format(time.RFC3339), Group: alert.Clean(a.GroupKey, maxSummary), Class: a.Check, Details: details(a),
	}
	return e
}

func (c *Channel) change(a alert.Alert) pagerduty.ChangeEvent {
	return pagerduty.ChangeEvent{RoutingKey: c.key, Payload: pagerduty.ChangeEventPayload{
		Summary: alert.Cut(alert.Head(a), maxSummary), Source: "cmkguard", Timestamp: a.At.UTC().Format(time.RFC3339), CustomDetails: details(a),
	}}
}

// details are shown as a table: one row per label.
func details(a alert.Alert) map[string]any {
	out := map[string]any{}
	for _, f := range alert.Fields(a, a.At) {
		text := f.String()
		if have, ok := out[f.Label].(string); ok {
			text = have + "\n" + text
		}
		out[f.Label] = text
	}
	return out
}

func severity(s risk.Severity) string {
	switch s {
	case risk.Critical:
		return "critical"
	case risk.High:
		return "error"
	case risk.Medium:
		return "warning"
	case risk.Low, risk.Info:
	}
	return "info"
}
