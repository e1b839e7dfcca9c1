package alert

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Render returns the alert as plain text in the order in which somebody woken
// at night needs it: what, what breaks and until when, whom it hits, what was
// done, what to do, and the ids last. Names come from events, so control
// characters are shown as spaces and lines cannot be forged.
func Render(a Alert, now time.Time) string {
	var b strings.Builder
	line := func(label, text string) {
		if text != "" {
			fmt.Fprintf(&b, "  %-9s %s\n", label, Clean(text, 2000))
		}
	}
	fmt.Fprintf(&b, "%s%s %s\n", banners(a), strings.ToUpper(string(a.Severity)), Clean(a.Title, 300))
	line("what:", a.What)
	line("breaks:", a.Breaks)
	if a.By != nil {
		line("by:", a.By.UTC().Format("2006-01-02 15:04 UTC")+" ("+left(a.By.Sub(now))+")")
	}
	for _, i := range a.Impact {
		text := i.Name
		if i.Owner != "" {
			text += ", owner " + i.Owner
		}
		line("hits:", text)
	}
	for _, d := range a.Done {
		line("we:", d)
	}
	for _, n := range a.Next {
		line("you:", n)
	}
	line("since:", a.Since.UTC().Format("2006-01-02 15:04 UTC"))
	line("subject:", a.Subject)
	line("ref:", a.Ref)
	return b.String()
}

func banners(a Alert) string {
	out := ""
	for _, x := range []struct {
		on   bool
		text string
	}{{a.Drill, "[DRILL] "}, {a.DryRun, "[DRY RUN] "}, {a.Unrecorded, "[UNRECORDED] "}} {
		if x.on {
			out += x.text
		}
	}
	return out
}

func left(d time.Duration) string {
	switch {
	case d <= 0:
		return "passed"
	case d < time.Hour:
		return fmt.Sprintf("%d minutes left", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours left", int(d.Hours()))
	}
	return fmt.Sprintf("%d days left", int(d.Hours()/24))
}

// Clean makes text from outside safe to show: control and invisible format
// characters become spaces, and what is longer than limit bytes is cut between
// characters.
func Clean(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
	if len(s) <= limit {
		return s
	}
	cut := limit
	for cut > 0 && s[cut]&0xC0 == 0x80 {
		cut--
	}
	return s[:cut] + "..."
}
