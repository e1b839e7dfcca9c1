package guard

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/hold"
	"cmkguard/internal/alert/route"
	"cmkguard/internal/approval"
	"cmkguard/internal/canonical"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/incident"
	"cmkguard/internal/policy"
)

// MaxSilence is how long a silence lasts at most.
const MaxSilence = hold.Longest

// Scope is how much a silence that is asked for on an incident's page keeps back. It
// names exactly; patterns are for the command line.
type Scope string

// The scopes, the narrowest first.
const (
	ScopeIncident Scope = "incident" // this problem alone
	ScopeSubject  Scope = "subject"  // whatever is wrong with the same subject
	ScopeVault    Scope = "vault"    // whatever hangs on the same vault
)

// Quiet is a silence that could be asked for: what it would keep back.
type Quiet struct {
	Scope Scope  `json:"scope"`
	Name  string `json:"name"`  // of the check, the subject or the vault, as people say it
	Keeps string `json:"keeps"` // in words
	match policy.AlertMatch
}

// Hush is a silence that keeps an incident's alerts back now.
type Hush struct {
	ID      string    `json:"id"`
	Owner   string    `json:"owner"`
	Reason  string    `json:"reason"`
	By      string    `json:"by"` // who added it, as far as that is proved
	Created time.Time `json:"created"`
	Until   time.Time `json:"until"`
	Keeps   string    `json:"keeps"`    // in words
	Kept    int       `json:"keptBack"` // deliveries so far
}

// Silencing is what a person asks for on an incident's page.
type Silencing struct {
	Scope  Scope
	For    time.Duration
	Reason string
}

// SilenceIncident keeps alerts of an incident, or of what it is about, from people for
// a while. A person's later silence of the same takes the place of the earlier one, so
// that a post which is sent twice makes one silence. Errors are Invalid for an incident
// that is not there or over, and for what no silence may keep back.
func (g *Guard) SilenceIncident(ctx context.Context, partition, check string, ask Silencing, by approval.Person) error {
	const op = "guard.SilenceIncident"
	i, _, err := g.incidentAt(ctx, partition, check)
	switch {
	case err != nil:
		return err
	case i.State == incident.Resolved:
		return fault.New(fault.Invalid, op, "incident %s/%s is over since %s: there is nothing to keep back", check, partition, i.Changed.Format(time.RFC3339))
	}
	a, err := g.lastAlert(ctx, partition, i)
	if err != nil {
		return err
	}
	scopes := g.quiets(i, a)
	at := slices.IndexFunc(scopes, func(q Quiet) bool { return q.Scope == ask.Scope })
	if at < 0 {
		return fault.New(fault.Invalid, op, "scope: this incident cannot be silenced by %q: it has none, or none that can be named whole. The page lists those that there are", clip(string(ask.Scope), 50))
	}
	s := hold.Silence{Match: scopes[at].match, Owner: cmp.Or(by.Name, by.Object), Reason: ask.Reason, Until: g.Now().Add(ask.For)}
	s.ID = silenceID(s.Match, by)
	old, err := g.silence(ctx, s.ID)
	if err != nil {
		return err
	}
	if old.ID != "" && (silenceID(old.Match, by) != s.ID || !strings.Contains(old.By, by.Object)) {
		_, err = g.Silence(ctx, s, named(by)) // the other's id is the same by chance
		return err
	}
	_, err = g.addSilence(ctx, s.Instead(old), named(by))
	return err
}

// silenceID is the same for a person's silences of the same.
func silenceID(m policy.AlertMatch, by approval.Person) string {
	return "s-" + canonical.Hash([]byte(string(encode(m)) + "|" + by.Object))[:8]
}

// silence returns the stored silence of the id; a zero one if there is none.
func (g *Guard) silence(ctx context.Context, id string) (hold.Silence, error) {
	all, err := hold.Silences(ctx, g.State)
	if err != nil {
		return hold.Silence{}, asRecordError(err)
	}
	if at := slices.IndexFunc(all, func(s hold.Silence) bool { return s.ID == id }); at >= 0 {
		return all[at], nil
	}
	return hold.Silence{}, nil
}

