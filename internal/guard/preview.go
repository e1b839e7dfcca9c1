package guard

import (
	"cmp"
	"context"
	"slices"

	"cmkguard/internal/approval"
	"cmkguard/internal/azureid"
	"cmkguard/internal/event"
	"cmkguard/internal/incident"
	"cmkguard/internal/plan"
	"cmkguard/internal/wiring"
)

// Preview returns the plans that a look at everything would make now, with what
// each gate says: the same code as the live path, and nothing is stored. why is
// not empty if not everything could be seen.
func (g *Guard) Preview(ctx context.Context) (out []Held, why string, err error) {
	keys, why := g.keysInUse(ctx)
	for _, k := range keys {
		more, err := g.PreviewOf(ctx, lookAt(event.Subject{Kind: event.SubjectKey, ID: k.ID()}, k))
		if err != nil {
			return nil, why, err
		}
		for _, h := range more {
			if !slices.ContainsFunc(out, func(o Held) bool { return o.Plan.ID == h.Plan.ID }) {
				out = append(out, h)
			}
		}
	}
	return out, why, nil
}

// PreviewOf returns the plans that one signal would lead to.
func (g *Guard) PreviewOf(ctx context.Context, s event.Signal) ([]Held, error) {
	run := g.Survey()
	p := g.look(ctx, run, s)
	p.peek = true
	if err := g.addKeys(ctx, run, p); err != nil {
		return nil, err
	}
	if err := g.addPointedBack(ctx, p); err != nil {
		return nil, err
	}
	var out []Held
	for _, subject := range p.subjects() {
		list, _, err := g.wanted(ctx, p, subject)
		if err != nil {
			return nil, err
		}
		for _, w := range list {
			h, err := g.held(ctx, w, incident.Partition(subject), s)
			if err != nil {
				return nil, err
			}
			out = append(out, h)
		}
	}
	return out, nil
}

// held asks the gates about a plan, as they would rule if people also decided more.
func (g *Guard) held(ctx context.Context, w want, partition string, s event.Signal, more ...approval.Decision) (Held, error) {
	old, err := g.storedPlan(ctx, partition, w.plan.ID)
	if err != nil {
		return Held{}, err
	}
	h := Held{Plan: w.plan, Partition: partition, Causes: withCause(old.plan.Causes, s)}
	if _, h.SHA256, err = w.plan.Encode(); err != nil {
		return h, err
	}
	in, err := g.inputs(ctx, w.plan, w.facts, "", h.Causes, true)
	if err != nil {
		return h, err
	}
	in.Decisions = append(in.Decisions, more...)
	h.Rulings = plan.Gates(w.plan, w.facts, in)
	return h, nil
}

// keysInUse are the keys that clusters are seen to name, in order.
func (g *Guard) keysInUse(ctx context.Context) (keys []azureid.Key, why string) {
	clusters, complete, why := g.Survey().Keyed(ctx)
	if complete {
		why = ""
	}
	return keysOf(clusters), why
}

// keysOf are the clusters' keys, each once, in order.
func keysOf(clusters []wiring.Cluster) (keys []azureid.Key) {
	seen := map[string]bool{}
	for _, c := range clusters {
		if c.CMK == nil || c.CMK.Key.IsZero() {
			continue
		}
		if k := c.CMK.Key.Base(); !seen[k.ID()] {
			seen[k.ID()], keys = true, append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b azureid.Key) int { return cmp.Compare(a.ID(), b.ID()) })
	return keys
}
