package pagerduty

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/PagerDuty/go-pagerduty"

	"cmkguard/internal/alert"
	"cmkguard/internal/risk"
)

// The limits of an event (developer.pagerduty.com/docs/events-api-v2/trigger-events
// and .../overview, "Size Limits").
const (
	maxSummary = 1024      // characters
	maxDedup   = 255       // characters
	maxEvent   = 500 << 10 // of 512 KB
	clientName = "CMK Guard"
)

// body is the event: an alert, or, of what is no problem, a change. alert tells
// which.
func (c *Channel) body(a alert.Alert) (raw []byte, isAlert bool, fields []alert.Field, err error) {
	made, a := c.words.Render(a, a.At)
	summary, ok := made["summary"]
	if !ok {
		summary = alert.Head(a)
	}
	summary = alert.Cut(summary, maxSummary)
	fields = alert.Shrink(alert.Fields(a, a.At), func(f []alert.Field) bool {
		raw, err = json.Marshal(c.event(a, summary, f))
		return err != nil || len(raw) <= maxEvent
	})
	isAlert = a.Lifecycle != alert.Notice || a.Severity.Rank() >= risk.High.Rank()
	raw, err = json.Marshal(c.event(a, summary, fields))
	if !isAlert {
		raw, err = json.Marshal(c.change(a, summary, fields))
	}
	return raw, isAlert, fields, err
}

// event: what is acknowledged or over goes under the key that opened it; its payload
// is not read by the service then, and kept for whoever looks at the log.
func (c *Channel) event(a alert.Alert, summary string, fields []alert.Field) pagerduty.V2Event {
	e := pagerduty.V2Event{RoutingKey: c.key, Action: "trigger", DedupKey: alert.Clean(a.DedupKey, maxDedup), Client: clientName}
	switch a.Lifecycle {
	case alert.Resolve:
		e.Action = "resolve"
	case alert.Acknowledge:
		e.Action = "acknowledge"
	case alert.Trigger, alert.Update, alert.Notice:
	}
	pages := alert.Pages(a)
	for _, p := range pages {
		e.Links = append(e.Links, pagerduty.ChangeEventLink{Href: p.URL, Text: p.Label})
	}
	if len(pages) > 0 {
		e.ClientURL = pages[0].URL
	}
	source := alert.Clean(a.Subject, maxSummary)
	if source == "" {
		source = "cmkguard"
	}
	e.Payload = &pagerduty.V2Payload{
		Summary: summary, Source: source, Severity: severity(a.Severity),
		Timestamp: a.At.UTC().Format(time.RFC3339), Component: alert.Clean(a.Vault, maxSummary), Group: alert.Clean(a.GroupKey, maxSummary),
		Class: alert.Clean(a.Check, maxSummary), Details: table(fields),
	}
	return e
}

// change wakes nobody. Its type in the library has a map for its details, which loses
// their order; the service takes the same object.
func (c *Channel) change(a alert.Alert, summary string, fields []alert.Field) any {
	var links []pagerduty.ChangeEventLink
	for _, p := range alert.Pages(a) {
		links = append(links, pagerduty.ChangeEventLink{Href: p.URL, Text: p.Label})
	}
	type payload struct {
		Summary   string `json:"summary"`
		Source    string `json:"source"`
		Timestamp string `json:"timestamp"`
		Details   table  `json:"custom_details"`
	}
	return struct {
		RoutingKey string                      `json:"routing_key"`
		Payload    payload                     `json:"payload"`
		Links      []pagerduty.ChangeEventLink `json:"links,omitempty"`
	}{c.key, payload{summary, "cmkguard", a.At.UTC().Format(time.RFC3339), fields}, links}
}

// table is the details as the service shows them: one row per label, in the order of
// the alert.
type table []alert.Field

// MarshalJSON implements json.Marshaler.
func (t table) MarshalJSON() ([]byte, error) {
	var order []string
	rows := map[string]string{}
	for _, f := range t {
		have, ok := rows[f.Label]
		if !ok {
			order = append(order, f.Label)
			rows[f.Label] = f.String()
			continue
		}
		rows[f.Label] = have + "\n" + f.String()
	}
	var b bytes.Buffer
	b.WriteByte('{')
	for i, label := range order {
		pair, err := json.Marshal(map[string]string{label: rows[label]})
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(pair[1 : len(pair)-1])
	}
	b.WriteByte('}')
	return b.Bytes(), nil
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
