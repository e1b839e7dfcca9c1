package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/risk"
)

// AlertMatch selects alerts; every field that is set must match. Patterns are
// case-insensitive with * as the only wildcard. Routes, mute windows and silences
// use it.
type AlertMatch struct {
	MinSeverity   risk.Severity     `json:"minSeverity,omitempty"`
	Severities    []risk.Severity   `json:"severities,omitempty"`
	Families      []string          `json:"families,omitempty"`      // of the check; "self" and "work" for what no check asks
	Checks        []string          `json:"checks,omitempty"`        // patterns of ids
	Subscriptions []string          `json:"subscriptions,omitempty"` // ids, of the subject or of a cluster that is hit
	Tags          map[string]string `json:"tags,omitempty"`          // of a cluster that is hit; value patterns
	Vaults        []string          `json:"vaults,omitempty"`        // patterns of names
	Subjects      []string          `json:"subjects,omitempty"`      // patterns of "kind:id", of the id, or of the last name in it
	Lifecycle     []string          `json:"lifecycle,omitempty"`     // trigger, update, acknowledge, resolve, notice
	Hours         *Freeze           `json:"-"`                       // times of the week; silences have none
}

// AlertFacts is what an alert is matched by.
type AlertFacts struct {
	Severity      risk.Severity
	Family, Check string
	Lifecycle     string
	Subject       string              // "kind:id"
	Vault         string              // name; "" for none
	Subscriptions []string            // ids, of the subject and of every cluster that is hit
	Tags          []map[string]string // of every cluster that is hit
}

// Miss says why the alert is not matched, or "". A severity that is none is
// matched by every severity: an alert is never lost to a typing error.
func (m AlertMatch) Miss(f AlertFacts, now time.Time) string {
	if why := m.missSeverity(f.Severity); why != "" {
		return why
	}
	for _, x := range [...]struct {
		name     string
		patterns []string
		text     []string
	}{
		{"family", m.Families, []string{f.Family}},
		{"check", m.Checks, []string{f.Check}},
		{"lifecycle", m.Lifecycle, []string{f.Lifecycle}},
		{"subscription", m.Subscriptions, f.Subscriptions},
		{"vault", m.Vaults, []string{f.Vault}},
		{"subject", m.Subjects, names(f.Subject)},
	} {
		if !anyMatches(x.patterns, x.text) {
			return fmt.Sprintf("%s %s is not %s", x.name, oneOf(x.text, "none"), oneOf(x.patterns, ""))
		}
	}
	if why := m.missTags(f.Tags); why != "" {
		return why
	}
	if m.Hours != nil && !m.Hours.covers(now) {
		return fmt.Sprintf("%s is outside of its hours", now.In(m.Hours.Zone).Format("Mon 15:04 MST"))
	}
	return ""
}

func (m AlertMatch) missSeverity(sev risk.Severity) string {
	switch {
	case sev.Rank() == 0:
	case sev.Rank() < m.MinSeverity.Rank():
		return fmt.Sprintf("severity %s is below %s", sev, m.MinSeverity)
	case len(m.Severities) > 0 && !slices.Contains(m.Severities, sev):
		return fmt.Sprintf("severity %s is not listed", sev)
	}
	return ""
}

// missTags wants one cluster with all of the tags.
func (m AlertMatch) missTags(clusters []map[string]string) string {
	if len(m.Tags) == 0 || slices.ContainsFunc(clusters, Match{Tags: m.Tags}.matchesTags) {
		return ""
	}
	wanted := make([]string, 0, len(m.Tags))
	for _, name := range sortedKeys(m.Tags) {
		wanted = append(wanted, name+"="+m.Tags[name])
	}
	return "no cluster that is hit has the tags " + strings.Join(wanted, ", ")
}

// Names reports whether the alert is matched by a subject or a vault that is
// named whole, without a wildcard.
func (m AlertMatch) Names(f AlertFacts) bool {
	whole := func(s string) bool { return strings.Contains(s, "*") }
	vaults, subjects := slices.DeleteFunc(slices.Clone(m.Vaults), whole), slices.DeleteFunc(slices.Clone(m.Subjects), whole)
	return len(vaults) > 0 && anyMatches(vaults, []string{f.Vault}) || len(subjects) > 0 && anyMatches(subjects, names(f.Subject))
}

// IsZero reports whether everything matches.
func (m AlertMatch) IsZero() bool {
	return m.MinSeverity == "" && m.Hours == nil && len(m.Tags) == 0 &&
		len(m.Severities)+len(m.Families)+len(m.Checks)+len(m.Subscriptions)+len(m.Vaults)+len(m.Subjects)+len(m.Lifecycle) == 0
}

// names are what a subject is called: whole, by its id, by the last name in it.
func names(subject string) []string {
	_, id, ok := strings.Cut(subject, ":")
	if !ok {
		return []string{subject}
	}
	return []string{subject, id, id[strings.LastIndex(id, "/")+1:]}
}

func anyMatches(patterns, texts []string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool {
		return slices.ContainsFunc(texts, func(t string) bool { return glob(p, t) })
	})
}

func oneOf(texts []string, none string) string {
	texts = slices.DeleteFunc(slices.Clone(texts), func(s string) bool { return s == "" })
	switch len(texts) {
	case 0:
		return none
	case 1:
		return texts[0]
	}
	return "one of " + strings.Join(texts[:min(len(texts), 5)], ", ")
}

// Check says what is wrong with a match that did not come from a policy file.
func (m AlertMatch) Check() error {
	for _, s := range append(slices.Clone(m.Severities), m.MinSeverity) {
		if s != "" && s.Rank() == 0 {
			return fmt.Errorf("%q is no severity: want critical, high, medium, low or info", clip(string(s)))
		}
	}
	for _, x := range [...]struct {
		texts []string
		check func(string) error
	}{{m.Families, checkFamily}, {m.Checks, checkCheck}, {m.Subscriptions, checkSubscription}, {m.Vaults, checkNames}, {m.Subjects, checkNames}, {m.Lifecycle, checkLifecycle}} {
		for _, s := range x.texts {
			if err := x.check(s); err != nil {
				return err
			}
		}
	}
	return nil
}
