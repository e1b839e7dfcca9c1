package teams

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/atc0005/go-teams-notify/v2/adaptivecard"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/markup"
	"cmkguard/internal/alert/templates"
	"cmkguard/internal/risk"
)

// maxCard is the size of a message (learn.microsoft.com connectors/teams, known
// issues: about 28 KB), less the frame that a workflow adds.
const maxCard = 26 << 10

// maxActions is how many buttons a card shows (learn.microsoft.com microsoftteams/
// platform/task-modules-and-cards/cards/cards-reference).
const maxActions = 6

// fixed marks, as an element's id, the text that is to have a fixed width: the
// library's type has no fontType. No text of an alert can hold it, for JSON escapes
// the quotes around it.
const fixed = "fixed-width"

// card is the message; what has no room is left out by importance.
func card(a alert.Alert, words templates.Set) (body []byte, fields []alert.Field, err error) {
	made, a := words.Render(a, a.At)
	fields = alert.Shrink(textFields(a), func(f []alert.Field) bool {
		body, err = cardOf(a, f, made)
		return err != nil || len(body) <= maxCard
	})
	if err == nil && len(body) > maxCard && made["text"] != "" { // a template's text has no parts to leave out
		a.Notes = append(slices.Clone(a.Notes), "the policy's template teams.text made more than a card holds, so this is the built-in text")
		return card(a, nil)
	}
	if err != nil {
		return nil, nil, err
	}
	body, err = cardOf(a, fields, made)
	return body, fields, err
}

// textFields are the lines without the pages, which are buttons.
func textFields(a alert.Alert) []alert.Field {
	var out []alert.Field
	for _, f := range alert.Fields(a, a.At) {
		if f.URL == "" {
			out = append(out, f)
		}
	}
	return out
}

// addPages makes buttons that open an address.
func addPages(c *adaptivecard.Card, pages []alert.Link) error {
	for _, p := range pages[:min(len(pages), maxActions)] {
		open, err := adaptivecard.NewActionOpenURL(p.URL, p.Label)
		if err != nil {
			return err
		}
		if err := c.AddAction(false, open); err != nil {
			return err
		}
	}
	return nil
}

func cardOf(a alert.Alert, fields []alert.Field, made map[string]string) ([]byte, error) {
	head, ok := made["title"]
	if !ok {
		head = markup.Card(alert.Head(a))
	}
	title := adaptivecard.NewTitleTextBlock(head, true)
	title.Color = colour(a)
	elements := []adaptivecard.Element{title}
	if text, ok := made["text"]; ok {
		elements, fields = append(elements, adaptivecard.NewTextBlock(text, true)), nil
	}
	text, err := layout(a, fields)
	if err != nil {
		return nil, err
	}
	elements = append(elements, text...)
	c := adaptivecard.NewCard()
	c.SetFullWidth()
	if err := c.AddElement(false, elements...); err != nil {
		return nil, err
	}
	if err := addPages(&c, alert.Pages(a)); err != nil {
		return nil, err
	}
	m, err := adaptivecard.NewMessageFromCard(c)
	if err != nil {
		return nil, err
	}
	if err := m.Validate(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // a card has no room for \u0026
	err = enc.Encode(m)
	return bytes.ReplaceAll(bytes.TrimSpace(b.Bytes()), []byte(`"id":"`+fixed+`"`), []byte(`"fontType":"Monospace"`)), err
}

// colour is the title's; the severity stands there in words, too.
func colour(a alert.Alert) string {
	switch a.Lifecycle {
	case alert.Resolve:
		return adaptivecard.ColorGood
	case alert.Acknowledge:
		return adaptivecard.ColorAccent
	case alert.Trigger, alert.Update, alert.Notice:
	}
	switch a.Severity {
	case risk.Critical, risk.High:
		return adaptivecard.ColorAttention
	case risk.Medium:
		return adaptivecard.ColorWarning
	case risk.Low, risk.Info:
	}
	return adaptivecard.ColorAccent
}
