package alert

import (
	"fmt"
	"strings"
	"time"
)

const (
	shownImpact = 20
	maxField    = 2000
	timeLayout  = "2006-01-02 15:04 UTC"
)

// Field is one labelled line of an alert.
type Field struct {
	Label string
	Text  string
	Line  string // of a command: what is pasted; Text says what it does
	URL   string // of a link: where it leads; Text is its name
	rank  rank
}

// rank is the order in which lines are left out where a channel has no room for
// all: the last go first.
type rank int

const (
	vital   rank = iota // what, what breaks, until when
	command             // what to paste
	told                // what was done, and the words to ask about it by
	hit                 // whom it hits, who did it, what to do in words
	more                // links, dates, the rest of whom it hits
	dust                // ids and controls
)

// String is the line without its label.
func (f Field) String() string {
	switch {
	case f.Line != "":
		return f.Line + "   # " + f.Text
	case f.URL != "":
		return f.Text + " " + f.URL
	}
	return f.Text
}

// lines collects fields: every text is one line and holds no control character.
type lines struct{ out []Field }

func (l *lines) add(r rank, label string, texts ...string) {
	for _, t := range texts {
		if t = strings.TrimSpace(Clean(t, maxField)); t != "" {
			l.out = append(l.out, Field{Label: label, Text: t, rank: r})
		}
	}
}

// Fields returns the alert's lines in the order in which somebody woken at night
// needs them: what, what breaks and until when (counted from now), whom it hits,
// what was done, what to do, and the ids last. Names come from events: every text
// is one line and holds no control character (Clean); channels escape their markup.
func Fields(a Alert, now time.Time) []Field {
	var l lines
	l.add(vital, "note", notes(a)...)
	l.add(told, "note", a.Notes...)
	l.add(vital, "what", a.What)
	l.add(hit, "alert", memberLines(a)...)
	l.add(vital, "breaks", a.Breaks)
	if a.By != nil {
		l.add(vital, "until", until(a, now))
	}
	for n, text := range impact(a) {
		l.add(hit+rank(min(n/5, 1)), "hits", text)
	}
	l.add(told, "done", a.Done...)
	for _, c := range a.Commands {
		l.out = append(l.out, Field{Label: "run", Text: Clean(c.Does, maxName), Line: c.Line, rank: command})
	}
	l.add(hit, "next", a.Next...)
	l.add(hit, "who", a.Actor)
	if !a.Since.IsZero() {
		l.add(more, "since", since(a.Since, now))
	}
	for _, k := range pages(a.Links) {
		l.out = append(l.out, Field{Label: "page", Text: k.Label, URL: k.URL, rank: more})
	}
	l.add(more, "runbook", a.Runbook)
	l.add(told, "check", a.Check)
	l.add(dust, "controls", strings.Join(a.Controls, "; "))
	l.add(dust, "subject", a.Subject)
	l.add(told, "ref", a.Ref)
	if a.Check != "" {
		l.add(told, "incident", strings.TrimPrefix(a.DedupKey, KeyPrefix))
	}
	l.add(dust, "id", a.ID)
	return l.out
}

// notes say what a banner means.
func notes(a Alert) []string {
	var out []string
	for _, x := range []struct {
		on   bool
		text string
	}{
		{a.Test, "a test of this channel: nothing happened, and there is nothing to do"},
		{a.Drill, "an exercise: its last step is simulated"},
		{a.DryRun, "a dry run: the problem is real, and what would be done about it is only shown"},
		{a.Unrecorded, "this could not be recorded, so nothing is changed; the record follows when the storage is back"},
	} {
		if x.on {
			out = append(out, x.text)
		}
	}
	return out
}

func until(a Alert, now time.Time) string {
	s := a.By.UTC().Format(timeLayout) + " (" + left(a.By.Sub(now)) + ")"
	if a.ByMeans != "" {
		s += ": " + a.ByMeans
	}
	return s
}

func since(at, now time.Time) string {
	s := at.UTC().Format(timeLayout)
	if d := now.Sub(at); d >= time.Minute {
		s += " (for " + count(d) + ")"
	}
	return s
}

// Render returns the alert as plain text: Head and Fields.
func Render(a Alert, now time.Time) string { return Plain(Head(a), Fields(a, now)) }

// Plain returns a head and lines as plain text.
func Plain(head string, fields []Field) string {
	var b strings.Builder
	b.WriteString(head + "\n")
	for _, f := range fields {
		fmt.Fprintf(&b, "  %-9s %s\n", f.Label+":", f)
	}
	return b.String()
}

// Fixed begins the title of a problem that was read back as mended.
const Fixed = "Fixed: "

// Head is the banners, the severity in words and the title. What is over says so
// in place of its severity.
func Head(a Alert) string {
	var parts []string
	for _, x := range []struct {
		on   bool
		text string
	}{{a.Test, "[TEST]"}, {a.Drill, "[DRILL]"}, {a.DryRun, "[DRY RUN]"}, {a.Unrecorded, "[UNRECORDED]"}} {
		if x.on {
			parts = append(parts, x.text)
		}
	}
	title, severity := Clean(a.Title, maxTitle), SeverityWord(a)
	if a.Lifecycle == Resolve {
		title, severity = strings.TrimPrefix(title, Fixed), "RESOLVED (was "+severity+")"
	}
	return strings.Join(append(parts, severity, title), " ")
}

// SeverityWord is the severity in capitals; UNRATED if it has none.
func SeverityWord(a Alert) string {
	if s := strings.ToUpper(strings.TrimSpace(Clean(string(a.Severity), 20))); s != "" {
		return s
	}
	return "UNRATED"
}
