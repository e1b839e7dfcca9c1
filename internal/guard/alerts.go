package guard

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/route"
	"cmkguard/internal/event"
	"cmkguard/internal/incident"
	"cmkguard/internal/plan"
	"cmkguard/internal/risk"
	"cmkguard/internal/store"
	"cmkguard/internal/wiring"
)

// outbox returns the rows that deliver a to every channel that the policy
// routes it to; they go into the batch of what the alert tells.
func (g *Guard) outbox(a alert.Alert) []store.Op {
	ops, _ := g.outboxOf(a, nil)
	return ops
}

// outboxOf is the same about a problem that some channels were told of before. It
// also returns what was chosen. It is asked with the whole alert, which is cut to
// size only then: it is routed by all of its tags.
func (g *Guard) outboxOf(a alert.Alert, told []string) ([]store.Op, route.Choice) {
	if g.drill.prefix != "" {
		if a.Check != "" && a.Check != g.drill.check {
			return nil, route.Choice{} // what else ails the chain is told for real
		}
		a = marked(a, g.drill.prefix)
	}
	c := route.Decide(g.Policy, a, told, g.Now())
	if c.Note != "" {
		a.Notes = append(a.Notes, c.Note)
	}
	if len(c.Repeat)+len(c.Escalate) > 0 && a.Check != "" && (a.Lifecycle == alert.Trigger || a.Lifecycle == alert.Update) {
		a.Commands = append(slices.Clone(a.Commands), alert.Command{
			Does: "says that you work on it: nobody is reminded or called further", Line: ackLine + strings.TrimPrefix(a.DedupKey, alert.KeyPrefix) + " --reason 'looking at it'",
		})
	}
	return alert.Rows(alert.Notifications(a, c.Targets, g.Now())), c
}

// stillPrefix begins the title of a problem that was told before.
const stillPrefix = "Still: "

// incidentAlert tells of a changed incident. An uncertain one alerts only where
// the loss would be critical, and only once it stays so: people are told that we
// cannot see, not paged for every refused read.
func (g *Guard) incidentAlert(p *picture, i incident.Incident, change incident.Change) (alert.Alert, bool) {
	v := i.Verdict
	a := alert.Alert{
		ID: g.NewID(), DedupKey: i.DedupKey(), GroupKey: incident.Partition(i.Subject), Severity: v.Severity,
		Check: v.Check, Subject: v.Subject.String(), Since: i.Opened, Ref: p.signal.ID,
		What: v.Why, Breaks: v.Breaks, By: v.By, Impact: impactOf(p.impact[i.Subject]), Next: nextFor(v),
		Upstream: upstreamOf(p, i.Subject),
	}
	if i.Doing != "" {
		a.Done = []string{i.Doing}
	}
	for _, e := range v.Evidence {
		a.Evidence = append(a.Evidence, fmt.Sprintf("%s at %s: %s", e.Call, e.At.UTC().Format(time.RFC3339), e.Value))
	}
	a.Evidence = append(a.Evidence, claimsOf(p)...)
	g.dress(&a, p, v)
	title := titleOf(p, v)
	switch change {
	case incident.Opened:
		a.Lifecycle, a.Title = alert.Trigger, title
		a.Event, a.Key = factOf(p, v)
	case incident.Updated:
		a.Lifecycle, a.Title = alert.Update, stillPrefix+title
	case incident.Cleared:
		a.Lifecycle, a.Title = alert.Resolve, alert.Fixed+title
		a.Next, a.Breaks, a.By, a.ByMeans, a.Commands = nil, "", nil, "", nil
	case incident.Answered: // it never was broken, as far as anybody knows
		a.Lifecycle, a.Title = alert.Resolve, "Clear again: "+v.Title+": "+whereOf(p, v)+" ("+v.Check+")"
		a.Next, a.Commands = nil, nil
	case incident.Ended:
		a.Lifecycle, a.Title = alert.Resolve, "Over: "+v.Title+": "+whereOf(p, v)+" ("+v.Check+")"
		a.Next, a.Commands = nil, nil
	case incident.Unclear:
		if v.Severity.Rank() < risk.Critical.Rank() {
			return alert.Alert{}, false
		}
		a.Lifecycle, a.Title, a.Severity = alert.Notice, "Cannot tell: "+v.Title+": "+whereOf(p, v)+" ("+v.Check+")", risk.Medium
		a.Next = nil // its guidance is for when it is broken
	case incident.None, incident.Blurred:
		return alert.Alert{}, false
	}
	return a, true
}

