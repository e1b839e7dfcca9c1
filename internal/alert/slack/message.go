package slack

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/markup"
	"cmkguard/internal/alert/templates"
	"cmkguard/internal/risk"
)

// The limits of a message (docs.slack.dev/reference/block-kit/blocks; of a button:
// .../block-elements/button-element), in characters.
const (
	maxHeader  = 150
	maxSection = 3000
	maxBlocks  = 48 // of 50: the header and the buttons are apart
	maxLine    = 2000
	maxButton  = 75
	maxButtons = 6 // of 25
)

// message is the alert as a notification text and an attachment whose bar has the
// severity's colour. What has no room is left out by importance.
func message(a alert.Alert, words templates.Set) (*slack.WebhookMessage, []alert.Field) {
	made, a := words.Render(a, a.At)
	head, ok := made["title"]
	if !ok {
		head = alert.Head(a)
	}
	pages := buttons(a)
	fields := alert.Shrink(textFields(a), func(f []alert.Field) bool { return len(body(f, pages)) < maxBlocks-1 })
	rest := body(fields, pages)
	if text, ok := made["text"]; ok {
		rest = theirs(text, pages)
	}
	blocks := []slack.Block{slack.NewHeaderBlock(slack.NewTextBlockObject(slack.PlainTextType, alert.CutRunes(head, maxHeader), false, false))}
	if utf8.RuneCountInString(head) > maxHeader {
		blocks = append(blocks, section("*"+markup.Slack(alert.CutRunes(head, maxSection/6))+"*")) // nothing of what is wrong is lost to the header's size
	}
	blocks = append(blocks, rest...)
	return &slack.WebhookMessage{
		Text:        markup.Slack(alert.CutRunes(head, maxSection/6)), // what a notification shows
		Attachments: []slack.Attachment{{Color: colour(a), Blocks: slack.Blocks{BlockSet: blocks}}},
	}, fields
}

// theirs is a template's text, and the pages below it.
func theirs(text string, pages slack.Block) []slack.Block {
	var out []slack.Block
	for _, s := range chunks(text) {
		out = append(out, section(s))
	}
	if pages != nil {
		out = append(out, pages)
	}
	return out
}

// chunks are a template's text in pieces that a section holds, cut between lines where
// there are any.
func chunks(text string) []string {
	var out []string
	for text = strings.TrimSpace(text); text != "" && len(out) < maxBlocks-3; {
		piece := []rune(text)
		if len(piece) > maxSection {
			piece = piece[:maxSection]
		}
		end := len(string(piece))
		if at := strings.LastIndexByte(text[:end], '\n'); end < len(text) && at > 0 {
			end = at
		}
		if s := strings.TrimSpace(text[:end]); s != "" {
			out = append(out, s)
		}
		text = text[end:]
	}
	return out
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

func section(text string) slack.Block {
	return slack.NewSectionBlock(slack.NewTextBlockObject(slack.MarkdownType, text, false, true), nil, nil)
}

// buttons open the alert's pages; none of them acts.
func buttons(a alert.Alert) slack.Block {
	var out []slack.BlockElement
	for n, p := range alert.Pages(a) {
		if n == maxButtons {
			break
		}
		b := slack.NewButtonBlockElement(fmt.Sprintf("page-%d", n+1), "", slack.NewTextBlockObject(slack.PlainTextType, alert.CutRunes(p.Label, maxButton), false, false))
		b.URL = p.URL
		out = append(out, b)
	}
	if len(out) == 0 {
		return nil
	}
	return slack.NewActionBlock("pages", out...)
}

// colour is the bar's; the severity stands in the header in words, too.
func colour(a alert.Alert) string {
	switch a.Lifecycle {
	case alert.Resolve:
		return "#2e7d32"
	case alert.Acknowledge:
		return "#6a1b9a"
	case alert.Trigger, alert.Update, alert.Notice:
	}
	switch a.Severity {
	case risk.Critical:
		return "#b71c1c"
	case risk.High:
		return "#d84315"
	case risk.Medium:
		return "#f9a825"
	case risk.Low, risk.Info:
	}
	return "#1565c0"
}
