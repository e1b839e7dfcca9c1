package hold

import (
	"fmt"
	"slices"
	"strings"

	"cmkguard/internal/policy"
)

// Words says what a silence of the match keeps back, as people read it before they
// ask for one: "every alert of CMK-010 about key:kv-a.vault.azure.net/kek".
func Words(m policy.AlertMatch) string {
	var b strings.Builder
	b.WriteString("every alert")
	add := func(before string, texts []string) {
		if len(texts) > 0 {
			b.WriteString(before + strings.Join(texts, " or "))
		}
	}
	if m.MinSeverity != "" {
		b.WriteString(" of at least " + string(m.MinSeverity))
	}
	add(" of severity ", severities(m))
	add(" of ", m.Checks)
	add(" of the family ", m.Families)
	add(" in the state ", m.Lifecycle)
	add(" about ", m.Subjects)
	add(" about the vault ", m.Vaults)
	if len(m.Vaults) > 0 {
		b.WriteString(" and what hangs on it: its keys, and clusters whose key lies there")
	}
	add(" that hits the subscription ", m.Subscriptions)
	add(" that hits a cluster with ", tags(m))
	if !whole(m) {
		b.WriteString("; critical ones are told all the same")
	}
	return b.String()
}

// whole reports whether a subject or a vault is named without a wildcard.
func whole(m policy.AlertMatch) bool {
	return slices.ContainsFunc(slices.Concat(m.Vaults, m.Subjects), func(p string) bool { return !strings.Contains(p, "*") })
}

func severities(m policy.AlertMatch) []string {
	var out []string
	for _, s := range m.Severities {
		out = append(out, string(s))
	}
	return out
}

// tags are all wanted of one cluster.
func tags(m policy.AlertMatch) []string {
	var out []string
	for name, pattern := range m.Tags {
		out = append(out, fmt.Sprintf("%s=%s", name, pattern))
	}
	slices.Sort(out)
	if len(out) == 0 {
		return nil
	}
	return []string{strings.Join(out, " and ")}
}
