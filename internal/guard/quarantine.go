package guard

import (
	"context"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/approval"
	"cmkguard/internal/azureid"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/incident"
	"cmkguard/internal/plan"
	"cmkguard/internal/remedy"
	"cmkguard/internal/risk"
	"cmkguard/internal/wiring"
)

// quarantineCheck is the name of the incident that people open by their request. It
// is in no catalogue: no read and no claim answers it.
const quarantineCheck = "QUARANTINE"

// asksFor is how long a request stands.
const asksFor = 7 * 24 * time.Hour

// Ahead reads a chain as it would be with another key.
type Ahead interface {
	Toward(ctx context.Context, w wiring.Wiring, k azureid.Key) wiring.Wiring
}

// AskQuarantine records that a person calls the key compromised and wants its clusters
// on a new key in another vault. It approves nothing: the plan that it leads to waits
// for two people like any other.
func (g *Guard) AskQuarantine(ctx context.Context, k, to azureid.Key, by approval.Person, reason string) (approval.Decision, error) {
	const op = "guard.AskQuarantine"
	switch {
	case g.Cloud.CheckVaultHost(to.Host) != nil || to.Name == "" || to.Version != "":
		return approval.Decision{}, fault.New(fault.Invalid, op, "%q names no key of this cloud: want VAULT/NAME", to.String())
	case strings.EqualFold(k.Host, to.Host):
		return approval.Decision{}, fault.New(fault.Invalid, op, "%s lies in the vault of the compromised key: whoever had that one may have this one too; want another vault", to.ID())
	}
	return g.onKey(ctx, approval.Decision{Matter: plan.QuarantineMatter(k, to), By: by, Reason: reason}, k.Base(), asksFor)
}

// askedQuarantine returns the latest genuine request about the key that still stands.
func (g *Guard) askedQuarantine(ctx context.Context, k azureid.Key, peek bool) (d approval.Decision, to azureid.Key, ok bool, err error) {
	pl := plan.Plan{Subject: event.Subject{Kind: event.SubjectKey, ID: k.ID()}, Key: k}
	all, err := g.decisions(ctx, pl, []azureid.Key{k}, peek)
	prefix := plan.QuarantinePrefix(k)
	for _, one := range all {
		host, name, is := strings.Cut(strings.TrimPrefix(one.Matter, prefix), "/")
		if is && strings.HasPrefix(one.Matter, prefix) && one.Kind == approval.Approve && g.Now().Before(one.Expires) && (!ok || one.At.After(d.At)) {
			d, to, ok = one, azureid.Key{Host: host, Name: name}, true
		}
	}
	return d, to, ok, err
}

// addQuarantine opens the incident of a key that people called compromised while a
// cluster uses it, and ends it when none does any more.
func (g *Guard) addQuarantine(ctx context.Context, p *picture) error {
	keys := []azureid.Key{}
	for _, kp := range p.keys {
		keys = append(keys, kp.facts.Key.Base())
	}
	if k := p.signal.Key; !k.IsZero() && !slices.ContainsFunc(keys, k.SameKey) {
		keys = append(keys, k.Base())
	}
	for _, k := range keys {
		d, to, ok, err := g.askedQuarantine(ctx, k, p.peek)
		if err != nil {
			return err
		}
		if ok {
			subject := event.Subject{Kind: event.SubjectKey, ID: k.ID()}
			p.verdicts[subject] = append(p.verdicts[subject], quarantineVerdict(p, k, to, d))
		}
	}
	return nil
}

func quarantineVerdict(p *picture, k, to azureid.Key, d approval.Decision) risk.Verdict {
	v := risk.Verdict{
		Check: quarantineCheck, Title: "No cluster uses a key that people call compromised", Severity: risk.Critical, Answer: risk.Broken,
		Subject: event.Subject{Kind: event.SubjectKey, ID: k.ID()}, Remedy: plan.Quarantine,
		Why:      d.By.Name + " (object id " + d.By.Object + ") asked to move its clusters to " + to.ID() + ": " + d.Reason,
		Breaks:   "whoever holds the key material can read what is encrypted under it",
		Guidance: "Contain first: take away the rights to back up and restore the key. Do not disable or delete it while a cluster uses it: that takes the cluster offline and gets no copy back.",
		Evidence: []risk.Evidence{{Call: "sealed request", At: d.At, Value: d.Matter}},
	}
	_, used := p.keys[k.ID()]
	switch {
	case used:
	case p.complete:
		v.Answer, v.Remedy, v.Breaks = risk.OK, "", ""
		v.Why = "no cluster that can be seen uses it any more. Disabling it is yours"
	default:
		v.Answer, v.Remedy, v.Breaks, v.Why = risk.Unknown, "", "", "who uses it cannot be told: "+p.why
	}
	return v
}

