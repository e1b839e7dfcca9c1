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

// Render returns the alert as plain text in the order in which somebody woken
// at night needs it: what, what breaks and until when (counted from now), whom
// it hits, what was done, what to do, and the ids last. Names come from events:
// every value is one line and holds no control character (Clean).
func Render(a Alert, now time.Time) string {
	var b strings.Builder
	line := func(label, text string) {
		if text = strings.TrimSpace(Clean(text, 2000)); text != "" {
			fmt.Fprintf(&b, "  %-9s %s\n", label, text)
		}
	}
	lines := func(label string, texts []string) {
		for _, t := range texts {
			line(label, t)
		}
	}
	b.WriteString(head(a) + "\n")
	line("what:", a.What)
	line("breaks:", a.Breaks)
	if a.By != nil {
		line("by:", a.By.UTC().Format(timeLayout)+" ("+left(a.By.Sub(now))+")")
	}
	lines("hits:", impact(a))
	lines("we:", a.Done)
	lines("you:", a.Next)
	if !a.Since.IsZero() {
		line("since:", a.Since.UTC().Format(timeLayout))
	}
	line("subject:", a.Subject)
	line("check:", a.Check)
	line("ref:", a.Ref)
	line("id:", a.ID)
	return b.String()
}

// head is the banners, the severity in words and the title.
func head(a Alert) string {
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
