package guard

import (
	"context"
	"slices"

	"cmkguard/internal/azureid"
	"cmkguard/internal/canonical"
	"cmkguard/internal/event"
	"cmkguard/internal/incident"
	"cmkguard/internal/loss"
	"cmkguard/internal/wiring"
)

// maxFoundWhy keeps a finding's row small.
const maxFoundWhy = 500

// foundOf is the finding of a sweep, if it is one: the answer of a check changed
// that some source tells of, of a key that was looked at before. What was uncertain
// before may have changed at any time, and is none.
func (p *picture) foundOf(prev *incident.Incident, next incident.Incident, change incident.Change) (loss.Found, bool) {
	opened := change == incident.Opened && (prev == nil || prev.State == incident.Resolved)
	cleared := change == incident.Cleared && prev != nil && prev.State == incident.Open
	if p.signal.Kind != event.Swept && p.signal.Kind != event.Glance || !loss.Tells(next.Check) || !opened && !cleared {
		return loss.Found{}, false
	}
	for _, k := range p.keys {
		if k.since.IsZero() { // a first look finds what was there before us
			return loss.Found{}, false
		}
	}
	return loss.Found{
		Schema: 1, Subject: next.Subject, Check: next.Check, Change: string(change), Why: clip(next.Verdict.Why, maxFoundWhy),
		At: p.now.UTC(), About: p.about(next),
	}, true
}

// about lists the partitions of the subjects that a signal of such a change would
// have been about.
func (p *picture) about(i incident.Incident) (out []string) {
	add := func(kind event.SubjectKind, id string) {
		if part := incident.Partition(event.Subject{Kind: kind, ID: id}); id != "" && !slices.Contains(out, part) {
			out = append(out, part)
		}
	}
	add(i.Subject.Kind, i.Subject.ID)
	for _, w := range p.wirings {
		if i.Verdict.Cluster != "" && i.Verdict.Cluster != w.ID.Key() {
			continue
		}
		add(event.SubjectCluster, w.ID.Key())
		add(event.SubjectKey, w.Key().ID())
		add(event.SubjectIdentity, identityOf(w).Key())
		vault := w.Vault.Value.ID
		add(event.SubjectVault, vault.Key())
		for _, r := range []azureid.Resource{vault, w.ID} {
			for _, scope := range r.Scopes() {
				if scope != r.Key() {
					add(event.SubjectScope, scope)
				}
			}
		}
	}
	add(event.SubjectScope, "/")
	return out
}

func identityOf(w wiring.Wiring) azureid.Resource {
	if cmk := w.Cluster.Value.CMK; cmk != nil {
		return cmk.IdentityID
	}
	return azureid.Resource{}
}

// noteFound keeps a finding until its day is closed. It is written before the
// incident: a crash in between costs a repetition, never leaves it out.
func (g *Guard) noteFound(ctx context.Context, f loss.Found) error {
	if !g.Watch.Losses {
		return nil
	}
	id := canonical.Hash([]byte(f.Subject.String() + "|" + f.Check + "|" + f.Change))[:40]
	return g.insert(ctx, lossPartition(f.At.Format("2006-01-02")), "found~"+id, encode(f))
}
