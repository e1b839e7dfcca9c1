package preview

import (
	"encoding/json"
	"strings"

	"cmkguard/internal/fault"
)

// element is any element or action of an Adaptive Card, as far as it is drawn
// (adaptivecards.io/explorer).
type element struct {
	Type    string    `json:"type"`
	Text    string    `json:"text"`
	Size    string    `json:"size"`
	Weight  string    `json:"weight"`
	Color   string    `json:"color"`
	Style   string    `json:"style"`
	Font    string    `json:"fontType"`
	Subtle  bool      `json:"isSubtle"`
	Wrap    bool      `json:"wrap"`
	Line    bool      `json:"separator"`
	Title   string    `json:"title"`
	URL     string    `json:"url"`
	Value   string    `json:"value"`
	Items   []element `json:"items"`
	Columns []element `json:"columns"`
	Actions []element `json:"actions"`
	Facts   []element `json:"facts"`
	Inlines []element `json:"inlines"`
	Body    []element `json:"body"`
}

func drawTeams(c *Card) error {
	var m struct {
		Type        string `json:"type"`
		Attachments []struct {
			ContentType string  `json:"contentType"`
			Content     element `json:"content"`
		} `json:"attachments"`
	}
	if err := json.Unmarshal(c.Body, &m); err != nil {
		return fault.New(fault.Invalid, "preview.teams", "no message of Teams: %w", err)
	}
	for _, a := range m.Attachments {
		if a.ContentType != "application/vnd.microsoft.card.adaptive" || a.Content.Type != "AdaptiveCard" {
			c.Nodes = append(c.Nodes, unknown("attachment "+a.ContentType))
			continue
		}
		c.Nodes = append(c.Nodes, elements(a.Content.Body)...)
		if len(a.Content.Actions) > 0 {
			c.Nodes = append(c.Nodes, actions(a.Content.Actions))
		}
	}
	c.Title = firstText(c.Nodes)
	return nil
}

func firstText(nodes []Node) string {
	for _, n := range nodes {
		var b strings.Builder
		for _, l := range n.Lines {
			for _, s := range l {
				b.WriteString(s.Text)
			}
		}
		if b.Len() > 0 {
			return b.String()
		}
		if t := firstText(n.Nodes); t != "" {
			return t
		}
	}
	return ""
}

func elements(in []element) []Node {
	var out []Node
	for _, e := range in {
		if e.Line {
			out = append(out, Node{Kind: "rule"})
		}
		out = append(out, e.node())
	}
	return out
}

func (e element) node() Node {
	switch e.Type {
	case "TextBlock":
		return Node{Kind: "text", Class: e.look(), Lines: bullets(e.Text)}
	case "RichTextBlock":
		n := Node{Kind: "text", Lines: [][]Span{nil}}
		for _, run := range e.Inlines {
			n.Lines[0] = append(n.Lines[0], Span{Text: run.Text, Class: run.look()})
		}
		return n
	case "FactSet":
		n := Node{Kind: "facts"}
		for _, f := range e.Facts {
			n.Facts = append(n.Facts, Fact{Label: teamsText().spans(f.Title, "", 0), Lines: teamsText().lines(f.Value)})
		}
		return n
	case "Container":
		return Node{Kind: "box", Class: known(e.Style, "emphasis good attention warning accent"), Nodes: elements(e.Items)}
	case "ColumnSet":
		n := Node{Kind: "row", Class: "columns"}
		for _, c := range e.Columns {
			n.Nodes = append(n.Nodes, Node{Kind: "cell", Class: known(c.Style, "emphasis good attention warning accent"), Nodes: elements(c.Items)})
		}
		return n
	case "ActionSet":
		return actions(e.Actions)
	}
	return unknown("element " + e.Type)
}

// look is the classes of a text; one without wrap stays on one line, as Teams
// draws it.
func (e element) look() string {
	var out []string
	add := func(prefix, value, names string) {
		if v := known(value, names); v != "" {
			out = append(out, prefix+v)
		}
	}
	add("size-", e.Size, "small medium large extralarge")
	add("weight-", e.Weight, "lighter bolder")
	add("colour-", e.Color, "accent good warning attention")
	add("font-", e.Font, "monospace")
	if e.Subtle {
		out = append(out, "subtle")
	}
	if e.Type == "TextBlock" && !e.Wrap {
		out = append(out, "oneline")
	}
	return strings.Join(out, " ")
}

// known returns the value, lower case, if it is one of the names.
func known(value, names string) string {
	for n := range strings.FieldsSeq(names) {
		if strings.EqualFold(n, value) {
			return n
		}
	}
	return ""
}

// bullets are Markdown's lines; a list's sign becomes a bullet.
func bullets(s string) [][]Span {
	out := teamsText().lines(s)
	for _, l := range out {
		if len(l) > 0 {
			if rest, ok := strings.CutPrefix(l[0].Text, "- "); ok {
				l[0].Text = "\u2022 " + rest
			}
		}
	}
	return out
}

func actions(in []element) Node {
	n := Node{Kind: "buttons"}
	for _, a := range in {
		if a.Type != "Action.OpenUrl" {
			return unknown("action " + a.Type)
		}
		style := map[string]string{"positive": "primary", "destructive": "danger"}[a.Style]
		n.Lines = append(n.Lines, []Span{{Text: a.Title, URL: link(a.URL), Class: "button " + style}})
	}
	return n
}
