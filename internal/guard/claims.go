package guard

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"cmkguard/internal/alert"
	"cmkguard/internal/azureid"
	"cmkguard/internal/event"
	"cmkguard/internal/incident"
	"cmkguard/internal/risk"
	"cmkguard/internal/wiring"
)

func aboutEars(k event.Kind) bool { return k == event.EarsCut || k == event.EarsChanged }

// clustersOfTopic returns one cluster of the vault whose system topic the signal is
// about: the vault's events are judged by any chain through it. Which topic is whose
// is known by the name that the policy gives it; of others the sweep's look tells.
func (g *Guard) clustersOfTopic(ctx context.Context, run Survey, s event.Signal) []wiring.Cluster {
	text, _, _ := strings.Cut(s.Resource.Key(), "/eventsubscriptions/")
	topic, err := azureid.ParseResource(text)
	declared := g.Policy.Declared.Events
	if err != nil || !declared.Set() {
		return nil
	}
	all, _, _ := run.Keyed(ctx)
	for _, c := range all {
		if c.CMK != nil && strings.EqualFold(declared.TopicName(c.CMK.Key.VaultName()), topic.Name()) {
			return []wiring.Cluster{c}
		}
	}
	return nil
}

// claimsOf are what the signal's source says of it, as evidence: who did it, and
// who lost which role.
func claimsOf(p *picture) []string {
	var out []string
	if p.signal.Claim != nil {
		out = append(out, clip(p.signal.Claim.String(), 600))
	}
	return append(out, notesOf(p)...)
}

// notesOf are what we know ourselves about what a claim says.
func notesOf(p *picture) (out []string) {
	for _, s := range []string{p.lost, rivalText(p)} {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

// telling is how a claim is told.
type telling struct {
	severity risk.Severity
	title    string
	breaks   string
	next     string
}

// claimAlert tells what live state alone does not show: who made a version, that
// a cluster was refused, that somebody tried. A claim alerts and never releases:
// whoever may send to the source could have made it up, and the alert says so.
func (g *Guard) claimAlert(p *picture) (alert.Alert, bool) {
	s := p.signal
	t, ok := tellingOf(p)
	if !ok {
		t, ok = tellingOfRival(p)
	}
	if !ok || s.Claim == nil {
		return alert.Alert{}, false
	}
	a := alert.Alert{
		ID: g.NewID(), DedupKey: "cmkguard/claim/" + string(s.Kind) + "/" + incident.Partition(s.Subject), GroupKey: incident.Partition(s.Subject),
		Lifecycle: alert.Notice, Severity: t.severity, Title: t.title + ": " + where(s.Subject), What: clip(s.Claim.String(), 1000),
		Subject: s.Subject.String(), Since: s.Time, Ref: s.ID, Breaks: t.breaks, Next: []string{t.next},
	}
	if a.Since.IsZero() {
		a.Since = g.Now().UTC()
	}
	for _, w := range p.wirings {
		if w.Cluster.OK() {
			a.Impact = append(a.Impact, impactOf([]wiring.Cluster{w.Cluster.Value})...)
		}
	}
	a.Vault, a.Actor, a.Commands = strings.ToLower(s.Key.VaultName()), actorOf(p), impactCommand(s)
	a.Evidence = notesOf(p)
	return a, true
}

func tellingOf(p *picture) (telling, bool) {
	used := len(p.wirings) > 0
	switch p.signal.Kind {
	case event.KeyCreated, event.KeyImported, event.KeyRestored:
		return telling{
			risk.Critical, "A version of a key in use was made by somebody else",
			"caches would be encrypted under key material whose maker nobody recorded; an Azure Managed Redis adopts it within two hours",
			"Ask the caller. If it was not meant, make a newer version of your own (rotate); clusters are not moved to this one by us.",
		}, used
	case event.UseFailed:
		name := refused(p)
		return telling{
			risk.Critical, "Refused: " + name + " could not use its key",
			"a cache that cannot unwrap its key goes offline, and its persisted data cannot be read",
			"Look at the incidents of this key and vault. If none is open, what was refused works again, or the record is not true.",
		}, name != ""
	case event.KeyBackedUp:
		return telling{
			risk.Medium, "A key in use was backed up", "",
			"Ask the caller what for: the backup can be restored into another vault of the subscription and geography.",
		}, used
	case event.AttemptDenied:
		return telling{
			risk.Medium, "Denied: an attempt to change a key in use", "",
			"Ask the caller. Nothing was changed: the call was refused.",
		}, used
	case event.EarsCut:
		return telling{
			risk.High, "CMK Guard may have gone deaf", "changes to this vault's keys may no longer reach us before the next sweep",
			"Restore the diagnostic setting or the event subscription: deploy infra/vault.bicep again.",
		}, used || strings.Contains(p.signal.Resource.Key(), "cmkguard")
	default: // live state shows it
	}
	return telling{}, false
}

// tells reports whether the signal's claim is told by itself, whatever live state
// shows.
func tells(s event.Signal) bool {
	switch s.Kind {
	case event.KeyCreated, event.KeyImported, event.KeyRestored, event.UseFailed, event.KeyBackedUp, event.AttemptDenied, event.EarsCut:
		return s.Claim != nil
	default:
		return false
	}
}

// refused names the clusters whose identity the claim says was refused, or "".
func refused(p *picture) string {
	if p.signal.Claim == nil {
		return ""
	}
	who := p.signal.Claim.Actor
	var names []string
	for _, w := range p.wirings {
		ours := func(principal, client string) bool {
			return who.ObjectID != "" && strings.EqualFold(principal, who.ObjectID) || who.AppID != "" && strings.EqualFold(client, who.AppID)
		}
		mine := ours(w.Identity.Value.PrincipalID, w.Identity.Value.ClientID) ||
			slices.ContainsFunc(w.Cluster.Value.Identities, func(i wiring.ClusterIdentity) bool { return ours(i.PrincipalID, i.ClientID) })
		if mine {
			names = append(names, w.ID.Name())
		}
	}
	slices.Sort(names)
	if len(names) > 3 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:3], ", "), len(names)-3)
	}
	return strings.Join(names, ", ")
}
