package risk

import (
	"fmt"
	"slices"
	"strings"
)

// Explain returns a check's whole text for people: what is asked, by which reads,
// how bad it is, what breaks, what to do, which controls it supports. False
// where the catalogue has no such check.
func Explain(id string) (string, bool) {
	all := Catalogue()
	at := slices.IndexFunc(all, func(c Check) bool { return strings.EqualFold(c.ID, strings.TrimSpace(id)) })
	if at < 0 {
		return "", false
	}
	c := all[at]
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s\n\n", c.ID, c.Title)
	fmt.Fprintf(&b, "severity   %s; one step more, but never critical, for a sensitive, production, geo-replicated or many-consumer cluster\n", c.Severity)
	fmt.Fprintf(&b, "about      the %s (family %s)\n", c.SubjectKind, c.Family)
	fmt.Fprintf(&b, "asked      %s\n", c.Cadence.text())
	fmt.Fprintf(&b, "reads      %s\n", strings.Join(callsOf(c), "\n           "))
	fmt.Fprintf(&b, "breaks     %s\n", c.Breaks)
	fmt.Fprintf(&b, "remedy     %s\n", c.remedyText())
	fmt.Fprintf(&b, "\nWhat to do: %s\n", c.Guidance)
	b.WriteString("\nUnknown, never ok: when a read was refused, failed, is too old, or was not made in this run.\n")
	b.WriteString("\nControls (vendors' mappings; have an assessor confirm):\n")
	for _, n := range c.Controls {
		fmt.Fprintf(&b, "  %-20s %s\n", n.Framework, n.Numbers)
	}
	return b.String(), true
}

func (c Check) remedyText() string {
	if c.Remedy == remedyNone {
		return "none: a person, by the guidance"
	}
	return c.Remedy + " (the policy decides whether it runs; some findings need a person)"
}

func (c Cadence) text() string {
	switch c {
	case CadenceSweep:
		return "in every sweep"
	case CadenceDaily:
		return "once a day"
	case CadenceEvent:
		return "when events and logs say something"
	case CadenceSignal:
	}
	return "at every signal and in every sweep"
}

// callsOf returns the calls behind a check's facts.
func callsOf(c Check) []string {
	var out []string
	for _, s := range Sources() {
		if slices.Contains(c.Facts, s.Fact) {
			out = append(out, s.Call)
		}
	}
	return slices.Compact(out)
}

// Markdown returns the catalogue as the page docs/checks.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString("# The checks\n\nGenerated from the catalogue in `internal/risk`: `go test ./internal/risk -run Catalogue -update` writes this page, and the same\n" +
		"test without `-update` fails when it is out of date.\n\n" +
		"Each check answers `ok`, `broken` or `unknown` about one cluster. `unknown` carries why and is never counted as `ok`: a read that\n" +
		"was refused, failed, is too old or was not made. Severities rise by one step, never to critical, for a cluster that is tagged as\n" +
		"sensitive or production, is geo-replicated, or shares its key with many. Control numbers are vendors' mappings, not the\n" +
		"standards' text.\n\n| check | asks | severity | asked | remedy |\n|---|---|---|---|---|\n")
	all := Catalogue()
	for _, c := range all {
		remedy := c.Remedy
		if remedy == "" {
			remedy = "guidance"
		}
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s | %s | %s |\n", c.ID, strings.ToLower(c.ID), c.Title, c.Severity, c.Cadence, remedy)
	}
	b.WriteString("\n## Which call feeds which check\n\n`signal`: at every signal and in every sweep. `sweep`: every sweep. `daily`: once a day. `event`: from events and logs.\n" +
		"A GET per cluster is made wherever a write follows.\n\n| fact | call | one call covers | cadence | checks |\n|---|---|---|---|---|\n")
	for _, s := range Sources() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", s.Fact, s.Call, s.Per, s.Cadence, strings.Join(checksBy(all, s.Fact), " "))
	}
	for _, c := range all {
		writeSection(&b, c)
	}
	return b.String()
}

func checksBy(all []Check, fact string) []string {
	var out []string
	for _, c := range all {
		if slices.Contains(c.Facts, fact) {
			out = append(out, strings.TrimPrefix(c.ID, "CMK-"))
		}
	}
	return out
}

func writeSection(b *strings.Builder, c Check) {
	fmt.Fprintf(b, "\n## %s\n\n**%s.** %s, about the %s; asked %s.\n\n", c.ID, c.Title, strings.ToUpper(string(c.Severity[:1]))+string(c.Severity[1:]), c.SubjectKind, c.Cadence.text())
	fmt.Fprintf(b, "- What breaks: %s.\n- Facts: %s.\n- Remedy: %s.\n- What to do: %s\n", c.Breaks, strings.Join(c.Facts, ", "), c.remedyText(), c.Guidance)
	var numbers []string
	for _, n := range c.Controls {
		numbers = append(numbers, n.Framework+" "+n.Numbers)
	}
	fmt.Fprintf(b, "- Controls (vendors' mappings): %s.\n", strings.Join(numbers, "; "))
}
