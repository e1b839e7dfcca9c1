package teams

import (
	"strings"

	"github.com/atc0005/go-teams-notify/v2/adaptivecard"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/markup"
)

// layout: what breaks stands in a box of the severity's colour, ids are small and last.
func layout(a alert.Alert, fields []alert.Field) ([]adaptivecard.Element, error) {
	var out, last []adaptivecard.Element
	var middle []alert.Field // one list of facts, so that its columns stand in line
	for _, p := range alert.Parts(fields) {
		switch p.Name {
		case alert.PartBreaks:
			out = append(out, box(a, p.Fields))
		case alert.PartIDs:
			last = append(last, small(p.Fields))
		case alert.PartWhat, alert.PartHits, alert.PartDone, alert.PartDo:
			middle = append(middle, p.Fields...)
		}
	}
	text, err := lines(middle)
	return append(append(out, text...), last...), err
}

// box is what breaks, on the severity's ground.
func box(a alert.Alert, fields []alert.Field) adaptivecard.Element {
	out := adaptivecard.Element{Type: adaptivecard.TypeElementContainer, Style: style(a)}
	for n, f := range fields {
		t := adaptivecard.NewTextBlock("**"+f.Label+"** "+markup.Card(f.Text), true)
		if n > 0 {
			t.Spacing = adaptivecard.SpacingSmall
		}
		out.Items = append(out.Items, t)
	}
	return out
}

// small is what is looked for, not read.
func small(fields []alert.Field) adaptivecard.Element {
	texts := make([]string, len(fields))
	for n, f := range fields {
		texts[n] = "**" + f.Label + "** " + markup.Card(f.Text)
	}
	t := adaptivecard.NewTextBlock(strings.Join(texts, " \u00b7 "), true)
	t.Size, t.Spacing = adaptivecard.SizeSmall, adaptivecard.SpacingLarge
	return t
}

// lines makes elements of fields: facts, or commands, which stand alone and in a
// fixed width, so that they can be copied.
func lines(fields []alert.Field) (out []adaptivecard.Element, err error) {
	for len(fields) > 0 {
		if f := fields[0]; f.Line != "" {
			does := adaptivecard.NewTextBlock("\u2022 "+markup.Card(f.Text), true)
			line := adaptivecard.NewTextBlock(markup.Card(f.Line), true)
			line.ID, line.Spacing = fixed, adaptivecard.SpacingSmall
			out, fields = append(out, does, line), fields[1:]
			continue
		}
		facts := adaptivecard.NewFactSet()
		for len(fields) > 0 && fields[0].Line == "" {
			if err := facts.AddFact(adaptivecard.Fact{Title: fields[0].Label, Value: markup.Card(fields[0].Text)}); err != nil {
				return nil, err
			}
			fields = fields[1:]
		}
		out = append(out, adaptivecard.Element(facts))
	}
	return out, nil
}

// style is that of the box in which stands what breaks.
func style(a alert.Alert) string {
	switch colour(a) {
	case adaptivecard.ColorAttention:
		return adaptivecard.ContainerStyleAttention
	case adaptivecard.ColorWarning:
		return adaptivecard.ContainerStyleWarning
	case adaptivecard.ColorGood:
		return adaptivecard.ContainerStyleGood
	}
	return adaptivecard.ContainerStyleEmphasis
}