// flapAlert has the alert of an incident that comes and goes told when it settles, and
// returns the one that says so; false for any change but that which made it so.
func (g *Guard) flapAlert(a *alert.Alert, i incident.Incident) (alert.Alert, bool) {
	if i.Settles == nil || !i.Settles.After(i.Changed) {
		return alert.Alert{}, false
	}
	if a.Settles = i.Settles; i.Flaps == nil || !i.Flaps.Equal(i.Changed) {
		return alert.Alert{}, false
	}
	f := *a
	f.ID, f.At, f.Settles, f.Event = g.NewID(), i.Changed, nil, ""
	a.At = i.Changed.Add(time.Millisecond) // the state itself comes after
	if f.Lifecycle == alert.Resolve {
		f.Lifecycle = alert.Update
	}
	f.Title = "Comes and goes: " + strings.TrimPrefix(f.Title, alert.Fixed)
	f.Notes = append(slices.Clone(f.Notes), fmt.Sprintf("it opened or was mended %d times within an hour; how it stands is told once it was quiet until %s, and nothing before",
		len(i.Turns), i.Settles.UTC().Format("15:04 UTC")))
	return f, true
}

// factOf names the event that others get of what Azure has no event for, and the
// key that it is about.
func factOf(p *picture, v risk.Verdict) (event, key string) {
	for _, w := range p.wirings {
		if v.Cluster != w.ID.Key() {
			continue
		}
		gone := w.Versions.State == wiring.Absent
		switch {
		case v.Check == "CMK-010" && v.Remedy == plan.RecoverKey:
			event = "CmkGuard.KeyDeleted"
		case v.Check == "CMK-010" && gone && w.Deleted.State == wiring.Absent:
			event = "CmkGuard.KeyPurged"
		case v.Check == "CMK-011":
			event = "CmkGuard.KeyDisabled"
		case v.Check == "CMK-050":
			event = "CmkGuard.AccessLost"
		default:
			return "", ""
		}
		return event, w.Key().String()
	}
	return "", ""
}

// vaultOf names the vault that the verdict's subject hangs on, lower case.
func vaultOf(p *picture, v risk.Verdict) string {
	if v.Subject.Kind == event.SubjectVault {
		return strings.ToLower(shortName(v.Subject))
	}
	for _, w := range p.wirings {
		if k := w.Key(); !k.IsZero() && (v.Cluster == w.ID.Key() || k.ID() == v.Subject.ID) {
			return strings.ToLower(k.VaultName())
		}
	}
	return strings.ToLower(p.signal.Key.VaultName())
}

func actorOf(p *picture) string {
	if p.signal.Claim == nil {
		return ""
	}
	return clip(p.signal.Claim.String(), 600)
}

func controlsOf(check string) []string {
	c, ok := risk.Find(check)
	if !ok {
		return nil
	}
	out := make([]string, len(c.Controls))
	for i, n := range c.Controls {
		out[i] = n.Framework + ": " + n.Numbers
	}
	return out
}

func nextFor(v risk.Verdict) []string {
	if v.Guidance == "" {
		return nil
	}
	return []string{v.Guidance}
}

func impactOf(clusters []wiring.Cluster) []alert.Impact {
	out := make([]alert.Impact, 0, len(clusters))
	for _, c := range clusters {
		out = append(out, alert.Impact{Cluster: c.ID.String(), Name: c.Name, Owner: c.Tags["owner"], Tags: c.Tags})
	}
	return out
}

func shortName(s event.Subject) string {
	for i := len(s.ID) - 1; i >= 0; i-- {
		if s.ID[i] == '/' && s.Kind != event.SubjectKey {
			return s.ID[i+1:]
		}
	}
	return s.ID
}

// followed are the clusters that a saga moves, and how far each came.
func (s *saga) followed() (hit []alert.Impact, done []string) {
	for _, f := range s.Followers {
		name := shortName(event.Subject{ID: f.Cluster})
		state := "stays on version " + f.From
		if f.Done {
			state = "version " + f.From + " -> " + s.to(&f) + " (" + f.By + ", read back)"
		}
		hit, done = append(hit, alert.Impact{Cluster: f.Cluster, Name: name, Owner: s.owner(f.Cluster)}), append(done, name+": "+state)
	}
	return hit, done
}

