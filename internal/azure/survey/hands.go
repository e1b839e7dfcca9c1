package survey

import (
	"context"

	"cmkguard/internal/wiring"
)

// confirmed is how many needs that the lists show unmet are asked about by
// themselves: lists lag, and beyond so many it is no lag.
const confirmed = 20

// Hands says which of what a principal needs over the clusters with a key of
// their own it lacks, by the caller's judgement. It costs the lists of clusters,
// vaults, role assignments and roles, and two calls for each of at most twenty
// needs that these show unmet.
func (r *Run) Hands(ctx context.Context, principal string, by wiring.HandsJudge) wiring.Fact[wiring.Hands] {
	const call = "graph role assignments of our remediator"
	failed := func(why string) wiring.Fact[wiring.Hands] {
		return wiring.Failed[wiring.Hands](call, r.now(), why)
	}
	if r.src.Rows == nil || r.src.Around == nil {
		return failed("this survey has no lists")
	}
	all, roles := r.grants(ctx), r.roleList(ctx)
	switch {
	case !all.OK():
		return failed(all.Why)
	case !roles.OK():
		return failed(roles.Why)
	}
	h := hands{run: r, by: by, out: wiring.Hands{Principal: principal}, seen: map[string]bool{}}
	err := r.Pages(ctx, func(page []Listed) error {
		for _, c := range page {
			h.cluster(ctx, c, all.Value, roles.Value)
		}
		return nil
	})
	if err != nil {
		return failed(err.Error())
	}
	return wiring.Read(h.out, call, r.now())
}

type hands struct {
	run   *Run
	by    wiring.HandsJudge
	out   wiring.Hands
	seen  map[string]bool // scope and action
	asked int             // by themselves
}

func (h *hands) cluster(ctx context.Context, c Listed, all grantIndex, roles map[string]wiring.RoleDefinition) {
	k := c.Fact.Value.CMK
	if !c.Fact.OK() || k == nil || k.Key.IsZero() || h.run.cloud.IsHSM(k.Key.Host) {
		return // of a Managed HSM, whose roles are its own, nothing is known here
	}
	v := h.run.listedVault(ctx, k.Key.Host)
	if !v.OK() {
		h.unsure(v.Why)
		return
	}
	for _, n := range h.by.Needs(c.Fact.Value, v.Value) {
		id := n.Scope + "|" + n.Action
		if h.seen[id] {
			continue
		}
		h.seen[id] = true
		h.out.Needs++
		g := h.by.Holds(n, h.out.Principal, v.Value, all.above(n.Scope), roles)
		if g.No && h.asked < confirmed {
			h.asked++
			g = h.again(ctx, n, k.Key.Host)
		}
		switch {
		case g.No:
			h.out.Lacks = append(h.out.Lacks, wiring.Lack{Need: n, Why: g.Why})
		case g.Maybe:
			h.unsure(g.Why)
		}
	}
}

func (h *hands) unsure(why string) {
	if h.out.Unsure++; h.out.UnsureWhy == "" {
		h.out.UnsureWhy = why
	}
}

// again asks about one need by itself. The principal's own list holds what its
// groups have, too, so that all of it is the principal's.
func (h *hands) again(ctx context.Context, n wiring.Need, host string) wiring.Grip {
	maybe := func(why string) wiring.Grip { return wiring.Grip{Maybe: true, Why: why} }
	v := h.run.vault(ctx, host)
	if n.Data && !v.OK() {
		return maybe(v.Why)
	}
	if n.Data && !v.Value.RBAC {
		return h.by.Holds(n, h.out.Principal, v.Value, nil, nil)
	}
	own := h.run.src.Grants.Assignments(ctx, n.Scope, h.out.Principal)
	if !own.OK() {
		return maybe(own.Why)
	}
	for i := range own.Value {
		own.Value[i].PrincipalType, own.Value[i].PrincipalID = "ServicePrincipal", h.out.Principal
	}
	roles := h.run.roles(ctx, own.Value)
	if !roles.OK() {
		return maybe(roles.Why)
	}
	return h.by.Holds(n, h.out.Principal, v.Value, own.Value, roles.Value)
}
