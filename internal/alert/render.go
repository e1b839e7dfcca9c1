package alert

import (
	"fmt"
	"strings"
	"time"
)

const (
	shownImpact = 20
	timeLayout  = "2006-01-02 15:04 UTC"
)

// Field is one labelled line of an alert.
type Field struct{ Label, Text string }

// Fields returns the alert's lines in the order in which somebody woken at night
// needs them: what, what breaks and until when (counted from now), whom it hits,
// what was done, what to do, and the ids last. Names come from events: every text
// is one line and holds no control character (Clean); channels escape their markup.
func Fields(a Alert, now time.Time) []Field {
	var out []Field
	add := func(label string, texts ...string) {
		for _, t := range texts {
			if t = strings.TrimSpace(Clean(t, 2000)); t != "" {
				out = append(out, Field{label, t})
			}
		}
	}
	add("note", a.Notes...)
	add("what", a.What)
	add("alert", memberLines(a)...)
	add("breaks", a.Breaks)
	if a.By != nil {
		add("by", a.By.UTC().Format(timeLayout)+" ("+left(a.By.Sub(now))+")")
	}
	add("hits", impact(a)...)
	add("we", a.Done...)
	add("you", a.Next...)
	if !a.Since.IsZero() {
		add("since", a.Since.UTC().Format(timeLayout))
	}
	add("subject", a.Subject)
	add("check", a.Check)
	add("ref", a.Ref)
	if a.Check != "" {
		add("incident", strings.TrimPrefix(a.DedupKey, KeyPrefix))
	}
	add("id", a.ID)
	return out
}

// Render returns the alert as plain text: Head and Fields.
func Render(a Alert, now time.Time) string {
	var b strings.Builder
	b.WriteString(Head(a) + "\n")
	for _, f := range Fields(a, now) {
		fmt.Fprintf(&b, "  %-9s %s\n", f.Label+":", f.Text)
	}
	return b.String()
}

// Head is the banners, the severity in words and the title.
func Head(a Alert) string {
	var parts []string
	for _, x := range []struct {
		on   bool
		text string
	}{{a.Drill, "[DRILL]"}, {a.DryRun, "[DRY RUN]"}, {a.Unrecorded, "[UNRECORDED]"}} {
		if x.on {
			parts = append(parts, x.text)
		}
	}
	severity := strings.ToUpper(Clean(string(a.Severity), 20))
	if severity == "" {
		severity = "UNRATED"
	}
	return strings.Join(append(parts, severity, Clean(a.Title, 300)), " ")
}

// memberLines are one line for each alert of a message about several.
func memberLines(a Alert) []string {
	out := make([]string, 0, len(a.Members)+1)
	for _, m := range a.Members {
		out = append(out, strings.ToUpper(string(m.Severity))+" "+m.Title)
	}
	if a.MoreMembers > 0 {
		out = append(out, fmt.Sprintf("and %d more", a.MoreMembers))
	}
	return out
}

func impact(a Alert) []string {
	var out []string
	for _, i := range a.Impact[:min(len(a.Impact), shownImpact)] {
		owner := i.Owner
		if owner == "" {
			owner = "unknown (no owner tag)"
		}
		out = append(out, i.Name+", owner "+owner)
	}
	if more := len(a.Impact) - len(out) + a.MoreImpact; more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return out
}

// left rounds down: nobody is to count on a minute that is not there.
func left(d time.Duration) string {
	switch {
	case d <= -time.Minute:
		return "passed " + count(-d) + " ago"
	case d <= 0:
		return "passed"
	case d < time.Minute:
		return "less than a minute left"
	}
	return count(d) + " left"
}

func count(d time.Duration) string {
	n, unit := int(d/time.Minute), "minute"
	switch {
	case d >= 48*time.Hour:
		n, unit = int(d/(24*time.Hour)), "day"
	case d >= time.Hour:
		n, unit = int(d/time.Hour), "hour"
	}
	if n != 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", n, unit)
}