// owner is the cluster's, as the plan knew it.
func (s *saga) owner(cluster string) string {
	for _, c := range s.Plan.Consumers {
		if strings.EqualFold(c.Cluster, cluster) {
			return c.Owner
		}
	}
	return ""
}

// sagaAlert tells when a rotation or rewire ends: success is a notice, a stop
// pages.
func (g *Guard) sagaAlert(s saga) (alert.Alert, bool) {
	a := alert.Alert{
		ID: g.NewID(), DedupKey: "cmkguard/plan/" + s.Plan.ID, GroupKey: incident.Partition(s.Plan.Subject),
		Subject: s.Plan.Subject.String(), Since: s.Plan.Created, Ref: s.Plan.ID, What: s.Why,
	}
	a.Impact, a.Done = s.followed()
	what := where(s.Plan.Subject)
	a.Vault = strings.ToLower(s.Plan.Key.VaultName())
	a.Commands = []alert.Command{{Does: "shows the plan, what each gate said and how far it came", Line: "cmkguard plan " + shell(s.Plan.ID)}}
	switch {
	case s.Phase == phaseDone:
		a.Lifecycle, a.Severity = alert.Notice, risk.Info
		a.Title = "Done: " + s.Plan.Remedy + " of " + what
		if s.Plan.Remedy == plan.Quarantine { // the rest is a person's
			a.Severity, a.Next = risk.High, []string{leftKey(s.Plan)}
		}
	case s.Phase == phaseStopped:
		a.Lifecycle, a.Severity = alert.Trigger, risk.High
		a.Title = "Stopped: " + s.Plan.Remedy + " of " + what
		again := "It is not started again by itself: look at the cluster and the key's versions, and decide by hand."
		if !s.RetryAt.IsZero() {
			again = "Mend the cause; from " + s.RetryAt.Format(time.RFC3339) + " the next signal about this key or cluster plans again."
		}
		if !plan.Repair(s.Plan.Remedy) {
			again = "The old key version is still enabled, so no cache is cut off by this. " + again
		}
		a.Next = []string{again}
	case s.Phase == phaseFollow && s.Plan.Remedy == plan.Rotate:
		return alert.Alert{}, false
	default:
		return alert.Alert{}, false
	}
	return a, true
}

func (g *Guard) poisonAlert(subject event.Subject, id, reason string) alert.Alert {
	return alert.Alert{
		ID: g.NewID(), DedupKey: "cmkguard/" + id, GroupKey: "poison", Lifecycle: alert.Notice, Severity: risk.Medium,
		Title: "Could not be handled and was kept: input of " + subject.ID, What: clip(reason, 1500),
		Subject: subject.String(), Since: g.Now().UTC(), Ref: id,
		Next: []string{
			"Look at what sends to " + subject.ID + ". cmkguard poison show " + id + " shows what came.",
			"Once it can be read: cmkguard poison replay " + id + ". To give it up: cmkguard poison drop " + id + " --reason TEXT",
		},
	}
}

// unseenAlert tells that a signal's subject may be in use by clusters that we
// cannot see: nobody found is not nobody there.
func (g *Guard) unseenAlert(p *picture) alert.Alert {
	return alert.Alert{
		ID: g.NewID(), DedupKey: "cmkguard/unseen/" + incident.Partition(p.signal.Subject), GroupKey: incident.Partition(p.signal.Subject),
		Lifecycle: alert.Trigger, Severity: risk.High, Title: "Cannot tell who uses " + where(p.signal.Subject),
		Vault: strings.ToLower(p.signal.Key.VaultName()), Commands: impactCommand(p.signal), Actor: actorOf(p),
		What:    string(p.signal.Kind) + " came, and the clusters that use it could not be enumerated: " + p.why,
		Subject: p.signal.Subject.String(), Since: g.Now().UTC(), Ref: p.signal.ID,
		Next: []string{"Give the observer identity Reader on every subscription in CMKGUARD_SUBSCRIPTIONS, and look by hand at who uses this key meanwhile."},
	}
}
