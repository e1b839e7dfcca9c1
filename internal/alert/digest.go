package alert

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/risk"
	"cmkguard/internal/store"
)

const (
	shownVaults   = 5
	shownClusters = 10
)

// digest is the message about the lot's members, made at the time.
func (l lot) digest(at time.Time) Alert {
	a := Alert{
		DedupKey: KeyPrefix + l.stream.id(), GroupKey: "digest", Lifecycle: l.life, At: at.UTC(), Severity: l.severity(),
		Subject: "scope:alerts", Ref: l.stream.id(),
	}
	seed := l.stream.Key + "|" + at.UTC().Format(time.RFC3339Nano)
	vaults := map[string]int{}
	for _, m := range l.members {
		seed += "|" + m.Delivery
		a.Members = append(a.Members, m.Brief.Member)
		vaults[m.Brief.Vault]++
		if a.Since.IsZero() || m.At.Before(a.Since) {
			a.Since = m.At
		}
		a.hit(m.Brief.Impact)
		a.MoreImpact = max(a.MoreImpact, m.Brief.MoreImpact) // which may be the same clusters
	}
	a.ID = store.Name("a", seed)
	if len(vaults) == 1 {
		a.Vault = slices.Collect(maps.Keys(vaults))[0]
	}
	if l.stream.Storm != nil {
		a.Since = l.stream.Storm.Since
	}
	a.Title, a.What = l.words(vaults)
	l.worst(&a)
	a.Commands = looks(a.Impact)
	return a
}

// severity is that of the worst problem; of what is over alone, of the worst that was.
func (l lot) severity() risk.Severity {
	if len(l.members) == 0 {
		if l.stream.Storm != nil && l.stream.Storm.Critical {
			return risk.Critical
		}
		return risk.High
	}
	return l.members[0].Brief.Severity
}

// hit adds the clusters that are not named yet.
func (a *Alert) hit(more []Impact) {
	for _, i := range more {
		if !slices.ContainsFunc(a.Impact, func(x Impact) bool { return strings.EqualFold(x.Cluster, i.Cluster) }) {
			a.Impact = append(a.Impact, i)
		}
	}
}

// worst says what breaks by the first of the members.
func (l lot) worst(a *Alert) {
	if len(l.members) == 0 || !l.members[0].Brief.problem() {
		return
	}
	if b := l.members[0].Brief; b.Breaks != "" {
		a.Breaks, a.By, a.ByMeans = "the worst of them: "+b.Breaks, b.By, b.ByMeans
	}
}

// words are the title, and what is told.
func (l lot) words(vaults map[string]int) (title, what string) {
	s := l.stream
	if s.Storm == nil {
		return fmt.Sprintf("%s about %s: %s", several(len(l.members), "alert"), s.Name, l.counts()),
			fmt.Sprintf("what came about %s since %s, told together; each is recorded by itself", s.Name, l.first().UTC().Format(timeLayout))
	}
	of := ""
	if s.Storm.Critical {
		of = " of critical alerts"
	}
	switch {
	case l.life == Resolve && s.Storm.Keeps:
		title = fmt.Sprintf("%sA storm%s: all that was told of it is over, %s", Fixed, of, several(l.state.Count, "alert"))
	case l.state.Count == 0:
		title = fmt.Sprintf("A storm%s: %s", of, l.counts())
	default:
		title = fmt.Sprintf("The storm%s goes on: %s; %d alerts in all", of, l.counts(), l.state.Count+l.problems())
	}
	if len(l.members) == 0 {
		return title, "its last alerts got worse, and their end was told with what is critical"
	}
	return title, fmt.Sprintf("more than %d messages came within %s; since %s they are told together, until it is quiet for as long. %s",
		s.Storm.More, count(s.Storm.Within), s.Storm.Since.UTC().Format(timeLayout), byVault(vaults))
}

// problems are how many of the members tell of something that is wrong.
func (l lot) problems() (n int) {
	for _, m := range l.members {
		if m.Brief.problem() {
			n++
		}
	}
	return n
}

// first is when the first of the members was announced.
func (l lot) first() (at time.Time) {
	for _, m := range l.members {
		if at.IsZero() || m.At.Before(at) {
			at = m.At
		}
	}
	return at
}

// counts are the members by severity, those that are over apart: "1 critical, 6 high,
// 2 over".
func (l lot) counts() string {
	by := map[risk.Severity]int{}
	over, acked := 0, 0
	for _, m := range l.members {
		switch m.Brief.Lifecycle {
		case Resolve:
			over++
		case Acknowledge:
			acked++
		case Trigger, Update, Notice:
			by[m.Brief.Severity]++
		}
	}
	var out []string
	for _, sev := range slices.SortedFunc(maps.Keys(by), func(a, b risk.Severity) int { return b.Rank() - a.Rank() }) {
		out = append(out, fmt.Sprintf("%d %s", by[sev], cmp.Or(string(sev), "unrated")))
	}
	if acked > 0 {
		out = append(out, fmt.Sprintf("%d acknowledged", acked))
	}
	if over > 0 {
		out = append(out, fmt.Sprintf("%d over", over))
	}
	return strings.Join(out, ", ")
}

// byVault says how many are about which vault, the most first.
func byVault(vaults map[string]int) string {
	names := slices.SortedFunc(maps.Keys(vaults), func(a, b string) int {
		return cmp.Or(vaults[b]-vaults[a], strings.Compare(a, b))
	})
	var out []string
	for _, name := range names[:min(len(names), shownVaults)] {
		out = append(out, fmt.Sprintf("%s %d", cmp.Or(Clean(name, maxName), "none"), vaults[name]))
	}
	if more := len(names) - len(out); more > 0 {
		out = append(out, several(more, "more vault"))
	}
	return "By vault: " + strings.Join(out, ", ")
}

func several(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// looks is the command that judges the clusters that are hit now; none where their ids
// are not what a shell can be given as they stand.
func looks(hit []Impact) []Command {
	line := "cmkguard check"
	for _, i := range hit[:min(len(hit), shownClusters)] {
		if i.Cluster == "" || strings.ContainsFunc(i.Cluster, func(r rune) bool {
			return !strings.ContainsRune("/-._", r) && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
		}) || i.Cluster[0] == '-' {
			return nil
		}
		line += " " + i.Cluster
	}
	if len(hit) == 0 {
		return nil
	}
	return []Command{{Does: "judges the clusters that are hit now", Line: line}}
}
