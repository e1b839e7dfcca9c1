package risk

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// heavier raises a severity by one step for a cluster whose tags mark sensitive
// data or production, and says why; otherwise it returns it unchanged and "".
// It never makes a Critical: that word is kept for what cuts a cluster off its
// key by itself, so that a tag cannot page somebody at night.
func (s *scene) heavier(sev Severity) (Severity, string) {
	mark := s.mark()
	if mark == "" {
		return sev, ""
	}
	up := sev
	switch sev {
	case Medium:
		up = High
	case Low:
		up = Medium
	case Info:
		up = Low
	case Critical, High:
		return sev, ""
	}
	return up, fmt.Sprintf("raised from %s to %s: the cluster is tagged %s", sev, up, mark)
}

// mark returns the tag that makes the cluster weigh more, "" if none does. Tags
// are taken from a stale read too: they can only make a verdict heavier.
func (s *scene) mark() string {
	tags := s.w.Cluster.Value.Tags
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		value := tags[name]
		switch {
		case isSensitive(s.lim.SensitiveTags, name, value), isProduction(name, value):
			return name + "=" + value
		}
	}
	return ""
}

func isSensitive(marks map[string][]string, name, value string) bool {
	for n, values := range marks {
		if strings.EqualFold(n, name) &&
			slices.ContainsFunc(values, func(v string) bool { return strings.EqualFold(v, value) }) {
			return true
		}
	}
	return false
}

func isProduction(name, value string) bool {
	switch strings.ToLower(name) {
	case "env", "environment", "stage":
	default:
		return false
	}
	switch strings.ToLower(value) {
	case "prod", "production", "prd", "live":
		return true
	}
	return false
}
