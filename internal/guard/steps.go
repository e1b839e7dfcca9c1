package guard

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/plan"
	"cmkguard/internal/remedy"
	"cmkguard/internal/remedy/rewire"
	"cmkguard/internal/remedy/rotate"
	"cmkguard/internal/wiring"
)

// adoptionSlack is how much longer than the documented two hours a v2 cluster
// may take before it is PATCHed.
const adoptionSlack = 30 * time.Minute

// stepRotate asks the gates once more on fresh facts right before the first
// attempt, then runs the effect.
func (g *Guard) stepRotate(ctx context.Context, partition string, s *saga) error {
	effect := rotate.Effect(g.Vault, s.Plan, partition)
	ready, err := g.begin(ctx, s, partition, effect.Key, func() ([]plan.Ruling, bool, error) { return g.regate(ctx, s.Plan) })
	if !ready || err != nil {
		return err
	}
	out, err := g.stepInGroup(ctx, effect, turnOfRotation(s, partition, g.Policy.Limits.Risk.AdoptionWait))
	if err != nil {
		return err
	}
	switch out.Status {
	case remedy.Settled:
		s.Phase, s.New, s.MadeAt, s.NextAt = phaseFollow, out.Result, g.Now().UTC(), g.Now().UTC()
		s.Why = "version " + out.Result + " was made and read back"
	case remedy.Failed:
		s.stop(out.Why, out.At)
	case remedy.Again:
		s.NextAt, s.Why = out.At.UTC(), out.Why
	}
	return nil
}

// begin reports whether the effect under the key may be stepped: it was begun
// already, or the gates, asked on fresh facts, allow it and that is written down.
// What holds it may be what another worker has just begun for the same plan: then it
// is brought to its end, not stopped.
func (g *Guard) begin(ctx context.Context, s *saga, partition, key string, regate func() (rulings []plan.Ruling, read bool, err error)) (ready bool, err error) {
	begun, err := remedy.Begun(ctx, g.State, partition, key)
	if begun || err != nil {
		return begun, err
	}
	rulings, read, err := regate()
	held := heldText(rulings)
	switch {
	case err != nil:
		return false, err
	case held == "":
		return true, g.beginAction(ctx, s.Plan)
	case g.waitToRead(s, held, read) || g.waitForTurn(s, rulings, held):
		return false, nil
	}
	if begun, err = remedy.Begun(ctx, g.State, partition, key); begun || err != nil {
		return begun, err
	}
	s.stop("not started: "+held, g.Now())
	return false, nil
}

// maxWaits is how often a plan that is to begin waits for facts that cannot be read
// just now (a service's rate is used up, say) before it is stopped.
const maxWaits = 12

// waitToRead puts the step off where what holds it is that nothing could be read.
func (g *Guard) waitToRead(s *saga, held string, read bool) bool {
	if read || s.Waits >= maxWaits {
		return false
	}
	s.Waits++
	s.NextAt, s.Why = g.Now().Add(backoff(s.Waits, 0, s.Plan.ID)).UTC(), "waits for what could not be read: "+clip(held, 500)
	return true
}

// waitForTurn puts the step off where another member of a geo-replication group is on
// the way: its end is waited for, and is nobody's fault.
func (g *Guard) waitForTurn(s *saga, rulings []plan.Ruling, held string) bool {
	for _, r := range plan.Holding(rulings) {
		if r.Gate != plan.GateGroup {
			return false
		}
	}
	s.NextAt, s.Why = g.Now().Add(turnOfGroup).UTC(), "waits for its turn: "+clip(held, 500)
	return true
}

// turnOfGroup is how often a plan asks whether its turn has come.
const turnOfGroup = 5 * time.Minute

// regate asks the gates on fresh facts; read is false if facts were missing.
func (g *Guard) regate(ctx context.Context, p plan.Plan) (rulings []plan.Ruling, read bool, err error) {
	run := g.Survey()
	facts, err := g.keyFacts(ctx, run, p.Key)
	if err != nil {
		return nil, false, err
	}
	if facts, err = g.standing(ctx, run, p.Remedy, facts); err != nil {
		return nil, false, err
	}
	read = facts.Versions.State != wiring.NotRead && facts.Versions.State != wiring.Unreadable && len(facts.Wirings) > 0
	fresh := plan.ForRotation(facts, p.PolicyHash, p.Created)
	old, err := g.storedPlan(ctx, keyPartition(p.Key), p.ID)
	if err != nil {
		return nil, read, err
	}
	in, err := g.inputs(ctx, fresh, facts, "", old.plan.Causes, false)
	return plan.Gates(fresh, facts, in), read, err
}

// released leaves out that a cluster's move waits for an approval, where people
// approved the rotation whose plan names that move as a step.
func (g *Guard) released(ctx context.Context, rotation plan.Plan, rulings []plan.Ruling) ([]plan.Ruling, error) {
	old, err := g.storedPlan(ctx, keyPartition(rotation.Key), rotation.ID)
	if err != nil || !slices.ContainsFunc(old.plan.Rulings, plan.Ruling.ByPeople) {
		return rulings, err
	}
	return slices.DeleteFunc(rulings, func(r plan.Ruling) bool { return r.Gate == "mode" && strings.HasPrefix(r.Reason, plan.Waits) }), nil
}

func heldText(rs []plan.Ruling) string {
	var out []string
	for _, r := range plan.Holding(rs) {
		out = append(out, r.Gate+": "+r.Reason)
	}
	return strings.Join(out, "; ")
}

