package preview

import (
	"encoding/json"
	"regexp"

	"cmkguard/internal/fault"
)

// slackText and slackBlock are the parts of Block Kit that are drawn
// (docs.slack.dev/reference/block-kit/blocks).
type slackObject struct {
	Type string `json:"type"` // plain_text or mrkdwn
	Text string `json:"text"`
}

type slackElement struct {
	Type  string          `json:"type"`
	Text  json.RawMessage `json:"text"` // a button's object, or a context's own text
	URL   string          `json:"url"`
	Style string          `json:"style"`
}

type slackBlock struct {
	Type      string         `json:"type"`
	Text      *slackObject   `json:"text"`
	Fields    []slackObject  `json:"fields"`
	Elements  []slackElement `json:"elements"`
	Accessory *slackElement  `json:"accessory"`
}

type slackMessage struct {
	Text        string       `json:"text"`
	Blocks      []slackBlock `json:"blocks"`
	Attachments []struct {
		Color  string       `json:"color"`
		Text   string       `json:"text"`
		Blocks []slackBlock `json:"blocks"`
	} `json:"attachments"`
}

func drawSlack(c *Card) error {
	var m slackMessage
	if err := json.Unmarshal(c.Body, &m); err != nil {
		return fault.New(fault.Invalid, "preview.slack", "no message of Slack: %w", err)
	}
	for _, s := range slackText().spans(m.Text, "", 0) {
		c.Title += s.Text
	}
	if len(m.Blocks) == 0 && len(m.Attachments) == 0 {
		c.Nodes = append(c.Nodes, Node{Kind: "text", Lines: slackText().lines(m.Text)})
	}
	c.Nodes = append(c.Nodes, slackBlocks(m.Blocks)...)
	for _, a := range m.Attachments {
		box := Node{Kind: "bar", Colour: colour(a.Color), Nodes: slackBlocks(a.Blocks)}
		if a.Text != "" {
			box.Nodes = append(box.Nodes, Node{Kind: "text", Lines: slackText().lines(a.Text)})
		}
		c.Nodes = append(c.Nodes, box)
	}
	return nil
}

func colour(s string) string {
	if regexp.MustCompile(`^#[0-9A-Fa-f]{6}$`).MatchString(s) {
		return s
	}
	return "#8d8d8d" // of an attachment without one
}

func slackBlocks(blocks []slackBlock) []Node {
	var out []Node
	for _, b := range blocks {
		out = append(out, slackNodes(b)...)
	}
	return out
}

func slackNodes(b slackBlock) []Node {
	switch {
	case b.Type == "header" && b.Text != nil:
		return []Node{{Kind: "heading", Lines: b.Text.lines()}}
	case b.Type == "section":
		return sectionNodes(b)
	case b.Type == "divider":
		return []Node{{Kind: "rule"}}
	case b.Type == "context":
		n := Node{Kind: "note"}
		for _, e := range b.Elements {
			n.Lines = append(n.Lines, e.own().lines()...)
		}
		return []Node{n}
	case b.Type == "actions":
		return []Node{buttons(b.Elements)}
	}
	return []Node{unknown("block " + b.Type)}
}

func sectionNodes(b slackBlock) []Node {
	var out []Node
	if b.Text != nil {
		out = append(out, Node{Kind: "text", Lines: b.Text.lines()})
	}
	if len(b.Fields) > 0 {
		row := Node{Kind: "row", Class: "fields"}
		for _, f := range b.Fields {
			row.Nodes = append(row.Nodes, Node{Kind: "cell", Nodes: []Node{{Kind: "text", Lines: f.lines()}}})
		}
		out = append(out, row)
	}
	if b.Accessory != nil {
		out = append(out, buttons([]slackElement{*b.Accessory}))
	}
	return out
}

func buttons(elements []slackElement) Node {
	n := Node{Kind: "buttons"}
	for _, e := range elements {
		var label slackObject
		if e.Type != "button" || json.Unmarshal(e.Text, &label) != nil {
			return unknown("element " + e.Type)
		}
		n.Lines = append(n.Lines, []Span{{Text: label.Text, URL: link(e.URL), Class: "button " + e.Style}})
	}
	return n
}

// own is a context element's text, which stands in it directly.
func (e slackElement) own() slackObject {
	o := slackObject{Type: e.Type}
	if json.Unmarshal(e.Text, &o.Text) != nil {
		o.Text = "not drawn here: " + e.Type
	}
	return o
}

func (o slackObject) lines() [][]Span {
	if o.Type == "mrkdwn" {
		return slackText().lines(o.Text)
	}
	return plain(o.Text)
}
