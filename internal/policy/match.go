package policy

import (
	"slices"
	"strings"

	"cmkguard/internal/azureid"
)

// matches reports whether every non-empty field matches. Parse refuses a match
// without any field, which would match everything.
func (m Match) matches(t Target) bool {
	anyOf := func(patterns []string, match func(string) bool) bool {
		return len(patterns) == 0 || slices.ContainsFunc(patterns, match)
	}
	return anyOf(m.Subscriptions, func(s string) bool { return strings.EqualFold(s, t.Subscription) }) &&
		anyOf(m.ResourceGroups, func(s string) bool { return glob(s, t.ResourceGroup) }) &&
		anyOf(m.Clusters, func(s string) bool { return matchCluster(s, t) }) &&
		anyOf(m.Keys, func(s string) bool { return matchKey(s, t.Key) }) &&
		m.matchesTags(t.Tags)
}

func (m Match) matchesTags(tags map[string]string) bool {
	for name, pattern := range m.Tags {
		found := false
		for n, v := range tags { // Azure compares tag names without regard to case
			found = found || strings.EqualFold(n, name) && glob(pattern, v)
		}
		if !found {
			return false
		}
	}
	return true
}

// matchCluster compares a pattern with a slash to the ARM id and one without to
// the name.
func matchCluster(pattern string, t Target) bool {
	if strings.Contains(pattern, "/") {
		return glob(pattern, t.Cluster)
	}
	return glob(pattern, t.ClusterName)
}

// matchKey compares VAULT/NAME, or VAULT alone for all of its keys.
func matchKey(pattern string, k azureid.Key) bool {
	if k.IsZero() {
		return false
	}
	vault, name, both := strings.Cut(pattern, "/")
	return glob(vault, k.VaultName()) && (!both || glob(name, k.Name))
}

// glob matches without regard to case; * stands for any text, also none. No
// pattern matches an empty text, which stands for "not known". Time is bounded
// by the product of the lengths: on a mismatch only the last * is widened.
func glob(pattern, text string) bool {
	if text == "" {
		return false
	}
	p, s := strings.ToLower(pattern), strings.ToLower(text)
	i, j, star, mark := 0, 0, -1, 0
	for j < len(s) {
		switch {
		case i < len(p) && p[i] == '*':
			star, mark = i, j
			i++
		case i < len(p) && p[i] == s[j]:
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(p[i:], "*") == ""
}
