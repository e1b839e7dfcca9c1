// Package alertmanager sends alerts to Prometheus Alertmanager's API v2 and keeps
// open ones open there.
//
// Alertmanager holds alerts in memory and takes one for resolved when nobody has sent
// it again in time: clients are expected to go on sending what is still active
// (prometheus.io/docs/alerting/latest/alerts_api). So each open alert is written down
// when it is sent, and Refresh, after every sweep, sends all of them again. An alert
// carries its own end, hold from now, which stands in place of the receiver's
// resolve_timeout: that we are gone for a while must not look like "fixed". What is
// fixed is sent with its end in the past.
//
// It does not group, silence or route: that is Alertmanager's, or the policy's.
package alertmanager

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/post"
	"cmkguard/internal/alert/templates"
	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

const (
	// hold is how long an open alert lives there if it is not sent again. Sweeps run
	// every minute; a shorter hold would call a problem fixed when we are gone.
	hold = 6 * time.Hour
	// brief is how long what is told once, and has no end, is shown.
	brief = time.Hour
	// maxText bounds an annotation: it goes into mails and chats from there.
	maxText = 8 << 10
)

// Options are what a Channel is made of.
type Options struct {
	Name   string // of the channel: what is open is kept under it
	URL    string // of Alertmanager, without /api/v2/alerts
	User   string // for basic authentication; "" with a Secret is a bearer token
	Secret string // password or token; "": none
	// State keeps what is open; nil: nothing is kept, and Refresh does nothing.
	State store.State
	Now   func() time.Time
}

// Channel posts to one Alertmanager. It is safe for concurrent use.
type Channel struct {
	words     templates.Set
	to        *post.Client
	header    http.Header
	state     store.State
	partition string
	now       func() time.Time
}

var (
	_ alert.Channel  = (*Channel)(nil)
	_ alert.Renderer = (*Channel)(nil)
)

// New returns a Channel. Errors are Invalid and never repeat the secret.
func New(o Options) (*Channel, error) {
	to, err := post.New("alertmanager.Send", strings.TrimSuffix(o.URL, "/")+"/api/v2/alerts", o.Now)
	if err != nil {
		return nil, err
	}
	c := &Channel{to: to, header: http.Header{"Content-Type": {"application/json"}}, state: o.State, partition: store.Name("alertmanager", o.Name), now: o.Now}
	switch {
	case o.Secret != "" && o.User != "":
		c.header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(o.User+":"+o.Secret)))
	case o.Secret != "":
		c.header.Set("Authorization", "Bearer "+o.Secret)
	}
	return c, nil
}

// With returns the channel with templates of the policy.
func (c *Channel) With(words templates.Set) *Channel {
	out := *c
	out.words = words
	return &out
}

// postable is an alert as the API takes it (github.com/prometheus/alertmanager,
// api/v2/openapi.yaml, postableAlert).
type postable struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

// Send implements alert.Channel. There is no provider's id but the alert's own: the
// labels are what Alertmanager knows it by, and the label incident is the same over
// the problem's life.
func (c *Channel) Send(ctx context.Context, a alert.Alert) (string, error) {
	p, _ := c.postable(a)
	was, row, err := c.kept(ctx, a)
	if err != nil {
		return "", err
	}
	next := was.follow(p, a, c.now())
	if err := c.post(ctx, next.all(c.now())); err != nil {
		return "", err
	}
	if a.Lifecycle == alert.Notice {
		return a.ID, nil
	}
	return a.ID, c.keep(ctx, a, next, row)
}

func (c *Channel) post(ctx context.Context, all []postable) error {
	body, err := json.Marshal(all)
	if err != nil {
		return fault.Wrap(fault.Invalid, "alertmanager.Send", err)
	}
	_, err = c.to.Send(ctx, body, c.header)
	return err
}

// Render implements alert.Renderer.
func (c *Channel) Render(a alert.Alert) (alert.Rendered, error) {
	p, fields := c.postable(a)
	body, err := json.Marshal([]postable{p})
	return alert.Rendered{Media: "application/json", Body: body, Text: alert.Plain(alert.Head(a), fields)}, err
}

// postable is the alert. Its labels say what it is, and do not change while it is
// open but for the severity: labels are what Alertmanager tells alerts apart by.
func (c *Channel) postable(a alert.Alert) (postable, []alert.Field) {
	made, a := c.words.Render(a, a.At)
	fields := alert.Shrink(alert.Fields(a, a.At), func(f []alert.Field) bool { return len(alert.Plain("", f)) <= maxText })
	p := postable{
		Labels:      labels(a),
		Annotations: map[string]string{"summary": alert.Head(a), "description": strings.TrimSpace(alert.Plain("", fields))},
		StartsAt:    a.Since.UTC(), EndsAt: c.now().UTC().Add(hold),
	}
	for part, text := range made {
		p.Annotations[part] = alert.Cut(text, maxText)
	}
	for _, page := range alert.Pages(a) {
		if page.URL == a.Runbook {
			p.Annotations["runbook_url"] = page.URL
		} else if p.GeneratorURL == "" {
			p.GeneratorURL = page.URL
		}
	}
	switch a.Lifecycle {
	case alert.Resolve:
		p.EndsAt = c.now().UTC()
	case alert.Notice:
		p.EndsAt = c.now().UTC().Add(brief)
	case alert.Trigger, alert.Update, alert.Acknowledge:
	}
	if p.StartsAt.IsZero() || p.StartsAt.After(p.EndsAt) { // refused: an alert does not end before it starts
		p.StartsAt = p.EndsAt
	}
	return p, fields
}

func labels(a alert.Alert) map[string]string {
	const most = 200
	out := map[string]string{"alertname": "CMKGuard", "job": "cmkguard", "incident": alert.Clean(a.DedupKey, 255)}
	set := func(name, value string) {
		if value = alert.Clean(value, most); value != "" {
			out[name] = value
		}
	}
	set("alertname", a.Check)
	set("severity", strings.ToLower(alert.SeverityWord(a)))
	set("vault", a.Vault)
	set("subject", a.Subject)
	for name, on := range map[string]bool{"drill": a.Drill, "test": a.Test} {
		if on {
			out[name] = "true"
		}
	}
	return out
}
