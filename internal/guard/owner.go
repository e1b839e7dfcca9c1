package guard

import (
	"context"

	"cmkguard/internal/plan"
	"cmkguard/internal/risk"
	"cmkguard/internal/self"
	"cmkguard/internal/wiring"
)

// remediatorRole is how the names of the roles begin that infra/access.bicep gives
// remediators: whoever holds one was set up to act, and everybody who may read role
// assignments sees it.
const remediatorRole = "CMK Guard Remediator"

// judgeOwner adds to the picture whether tags say that another installation acts on
// what the policy says is ours.
func (g *Guard) judgeOwner(p *picture, w wiring.Wiring) {
	us := g.Policy.Owner.Installation
	if us == "" || !g.Watch.Beats {
		return
	}
	p.add(self.JudgeOwner(w, us, g.owns(w), plan.Owners(w)))
}

// judgeRivals judges who else may act in the watched scope, and keeps who that is. Where
// no owner is declared nothing is judged.
func (g *Guard) judgeRivals(ctx context.Context, run Survey) ([]risk.Verdict, error) {
	if g.Policy.Owner.Installation == "" {
		return nil, g.unasked(ctx, self.Owner, self.Us(), "no owner is declared")
	}
	who := ""
	if g.CanWrite { // without a remediator of ours every one is another's
		var err error
		if who, err = g.Watch.Remediator.Principal(ctx); err != nil {
			return []risk.Verdict{self.JudgeRivals(wiring.Failed[[]wiring.Rival]("token of the remediator", g.Now(), err.Error()), nil)}, nil //nolint:nilerr // it is the answer: unknown
		}
	}
	f := run.Rivals(ctx, remediatorRole, who)
	return []risk.Verdict{self.JudgeRivals(f, g.Policy.Owner.Others)}, g.noteRivals(ctx, f)
}
