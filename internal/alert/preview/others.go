package preview

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cmkguard/internal/fault"
)

// pagerEvent is an event or a change event of the Events API v2
// (developer.pagerduty.com, "Send an alert event", "Send a change event").
type pagerEvent struct {
	Action  string `json:"event_action"`
	Dedup   string `json:"dedup_key"`
	Client  string `json:"client"`
	Payload struct {
		Summary   string         `json:"summary"`
		Source    string         `json:"source"`
		Severity  string         `json:"severity"`
		Timestamp string         `json:"timestamp"`
		Component string         `json:"component"`
		Group     string         `json:"group"`
		Class     string         `json:"class"`
		Details   map[string]any `json:"custom_details"`
	} `json:"payload"`
	Links []struct {
		Href string `json:"href"`
		Text string `json:"text"`
	} `json:"links"`
}

func drawPagerDuty(c *Card) error {
	var e pagerEvent
	if err := json.Unmarshal(c.Body, &e); err != nil {
		return fault.New(fault.Invalid, "preview.pagerduty", "no event of PagerDuty: %w", err)
	}
	p := e.Payload
	kind, severity := "Change event: wakes nobody", ""
	if e.Action != "" {
		kind, severity = "Alert: "+e.Action, strings.ToUpper(p.Severity)
	}
	c.Title = p.Summary
	c.Nodes = append(c.Nodes,
		Node{Kind: "note", Lines: [][]Span{{{Text: strings.TrimSpace(severity + "  " + kind), Class: "pill " + known(p.Severity, "critical error warning info")}}}},
		Node{Kind: "heading", Lines: plain(p.Summary)})
	facts := Node{Kind: "facts"}
	for _, f := range [][2]string{
		{"Source", p.Source}, {"Group", p.Group}, {"Component", p.Component}, {"Class", p.Class}, {"Dedup key", e.Dedup}, {"At", p.Timestamp}, {"Client", e.Client},
	} {
		if f[1] != "" {
			facts.Facts = append(facts.Facts, fact(f[0], f[1]))
		}
	}
	if details := factsOf(p.Details); len(details.Facts) > 0 {
		c.Nodes = append(c.Nodes, Node{Kind: "heading", Class: "small", Lines: plain("Custom details")}, details)
	}
	c.Nodes = append(c.Nodes, Node{Kind: "heading", Class: "small", Lines: plain("Incident")}, facts)
	if len(e.Links) > 0 {
		n := Node{Kind: "buttons"}
		for _, l := range e.Links {
			n.Lines = append(n.Lines, []Span{{Text: l.Text, URL: link(l.Href), Class: "button"}})
		}
		c.Nodes = append(c.Nodes, n)
	}
	return nil
}

func fact(label, text string) Fact { return Fact{Label: []Span{{Text: label}}, Lines: plain(text)} }

// factsOf lists the fields of an object by name, as PagerDuty's page does.
func factsOf(object map[string]any) Node {
	n := Node{Kind: "facts"}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		n.Facts = append(n.Facts, fact(name, textOf(object[name])))
	}
	return n
}

func textOf(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

// drawWebhook shows a CloudEvent: there is no product whose look it has.
func drawWebhook(c *Card) error {
	var e struct {
		Type    string         `json:"type"`
		Subject string         `json:"subject"`
		Data    map[string]any `json:"data"`
	}
	if err := json.Unmarshal(c.Body, &e); err != nil {
		return fault.New(fault.Invalid, "preview.webhook", "no JSON object: %w", err)
	}
	c.Title = e.Type
	if t, ok := e.Data["title"].(string); ok {
		c.Title = t
	}
	top := Node{Kind: "facts", Facts: []Fact{fact("type", e.Type), fact("subject", e.Subject)}}
	c.Nodes = []Node{{Kind: "heading", Lines: plain(c.Title)}, top, {Kind: "rule"}, factsOf(e.Data)}
	return nil
}
