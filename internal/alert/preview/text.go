package preview

import (
	"html"
	"strings"
	"unicode"
)

// mark is a pair of signs around a text, and how it then looks.
type mark struct{ sign, class string }

// dialect is how a product reads signs in a text.
type dialect struct {
	marks   []mark // the longer signs first
	escapes bool   // a backslash takes a sign's meaning away
	link    func(s string) (span Span, length int, ok bool)
}

// slackText is mrkdwn (docs.slack.dev/messaging/formatting-message-text): *bold*,
// _italic_, ~strike~, `code`, <url|label>; &, < and > stand as entities.
func slackText() dialect {
	return dialect{marks: []mark{{"```", "code"}, {"`", "code"}, {"*", "b"}, {"_", "i"}, {"~", "s"}}, link: slackLink}
}

// teamsText is the part of Markdown that an Adaptive Card reads
// (learn.microsoft.com adaptive-cards/authoring-cards/text-features).
func teamsText() dialect {
	return dialect{marks: []mark{{"**", "b"}, {"__", "b"}, {"*", "i"}, {"_", "i"}}, escapes: true, link: markdownLink}
}

func slackLink(s string) (Span, int, bool) {
	end := strings.IndexByte(s, '>')
	if s[0] != '<' || end < 2 {
		return Span{}, 0, false
	}
	target, label, labelled := strings.Cut(s[1:end], "|")
	if !labelled {
		label = target
	}
	if strings.ContainsAny(target[:1], "@#!") { // a person, a channel, everybody
		return Span{Text: label, Class: "mention"}, end + 1, true
	}
	return Span{Text: html.UnescapeString(label), URL: link(html.UnescapeString(target))}, end + 1, true
}

func markdownLink(s string) (Span, int, bool) {
	middle := strings.Index(s, "](")
	if s[0] != '[' || middle < 2 {
		return Span{}, 0, false
	}
	length := strings.IndexByte(s[middle:], ')')
	if length < 0 || strings.ContainsAny(s[1:middle], "[]\n") {
		return Span{}, 0, false
	}
	url, _, _ := strings.Cut(strings.TrimSpace(s[middle+2:middle+length]), " ")
	return Span{Text: s[1:middle], URL: link(url)}, middle + length + 1, true
}

// lines reads a text of several lines.
func (d dialect) lines(s string) [][]Span {
	var out [][]Span
	for l := range strings.SplitSeq(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s), "\n") {
		out = append(out, d.spans(l, "", 0))
	}
	return out
}

const deepest = 4 // marks within marks; what is deeper stays text

// spans reads one line; class is how the text around it looks.
func (d dialect) spans(s, class string, depth int) []Span {
	var out []Span
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			out = append(out, Span{Text: html.UnescapeString(text.String()), Class: class})
			text.Reset()
		}
	}
	for i := 0; i < len(s); {
		if d.escapes && s[i] == '\\' && i+1 < len(s) && strings.IndexByte("\\`*_{}[]()#+-.!~<>|", s[i+1]) >= 0 {
			text.WriteByte(s[i+1])
			i += 2
			continue
		}
		if span, length, ok := d.link(s[i:]); ok {
			flush()
			span.Class = strings.TrimSpace(class + " " + span.Class)
			out, i = append(out, span), i+length
			continue
		}
		if inner, m, length := d.marked(s, i); length > 0 && depth < deepest {
			flush()
			out, i = append(out, d.within(inner, m, class, depth)...), i+length
			continue
		}
		text.WriteByte(s[i])
		i++
	}
	flush()
	return out
}

func (d dialect) within(inner string, m mark, class string, depth int) []Span {
	class = strings.TrimSpace(class + " " + m.class)
	if m.class == "code" {
		return []Span{{Text: html.UnescapeString(inner), Class: class}}
	}
	return d.spans(inner, class, depth+1)
}

// marked finds a text between two marks that begins at i: the first mark stands at
// a word's begin, the second at its end, as both products want it.
func (d dialect) marked(s string, i int) (inner string, m mark, length int) {
	if i > 0 && isWord(rune(s[i-1])) {
		return "", mark{}, 0
	}
	for _, m := range d.marks {
		rest, ok := strings.CutPrefix(s[i:], m.sign)
		if !ok || rest == "" || rest[0] == ' ' {
			continue
		}
		for from := 0; ; {
			n := strings.Index(rest[from:], m.sign)
			if n < 0 {
				break
			}
			n += from
			after := rest[n+len(m.sign):]
			if n > 0 && rest[n-1] != ' ' && rest[n-1] != '\\' && (after == "" || !isWord(rune(after[0]))) {
				return rest[:n], m, 2*len(m.sign) + n
			}
			from = n + len(m.sign)
		}
	}
	return "", mark{}, 0
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r >= 0x80 }