// UnsilenceIncident ends a silence that keeps an incident's alerts back now.
func (g *Guard) UnsilenceIncident(ctx context.Context, partition, check, id string, by approval.Person, reason string) error {
	i, _, err := g.incidentAt(ctx, partition, check)
	if err != nil {
		return err
	}
	a, err := g.lastAlert(ctx, partition, i)
	if err != nil {
		return err
	}
	all, err := g.hushing(ctx, a)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(all, func(s hold.Silence) bool { return s.ID == id }) {
		return fault.New(fault.Invalid, "guard.UnsilenceIncident", "silence: %q keeps nothing of this incident back now: it is over or ended, or another's", clip(id, 50))
	}
	_, err = g.Unsilence(ctx, id, named(by), reason)
	return err
}

// named is a proven person in the record.
func named(p approval.Person) string { return p.Name + " (object id " + p.Object + ")" }

// addQuiet gives an incident's page what keeps it back, and what could.
func (g *Guard) addQuiet(ctx context.Context, partition string, i incident.Incident, k *Known) error {
	a, err := g.lastAlert(ctx, partition, i)
	if err != nil {
		return err
	}
	if i.State != incident.Resolved {
		k.Scopes = g.quiets(i, a)
	}
	all, err := g.hushing(ctx, a)
	if err != nil {
		return err
	}
	for _, s := range all {
		hid, err := s.Hid(ctx, g.State)
		if err != nil {
			return asRecordError(err)
		}
		k.Silences = append(k.Silences, Hush{s.ID, s.Owner, s.Reason, s.By, s.Created, s.Until, hold.Words(s.Match), hid.Count})
	}
	return nil
}

// hushing are the silences that keep alerts like this one from people now, the last to
// end first: it tells that the problem opened, or that it changed.
func (g *Guard) hushing(ctx context.Context, a alert.Alert) ([]hold.Silence, error) {
	all, err := hold.Silences(ctx, g.State)
	if err != nil {
		return nil, asRecordError(err)
	}
	now := g.Now()
	all = slices.DeleteFunc(all, func(s hold.Silence) bool {
		return !slices.ContainsFunc(tellings(a), func(a alert.Alert) bool { return s.Covers(route.Facts(a), now) })
	})
	slices.SortStableFunc(all, func(a, b hold.Silence) int { return b.Until.Compare(a.Until) })
	return all, nil
}

// tellings are the alerts of an incident that a silence may keep back.
func tellings(a alert.Alert) []alert.Alert {
	opened, changed := a, a
	opened.Lifecycle, changed.Lifecycle = alert.Trigger, alert.Update
	return []alert.Alert{opened, changed}
}

// quiets are the silences that may be asked for. What could not keep the incident's own
// alerts back is left out: a critical one whose subject is no whole name.
func (g *Guard) quiets(i incident.Incident, a alert.Alert) []Quiet {
	subject := i.Subject.String()
	out := []Quiet{
		{Scope: ScopeIncident, Name: i.Check, match: policy.AlertMatch{Checks: []string{i.Check}, Subjects: []string{subject}}},
		{Scope: ScopeSubject, Name: where(i.Subject), match: policy.AlertMatch{Subjects: []string{subject}}},
	}
	if a.Vault != "" {
		out = append(out, Quiet{Scope: ScopeVault, Name: a.Vault, match: policy.AlertMatch{Vaults: []string{a.Vault}}})
	}
	now := g.Now()
	facts := route.Facts(tellings(a)[0])
	out = slices.DeleteFunc(out, func(q Quiet) bool {
		return !(hold.Silence{Match: q.match, Until: now.Add(time.Hour)}).Covers(facts, now) || !q.match.Names(facts)
	})
	for k := range out {
		out[k].Keeps = hold.Words(out[k].match)
	}
	return out
}

// vaultOfSubject is the vault that a key or a vault names, lower case; "" for another.
func vaultOfSubject(s event.Subject) string {
	switch s.Kind {
	case event.SubjectVault:
		return strings.ToLower(shortName(s))
	case event.SubjectKey:
		host, _, _ := strings.Cut(s.ID, "/")
		vault, _, _ := strings.Cut(host, ".")
		return strings.ToLower(vault)
	case event.SubjectCluster, event.SubjectIdentity, event.SubjectScope:
	}
	return ""
}
