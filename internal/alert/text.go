package alert

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of an alert's parts, in bytes and entries. With all of them reached a
// row is about 180 KiB, and twice that if JSON must escape every character:
// below the 512 KiB of a value, and 7 channels at their worst fit into one batch of 2.5 MiB.
const (
	maxTitle  = 300
	maxName   = 100
	maxKey    = 255 // PagerDuty's, the shortest of all
	maxText   = 4000
	maxLine   = 600
	maxLines  = 20
	maxImpact = 50
	maxLinks  = 6
	maxTags   = 8
	maxTag    = 40

	maxCommands = 8
	maxCommand  = 1000 // a longer one is left out: a part of a command is a trap
)

// Fit cleans and bounds every part that grows with what is out there: names,
// reasons, clusters. What was cut ends in "...", what was left out is counted.
func Fit(a Alert) Alert {
	a.Title, a.Subject, a.Ref = Clean(a.Title, maxTitle), Clean(a.Subject, maxLine), Clean(a.Ref, maxLine)
	a.DedupKey, a.GroupKey, a.Check = Clean(a.DedupKey, maxKey), Clean(a.GroupKey, maxKey), Clean(a.Check, maxName)
	a.What, a.Breaks = Clean(a.What, maxText), Clean(a.Breaks, maxText)
	a.Vault, a.Actor, a.Runbook = Clean(a.Vault, maxName), Clean(a.Actor, maxLine), Clean(a.Runbook, maxLine)
	a.Done, a.Next, a.Evidence = fitLines(a.Done), fitLines(a.Next), fitLines(a.Evidence)
	a.Controls, a.Links, a.Notes = fitLines(a.Controls), fitLinks(a.Links), fitLines(a.Notes)
	a.ByMeans, a.Commands = Clean(a.ByMeans, maxName), fitCommands(a.Commands)
	a = fitMembers(a)
	if over := len(a.Impact) - maxImpact; over > 0 {
		a.Impact, a.MoreImpact = a.Impact[:maxImpact], a.MoreImpact+over
	}
	a.Impact = slices.Clone(a.Impact)
	for i, x := range a.Impact {
		a.Impact[i] = Impact{Cluster: Clean(x.Cluster, maxLine), Name: Clean(x.Name, maxName), Owner: Clean(x.Owner, maxName), Tags: fitTags(x.Tags)}
	}
	return a
}

// MaxMembers is how many alerts a message about several names.
const MaxMembers = 20

func fitMembers(a Alert) Alert {
	if over := len(a.Members) - MaxMembers; over > 0 {
		a.Members, a.MoreMembers = a.Members[:MaxMembers], a.MoreMembers+over
	}
	a.Members = slices.Clone(a.Members)
	for i, m := range a.Members {
		a.Members[i].Title, a.Members[i].Subject = Clean(m.Title, maxTitle), Clean(m.Subject, maxLine)
	}
	return a
}

// fitCommands leaves out what could not be pasted as it stands.
func fitCommands(in []Command) []Command {
	var out []Command
	for _, c := range in {
		if c.Line != "" && len(out) < maxCommands && Clean(c.Line, maxCommand) == c.Line {
			out = append(out, Command{Does: Clean(c.Does, maxName), Line: c.Line})
		}
	}
	return out
}

func fitLinks(in []Link) []Link {
	out := pages(in)
	return out[:min(len(out), maxLinks)]
}

// fitTags keeps the first tags by name: Azure allows 50 of up to 768 characters.
func fitTags(in map[string]string) map[string]string {
	if len(in) == 0 {
		return nil
	}
	out := make(map[string]string, min(len(in), maxTags))
	for _, name := range slices.Sorted(maps.Keys(in)) {
		if len(out) == maxTags {
			break
		}
		out[Clean(name, maxTag)] = Clean(in[name], maxTag)
	}
	return out
}

func fitLines(lines []string) []string {
	out := slices.Clone(lines[:min(len(lines), maxLines)])
	for i, s := range out {
		out[i] = Clean(s, maxLine)
	}
	if len(lines) > maxLines {
		out[maxLines-1] = fmt.Sprintf("... and %d more", len(lines)-maxLines+1)
	}
	return out
}

// Clean makes text from outside safe to show on one line: control characters
// (of which terminal escapes are made), invisible format characters (which
// reorder text) and bytes that are no UTF-8 become spaces, and the result has
// at most limit bytes, cut between characters.
func Clean(s string, limit int) string {
	return Cut(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s), limit)
}

// CutRunes returns s, or as much of it as fits into limit characters with "..."
// behind.
func CutRunes(s string, limit int) string {
	r := []rune(s)
	if len(r) <= limit {
		return s
	}
	return string(r[:max(0, limit-3)]) + "..."
}

// Cut returns s, or as much of it as fits into limit bytes with "..." behind.
func Cut(s string, limit int) string {
	const mark = "..."
	if len(s) <= limit {
		return s
	}
	end := max(0, limit-len(mark))
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}
