package risk

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// heavier raises a severity by one step for a cluster that weighs more, and
// says why; otherwise it returns it unchanged and "". However many marks a
// cluster has, it is one step. It never makes a Critical: that word is kept for
// what cuts a cluster off its key by itself, so that a tag cannot page somebody
// at night.
func (s *scene) heavier(sev Severity) (Severity, string) {
	marks := s.marks()
	if len(marks) == 0 {
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
	return up, fmt.Sprintf("raised from %s to %s: the cluster %s", sev, up, strings.Join(marks, " and "))
}

// marks are what makes the cluster weigh more. Stale reads count too: they can
// only make a verdict heavier.
func (s *scene) marks() []string {
	var out []string
	if tag := s.tagged(func(n, v string) bool { return isSensitive(s.lim.SensitiveTags, n, v) || isProduction(n, v) }); tag != "" {
		out = append(out, "is tagged "+tag)
	}
	for _, d := range s.w.Posture.Databases.Value {
		if d.GeoGroup != "" {
			out = append(out, "is geo-replicated in group "+d.GeoGroup)
		}
	}
	if n := s.w.Posture.Sharers.Value; n >= s.lim.ManyConsumers {
		out = append(out, fmt.Sprintf("shares its key with %d others", n-1))
	}
	return out
}

// sensitive returns the tag that marks the cluster's data as sensitive, or "".
func (s *scene) sensitive() string {
	return s.tagged(func(n, v string) bool { return isSensitive(s.lim.SensitiveTags, n, v) })
}

// tagged returns the first of the cluster's tags that is wanted, "" if none is.
func (s *scene) tagged(want func(name, value string) bool) string {
	tags := s.w.Cluster.Value.Tags
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		if want(name, tags[name]) {
			return name + "=" + tags[name]
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
