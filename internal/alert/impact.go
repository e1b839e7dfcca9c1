package alert

import (
	"fmt"
	"strings"
	"time"
)

// memberLines are one line for each alert of a message about several.
func memberLines(a Alert) []string {
	out := make([]string, 0, len(a.Members)+1)
	for _, m := range a.Members {
		out = append(out, Head(Alert{Severity: m.Severity, Title: m.Title, Lifecycle: m.Lifecycle}))
	}
	if a.MoreMembers > 0 {
		out = append(out, fmt.Sprintf("and %d more", a.MoreMembers))
	}
	return out
}

// impact names the clusters that are hit, whose they are and where.
func impact(a Alert) []string {
	var out []string
	for _, i := range a.Impact[:min(len(a.Impact), shownImpact)] {
		line := i.Name
		switch {
		case i.Owner != "":
			line += ", owner " + i.Owner
		case a.Check != "": // of a plan the tags were not asked for
			line += ", owner unknown (no owner tag)"
		}
		if place := place(i.Cluster); place != "" {
			line += ", in " + place
		}
		for _, tag := range [...]string{"environment", "service", "costCentre"} {
			if v := i.tag(tag); v != "" {
				line += ", " + tag + " " + v
			}
		}
		out = append(out, line)
	}
	if left := len(a.Impact) - len(out) + a.MoreImpact; left > 0 {
		out = append(out, fmt.Sprintf("and %d more", left))
	}
	return out
}

// tag returns a tag's value; names are the same in any case, as they are to Azure.
func (i Impact) tag(name string) string {
	for n, v := range i.Tags {
		if strings.EqualFold(n, name) {
			return v
		}
	}
	return ""
}

// place is the subscription and resource group of an ARM id, "" for anything else.
func place(id string) string {
	parts := strings.Split(strings.Trim(id, "/"), "/")
	if len(parts) < 4 || !strings.EqualFold(parts[0], "subscriptions") || !strings.EqualFold(parts[2], "resourceGroups") {
		return ""
	}
	return parts[1] + "/" + parts[3]
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
