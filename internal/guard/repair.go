package guard

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"cmkguard/internal/azureid"
	"cmkguard/internal/event"
	"cmkguard/internal/incident"
	"cmkguard/internal/plan"
	"cmkguard/internal/remedy"
	"cmkguard/internal/risk"
	"cmkguard/internal/wiring"
)

// RepairMaker gives the effect of a repair's plan (remedy/<name>.Effect).
type RepairMaker = func(p plan.Plan, partition string) (remedy.Effect, error)

func (g *Guard) factsFor(ctx context.Context, p *picture, subject event.Subject, v risk.Verdict) (plan.Facts, bool, error) {
	if v.Remedy == plan.Quarantine {
		return g.quarantineFacts(ctx, p, subject)
	}
	return g.repairFacts(ctx, p, subject, v)
}

// repairFacts are what a repair's plan rests on: the chain that shows the problem
// first, then the other chains of the same subject.
func (g *Guard) repairFacts(ctx context.Context, p *picture, subject event.Subject, v risk.Verdict) (plan.Facts, bool, error) {
	var shows, others []wiring.Wiring
	for _, w := range chainsOf(p, subject) {
		switch {
		case g.shows(p, w, v):
			shows = append(shows, w)
		case subject.Kind == event.SubjectKey, slices.ContainsFunc(p.impact[subject], func(c wiring.Cluster) bool { return c.ID.Equal(w.ID) }):
			others = append(others, w)
		}
	}
	if len(shows) == 0 {
		return plan.Facts{}, false, nil
	}
	f := p.keys[shows[0].Key().ID()].facts
	f.Key, f.Wirings = shows[0].Key(), append(shows, others...)
	f.GrantAtKey, f.Declared = g.Policy.GrantAtKey, g.Policy.Declared
	if subject.Kind == event.SubjectVault {
		f.Consumers = consumersOfVault(ctx, p.run, f.Key.Host)
		f.Key = f.Key.Base()
		if len(f.Consumers.Clusters) > 0 {
			f.Key = f.Consumers.Clusters[0].CMK.Key.Base()
		}
	}
	if v.Remedy == plan.RestoreGrant && shows[0].Vault.OK() {
		var err error
		if f.Before, err = g.grantsBefore(ctx, shows[0]); err != nil {
			return f, false, err
		}
	}
	f.Since = p.now
	row, ok, err := g.get(ctx, incident.Partition(subject), incident.RowKey(v.Check))
	if err != nil {
		return f, false, err
	}
	var i incident.Incident
	if ok && json.Unmarshal(row.Value, &i) == nil && i.State == incident.Open {
		f.Since = i.Opened
	}
	return f, true, nil
}

// consumersOfVault are the clusters whose key lies at the host, as a list names them,
// by their key: one order, so that a plan about a vault is the same whichever of its
// keys was looked at.
func consumersOfVault(ctx context.Context, run Survey, host string) wiring.Consumers {
	var out wiring.Consumers
	var all []wiring.Cluster
	all, out.Complete, out.Why = run.Keyed(ctx)
	for _, c := range all {
		if c.CMK != nil && strings.EqualFold(c.CMK.Key.Host, host) {
			out.Clusters = append(out.Clusters, c)
		}
	}
	slices.SortStableFunc(out.Clusters, func(a, b wiring.Cluster) int { return strings.Compare(a.CMK.Key.ID(), b.CMK.Key.ID()) })
	return out
}

// chainsOf are the chains that have to do with the subject. A key's are those of all
// of its consumers, whichever of them the look was at: one plan, whoever looks.
func chainsOf(p *picture, subject event.Subject) []wiring.Wiring {
	if subject.Kind != event.SubjectKey {
		return p.wirings
	}
	out := slices.Clone(p.keys[subject.ID].facts.Wirings)
	for _, w := range p.wirings {
		known := slices.ContainsFunc(out, func(o wiring.Wiring) bool { return o.ID.Equal(w.ID) })
		if !known && w.Key().ID() == subject.ID {
			out = append(out, w)
		}
	}
	return out
}

// shows reports whether the chain itself shows the problem.
func (g *Guard) shows(p *picture, w wiring.Wiring, v risk.Verdict) bool {
	if p.pointedBack[w.ID.Key()] != "" && v.Remedy == plan.RollBackDowngrade {
		return v.Subject.ID == w.ID.Key()
	}
	return slices.ContainsFunc(risk.Judge(w, g.Policy.Limits.Risk, p.now, asked(p.signal)), func(o risk.Verdict) bool {
		return o.Check == v.Check && o.Subject == v.Subject && o.Answer == risk.Broken && o.Remedy == v.Remedy
	})
}

