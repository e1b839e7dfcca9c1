package survey

import (
	"context"
	"slices"
	"strings"

	"cmkguard/internal/wiring"
)

// Rivals lists who, but for the principal, holds a role whose name begins so in or
// above the watched subscriptions, each once per scope. It costs the lists of role
// assignments and roles.
func (r *Run) Rivals(ctx context.Context, role, principal string) wiring.Fact[[]wiring.Rival] {
	const call = "graph role assignments of remediators"
	all, roles := r.grants(ctx), r.roleList(ctx)
	switch {
	case !all.OK():
		return wiring.Failed[[]wiring.Rival](call, r.now(), all.Why)
	case !roles.OK():
		return wiring.Failed[[]wiring.Rival](call, r.now(), roles.Why)
	}
	out := []wiring.Rival{}
	for _, list := range all.Value {
		for _, a := range list {
			d, ok := roleOf(roles.Value, a.RoleID)
			if ok && strings.HasPrefix(strings.ToLower(d.Name), strings.ToLower(role)) && !strings.EqualFold(a.PrincipalID, principal) {
				out = append(out, wiring.Rival{Principal: strings.ToLower(a.PrincipalID), Role: d.Name, Scope: a.Scope})
			}
		}
	}
	slices.SortFunc(out, func(a, b wiring.Rival) int { return strings.Compare(a.Principal+a.Scope, b.Principal+b.Scope) })
	return wiring.Read(slices.Compact(out), call, r.now())
}
