package guard

import (
	"context"
	"maps"
	"slices"

	"cmkguard/internal/plan"
	"cmkguard/internal/risk"
	"cmkguard/internal/self"
	"cmkguard/internal/wiring"
)

// Identity tells who our remediator is.
type Identity interface {
	// Principal is its object id, in lower case.
	Principal(ctx context.Context) (string, error)
}

// judgeHands judges whether the remediator may do what the policy lets it do.
func (g *Guard) judgeHands(ctx context.Context, run Survey) risk.Verdict {
	switch {
	case !g.CanWrite:
		return self.JudgeHands(wiring.Fact[wiring.Hands]{}, "no remediator is configured", g.Now())
	case g.Policy.DryRun():
		return self.JudgeHands(wiring.Fact[wiring.Hands]{}, "the policy lets no remedy act", g.Now())
	}
	who, err := g.Watch.Remediator.Principal(ctx)
	if err != nil {
		return self.JudgeHands(wiring.Failed[wiring.Hands]("token of the remediator", g.Now(), err.Error()), "", g.Now())
	}
	return self.JudgeHands(run.Hands(ctx, who, needs{g}), "", g.Now())
}

// needs implements wiring.HandsJudge by the policy.
type needs struct{ g *Guard }

// Needs implements wiring.HandsJudge.
func (n needs) Needs(c wiring.Cluster, v wiring.Vault) []wiring.Need {
	var out []wiring.Need
	for _, remedy := range slices.Sorted(maps.Keys(plan.Ceilings())) {
		if plan.Lets(n.g.Policy, remedy, c) {
			out = append(out, plan.Rights(remedy, c, v)...)
		}
	}
	return out
}

// Holds implements wiring.HandsJudge.
func (needs) Holds(n wiring.Need, principal string, v wiring.Vault, assignments []wiring.RoleAssignment, roles map[string]wiring.RoleDefinition) wiring.Grip {
	return risk.Holds(n, principal, v, assignments, roles)
}
