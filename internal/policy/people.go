package policy

import (
	"fmt"
	"time"

	"cmkguard/internal/azureid"
)

// Approvals says what approvals need.
type Approvals struct {
	Persons  int           // 1 or 2; 0: two for what may have been taken away on purpose, one otherwise
	ValidFor time.Duration // how long an approval counts (24h)
}

// Exemption keeps remedies off what it matches until it expires.
type Exemption struct {
	Name     string
	Line     int
	Match    Match
	Remedies []string // empty: all
	Owner    string
	Reason   string
	Ticket   string
	Expires  time.Time
}

// ExemptionFor returns the first exemption that holds now.
func (p *Policy) ExemptionFor(remedy string, t Target, now time.Time) (Exemption, bool) {
	for _, e := range p.Exemptions {
		named := len(e.Remedies) == 0
		for _, r := range e.Remedies {
			named = named || r == remedy
		}
		if named && now.Before(e.Expires) && e.Match.matches(t) {
			return e, true
		}
	}
	return Exemption{}, false
}

// Erasable reports whether keys of this pattern are meant to be erased one day
// by being purged: then purge protection is not switched on by us.
func (p *Policy) Erasable(k azureid.Key) bool {
	for _, pattern := range p.ErasableKeys {
		if matchKey(pattern, k) {
			return true
		}
	}
	return false
}

func (r reader) approvals(n node) {
	a := &r.policy.Approvals
	n.fields(map[string]func(node){
		"persons":  func(n node) { a.Persons = n.number(1, 2) },
		"validFor": func(n node) { a.ValidFor = n.duration() },
	})
	if a.ValidFor > 7*24*time.Hour {
		n.problem("validFor is above 7d: an approval is for what a person saw; for longer there are standing approvals")
	}
}

// grantScope reads where restore-grant puts the role.
func (r reader) grantScope(n node) {
	switch s := n.text(); s {
	case "vault", "key":
		r.policy.GrantAtKey = s == "key"
	default:
		n.problem("%q is no scope for grants: want vault, or key where vaults are shared", clip(s))
	}
}

func (r reader) exemptions(n node) {
	for _, item := range n.items() {
		e := Exemption{Line: item.line}
		found := item.fields(map[string]func(node){
			"name":     func(n node) { e.Name = n.text() },
			"match":    func(n node) { e.Match = readMatch(n) },
			"remedies": func(n node) { e.Remedies = n.texts(r.checkRemedy) },
			"owner":    func(n node) { e.Owner = n.text() },
			"reason":   func(n node) { e.Reason = n.text() },
			"ticket":   func(n node) { e.Ticket = n.text() },
			"expires":  func(n node) { e.Expires = readDay(n) },
		})
		for _, must := range [...][2]string{{"name", "name: TEXT"}, {"match", "what it is for"}, {"owner", "who answers for it"},
			{"reason", "why"}, {"expires", "expires: 2027-03-31, after which it holds no more"}} {
			item.require(found, must[0], must[1])
		}
		r.policy.Exemptions = append(r.policy.Exemptions, e)
	}
}

func (r reader) checkRemedy(s string) error {
	if _, ok := r.ceilings[s]; !ok {
		return fmt.Errorf("%q is no remedy", clip(s))
	}
	return nil
}

// readDay reads a date; it ends with the end of that day, UTC.
func readDay(n node) time.Time {
	s := n.text()
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		if s != "" {
			n.problem("%q is no date: want YYYY-MM-DD", clip(s))
		}
		return time.Time{}
	}
	return t.AddDate(0, 0, 1)
}