// stepRepair asks the gates once more on fresh facts right before each step's first
// attempt, then runs the step's one effect.
func (g *Guard) stepRepair(ctx context.Context, partition string, s *saga) error {
	step := s.Plan.Steps[s.Step]
	make, ok := g.Repairs[string(step.Kind)]
	if !ok {
		s.stop("this build has no "+string(step.Kind), g.Now())
		return nil
	}
	one, regate := s.Plan, func() ([]plan.Ruling, bool, error) { return g.regateRepair(ctx, s.Plan) }
	one.Steps = []plan.Step{step}
	if step.Kind == plan.StepMove {
		one.To = s.Plan.To.At(s.New)
		regate = func() ([]plan.Ruling, bool, error) { return g.regateMove(ctx, s) }
	}
	effect, err := make(one, partition)
	if err != nil {
		return err
	}
	ready, err := g.begin(ctx, s, partition, effect.Key, regate)
	if !ready || err != nil {
		return err
	}
	out, err := g.stepInGroup(ctx, effect, turnOfRepair(s, partition))
	if err != nil {
		return err
	}
	switch out.Status {
	case remedy.Settled:
		s.Why = "read back: " + out.Result
		if step.Kind == plan.StepCreateKey {
			s.New = out.Result
		}
		if s.Step++; s.Step == len(s.Plan.Steps) {
			s.Phase = phaseDone
		}
		s.NextAt = g.Now().UTC()
	case remedy.Failed:
		s.stop(out.Why, out.At)
	case remedy.Again:
		s.NextAt, s.Why = out.At.UTC(), out.Why
	}
	return nil
}

// regateRepair looks at the subject again: only the very plan that was decided
// on, wanted still and allowed still, is begun.
func (g *Guard) regateRepair(ctx context.Context, pl plan.Plan) (rulings []plan.Ruling, read bool, err error) {
	run := g.Survey()
	p := g.look(ctx, run, lookAt(pl.Subject, pl.Key))
	if err := g.addKeys(ctx, run, p); err != nil {
		return nil, false, err
	}
	if err := g.addPointedBack(ctx, p); err != nil {
		return nil, false, err
	}
	list, _, err := g.wanted(ctx, p, pl.Subject)
	if err != nil {
		return nil, false, err
	}
	read = p.complete && p.unread() == "" && (!plan.Deaf(pl.Remedy) || p.heard())
	at := slices.IndexFunc(list, func(w want) bool { return w.plan.ID == pl.ID })
	if at < 0 {
		return stale("it is no longer wanted, or can no longer be judged"), read, nil
	}
	was, err := pl.Fingerprint()
	if err != nil {
		return nil, read, err
	}
	is, err := list[at].plan.Fingerprint()
	if err != nil || is != was {
		return stale("the facts or the policy changed since it was decided"), read, err
	}
	old, err := g.storedPlan(ctx, incident.Partition(pl.Subject), pl.ID)
	if err != nil {
		return nil, read, err
	}
	in, err := g.inputs(ctx, pl, list[at].facts, "", old.plan.Causes, false)
	return plan.Gates(list[at].plan, list[at].facts, in), true, err
}

// heard reports whether what tells us of the vaults could be read.
func (p *picture) heard() bool {
	return !slices.ContainsFunc(p.wirings, func(w wiring.Wiring) bool {
		return w.Posture.Diagnostics.State == wiring.Unreadable || w.Posture.Events.State == wiring.Unreadable
	})
}

// stale is the ruling on a plan whose time is over.
func stale(reason string) []plan.Ruling {
	return []plan.Ruling{{Gate: "facts", Answer: plan.Refuse, Reason: reason}}
}

// lookAt is a look at a subject that no event asked for.
func lookAt(s event.Subject, k azureid.Key) event.Signal {
	out := event.Signal{Kind: event.Recheck, Subject: s, Source: "cmkguard"}
	switch s.Kind {
	case event.SubjectKey:
		out.Key = k.Base()
	case event.SubjectVault:
		if id, err := azureid.ParseResource(s.ID); err == nil {
			out.Vault = id
		}
	default: // the subject says it all
	}
	return out
}

func lookMessage(s event.Subject, k azureid.Key) message {
	m := signalMessage("", lookAt(s, k))
	m.Kind = kindLook
	return m
}
