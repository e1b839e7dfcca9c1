package slack

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/markup"
)

// body is a section for each part of the card, so that what breaks stands apart from
// what to do; the pages' buttons stand before the commands, and ids are small and last.
func body(fields []alert.Field, pages slack.Block) []slack.Block {
	var out, last []slack.Block
	for _, p := range alert.Parts(fields) {
		switch {
		case p.Name == alert.PartIDs:
			last = small(p.Fields)
			continue
		case p.Name == alert.PartDo && pages != nil:
			out, pages = append(out, pages), nil
		}
		for _, s := range sections(p.Fields) {
			out = append(out, section(s))
		}
	}
	if pages != nil {
		out = append(out, pages)
	}
	return append(out, last...)
}

// small is lines of grey text: what is looked for, not read.
func small(fields []alert.Field) []slack.Block {
	const (
		together = 10
		most     = maxSection/together - 50 // characters, of which one may be five when it is escaped
	)
	var texts []string
	for _, f := range fields {
		texts = append(texts, "*"+f.Label+"* "+escaped(f.Text, most))
	}
	var out []slack.Block
	for chunk := range slices.Chunk(texts, together) {
		out = append(out, slack.NewContextBlock("", slack.NewTextBlockObject(slack.MarkdownType, strings.Join(chunk, " \u00b7 "), false, true)))
	}
	return out
}

// escaped is the text in mrkdwn, of so many characters at most: an escape is never cut
// in half.
func escaped(text string, most int) string {
	for n := most; ; n /= 2 {
		if s := markup.Slack(alert.CutRunes(text, n)); utf8.RuneCountInString(s) <= most || n < 8 {
			return s
		}
	}
}

// sections are the lines, as many to a section as it holds.
func sections(fields []alert.Field) []string {
	var out []string
	var text strings.Builder
	for n, f := range fields {
		l := line(f, n > 0 && fields[n-1].Label == f.Label, n+1 < len(fields) && fields[n+1].Label == f.Label)
		if text.Len() > 0 && utf8.RuneCountInString(text.String())+utf8.RuneCountInString(l) > maxSection {
			out = append(out, strings.TrimSpace(text.String()))
			text.Reset()
		}
		text.WriteString(l)
	}
	if text.Len() > 0 {
		out = append(out, strings.TrimSpace(text.String()))
	}
	return out
}

// line is one field in mrkdwn; a command is code, which can be copied as it stands.
// again: the line above has the same label; more: the line below.
func line(f alert.Field, again, more bool) string {
	if f.Line != "" {
		mark := "`"
		if strings.Contains(f.Line, mark) {
			mark = "" // it would end the code
		}
		return fmt.Sprintf("\u2022 %s\n%s%s%s\n", markup.Slack(alert.CutRunes(f.Text, maxButton)), mark, markup.Slack(f.Line), mark)
	}
	label := "*" + f.Label + "* "
	switch {
	case again:
		label = "\u2022 "
	case more:
		label += "\n\u2022 "
	}
	l := label + markup.Slack(alert.CutRunes(f.Text, maxLine)) + "\n"
	if utf8.RuneCountInString(l) > maxSection { // a text of nothing but what must be escaped
		l = label + markup.Slack(alert.CutRunes(f.Text, maxSection/6)) + "\n"
	}
	return l
}