// quarantineFacts are what the plan of a quarantine rests on: every consumer's chain,
// as it is and as it would be.
func (g *Guard) quarantineFacts(ctx context.Context, p *picture, subject event.Subject) (f plan.Facts, ok bool, err error) {
	kp, ok := p.keys[subject.ID]
	if !ok || len(kp.facts.Wirings) == 0 {
		return f, false, nil
	}
	f = kp.facts
	d, to, ok, err := g.askedQuarantine(ctx, f.Key, true)
	if err != nil || !ok {
		return f, false, err
	}
	f.Key, f.To, f.Since = f.Key.Base(), to, d.At
	f.Wirings = withPeers(ctx, p.run, plan.Quarantine, f.Wirings)
	for _, w := range f.Wirings {
		f.Toward = append(f.Toward, p.run.Toward(ctx, w, f.To))
	}
	made, err := g.madeBefore(ctx, f)
	if err != nil || made == "" {
		return f, err == nil, err
	}
	f.To = f.To.At(made) // the plan was stopped after it had made the key: it goes on with that one
	for i, w := range f.Wirings {
		f.Toward[i] = p.run.Toward(ctx, w, f.To)
	}
	return f, true, nil
}

// madeBefore is the version of the new key that this very plan made, or "": by its own
// settled intent, and there alone.
func (g *Guard) madeBefore(ctx context.Context, f plan.Facts) (string, error) {
	if len(f.Toward) == 0 || len(f.Toward[0].Versions.Value) != 1 {
		return "", nil
	}
	partition, versions := keyPartition(f.Key), f.Toward[0].Versions
	own, err := remedy.Begun(ctx, g.State, partition, plan.CreateKeyEffect(f))
	if err != nil || !own {
		return "", asRecordError(err)
	}
	made, err := remedy.Made(ctx, g.State, partition, string(plan.StepCreateKey), createdTimes(versions))
	if version := versions.Value[0].Key.Version; made[version] {
		return version, asRecordError(err)
	}
	return "", asRecordError(err)
}

// regateMove asks the gates once more before a cluster's turn: those that are left, as
// they are now, and the new key as it was made.
func (g *Guard) regateMove(ctx context.Context, s *saga) (rulings []plan.Ruling, read bool, err error) {
	step := s.Plan.Steps[s.Step]
	id, err := azureid.ParseResource(step.Target)
	if err != nil {
		return nil, false, err
	}
	run := g.Survey()
	w, to := run.Wiring(ctx, id), s.Plan.To.At(s.New)
	if w.Key().Equal(to) {
		return nil, true, nil // moved meanwhile: the effect sees it
	}
	toward := run.Toward(ctx, w, to)
	facts := plan.Facts{
		Key: s.Plan.Key, To: to, Since: s.Plan.Created, Consumers: wiring.Consumers{Clusters: []wiring.Cluster{w.Cluster.Value}, Complete: true},
		Wirings: withPeers(ctx, run, plan.Quarantine, []wiring.Wiring{w}), Toward: []wiring.Wiring{toward}, Versions: w.Versions, Rotation: w.Rotation,
	}
	read = (&picture{wirings: []wiring.Wiring{w, toward}}).unread() == ""
	old, err := g.storedPlan(ctx, incident.Partition(s.Plan.Subject), s.Plan.ID)
	if err != nil {
		return nil, read, err
	}
	in, err := g.inputs(ctx, s.Plan, facts, "", old.plan.Causes, false)
	return plan.Gates(s.Plan, facts, in), read, err
}

// leftKey proposes to a person what is never ours: to disable the key that was left.
func leftKey(p plan.Plan) string {
	return "Every cluster of the plan is on the new key " + p.To.ID() + ", read back. Now decide, by hand, whether to disable the old key " + p.Key.ID() +
		": look first at who else uses it (cmkguard impact). Leave it disabled, not deleted, until what it encrypted is past its retention. We never disable it."
}