// stepFollow brings the clusters to the new version: those that follow by
// themselves are watched side by side, the others are moved one after another,
// the first being the canary. The first failure stops the rest on the old,
// enabled version.
func (g *Guard) stepFollow(ctx context.Context, own string, s *saga) error {
	next, moving := time.Time{}, false
	for i := range s.Followers {
		f := &s.Followers[i]
		if f.Done {
			continue
		}
		patch := f.Kind != "v2" || g.Now().After(s.MadeAt.Add(g.Policy.Limits.Risk.AdoptionWait+adoptionSlack))
		if patch && moving {
			continue // one cluster at a time
		}
		out, err := g.stepFollower(ctx, own, s, f, patch)
		if err != nil {
			return err
		}
		switch out.Status {
		case remedy.Settled:
			f.Done, f.By = true, "rewired"
			if !patch {
				f.By = "adopted"
			}
			if err := g.leaveTurns(ctx, s.Plan.ID, strings.ToLower(f.Cluster)); err != nil {
				return err
			}
		case remedy.Failed:
			s.stop(fmt.Sprintf("%s: %s; it and the clusters after it stay on the version that they are on, which is still enabled", f.Cluster, out.Why), out.At)
			return nil
		case remedy.Again:
			moving = moving || patch
			if next.IsZero() || out.At.Before(next) {
				next = out.At
			}
			s.Why = azureid.MustResource(f.Cluster).Name() + ": " + out.Why
		}
	}
	if next.IsZero() {
		s.Phase, s.Why = phaseDone, fmt.Sprintf("%s on version %s, each read back Running", clusters(len(s.Followers)), s.ends())
		return nil
	}
	s.NextAt = next.UTC()
	return nil
}

func (g *Guard) stepFollower(ctx context.Context, own string, s *saga, f *follower, patch bool) (remedy.Outcome, error) {
	id, err := azureid.ParseResource(f.Cluster)
	if err != nil {
		return remedy.Outcome{}, err
	}
	from, to := s.Plan.Key.At(f.From), s.Plan.Key.At(s.to(f))
	if !patch {
		return g.watchAdoption(ctx, id, from, to)
	}
	partition := clusterPartition(id)
	effect := rewire.Effect(g.Clusters, id, from, to, s.Plan.ID, partition)
	if s.Plan.Remedy != plan.Rotate { // whose steps were made before the version was
		effect.Key = s.Plan.StepOn(id.Key()).Key
	}
	begun, err := remedy.Begun(ctx, g.State, partition, effect.Key)
	if err != nil {
		return remedy.Outcome{}, err
	}
	if !begun {
		out, err := g.beginMove(ctx, own, s, f, id, to)
		if err != nil || out.Status != "" {
			return out, err
		}
	}
	return g.stepInGroup(ctx, effect, groupTurn{s, own, []azureid.Resource{id}, groupTime})
}

// beginMove asks the gates about a cluster's move right before its first attempt; an
// outcome with a status says that it is not begun.
func (g *Guard) beginMove(ctx context.Context, own string, s *saga, f *follower, id azureid.Resource, to azureid.Key) (out remedy.Outcome, err error) {
	held := ""
	if s.Plan.Remedy == plan.Undo {
		held, err = g.beginUndo(ctx, own, s, f)
	} else {
		held, err = g.regateRewire(ctx, id, s.Plan, to)
	}
	switch {
	case err != nil:
		return out, err
	case held != "" && s.Plan.Remedy == plan.Undo && !s.begun():
		return remedy.Outcome{Status: remedy.Failed, At: g.Now(), Why: "not started: " + held}, nil
	case held != "":
		return remedy.Outcome{Status: remedy.Again, At: g.Now().Add(5 * time.Minute), Why: "held: " + held}, nil
	case s.Plan.Remedy == plan.Rotate: // it was begun with the key
		return out, nil
	}
	return out, g.beginAction(ctx, s.Plan)
}

// watchAdoption only reads: the service moves the cluster by itself.
func (g *Guard) watchAdoption(ctx context.Context, id azureid.Resource, from, to azureid.Key) (remedy.Outcome, error) {
	sight, _, err := rewire.Look(ctx, g.Clusters, id, from, to)
	switch {
	case err != nil:
		return remedy.Outcome{}, err
	case sight.Done:
		return remedy.Outcome{Status: remedy.Settled, Result: to.Version}, nil
	case sight.Stop != "":
		return remedy.Outcome{Status: remedy.Failed, Why: sight.Stop}, nil
	}
	return remedy.Outcome{Status: remedy.Again, At: g.Now().Add(5 * time.Minute), Why: "waits for the service to adopt version " + to.Version}, nil
}

func (g *Guard) regateRewire(ctx context.Context, id azureid.Resource, own plan.Plan, to azureid.Key) (string, error) {
	run := g.Survey()
	w := run.Wiring(ctx, id)
	facts, err := g.keyFacts(ctx, run, own.Key)
	if err != nil {
		return "", err
	}
	if w.Key().Equal(to) {
		return "", nil // adopted meanwhile: the effect will see it
	}
	facts.Key, facts.To, facts.Cluster, facts.Wirings = w.Key(), to, w.Cluster.Value, []wiring.Wiring{w}
	if facts, err = g.standing(ctx, run, plan.Rewire, facts); err != nil {
		return "", err
	}
	p := plan.ForRewire(facts, g.Policy.Hash, g.Now())
	in, err := g.inputs(ctx, p, facts, own.ID, nil, false)
	if err != nil {
		return "", err
	}
	rulings := plan.Gates(p, facts, in)
	if own.Remedy == plan.Rotate {
		// It is under way: two that began side by side would wait for each other. Its
		// turn, and how the other members are, is asked before anything is sent, and a
		// failure there stops it.
		rulings = slices.DeleteFunc(rulings, func(r plan.Ruling) bool { return r.Gate == plan.GateGroup || r.Gate == plan.GateGroupHealth })
		rulings, err = g.released(ctx, own, rulings)
	}
	return heldText(rulings), err
}
