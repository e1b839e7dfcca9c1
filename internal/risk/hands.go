package risk

import (
	"fmt"
	"strings"

	"cmkguard/internal/wiring"
)

// Holds tells whether a principal holds what is needed in or above the vault: by
// access policies where the vault goes by them and a data action is asked for, else
// by the role assignments. A group's, one with a condition and one whose role was
// not read might give it. Deny assignments are not looked at.
func Holds(n wiring.Need, principal string, v wiring.Vault, assignments []wiring.RoleAssignment, roles map[string]wiring.RoleDefinition) wiring.Grip {
	if n.Data && !v.RBAC {
		return holdsByPolicy(n, principal, v)
	}
	maybe := ""
	for _, as := range assignments {
		group := strings.EqualFold(as.PrincipalType, "Group")
		if !covers(as.Scope, n.Scope) || !group && !strings.EqualFold(as.PrincipalID, principal) {
			continue
		}
		name := "assignment " + lastSegment(as.ID)
		role, ok := roleOf(roles, as.RoleID)
		gives := allowsControl
		if n.Data {
			gives = allows
		}
		switch {
		case !ok:
			maybe = fmt.Sprintf("%s: the definition of role %s was not read", name, lastSegment(as.RoleID))
		case !gives(role.Permissions, n.Action):
		case group:
			maybe = fmt.Sprintf("%s gives it to group %s, whose members are not known", name, as.PrincipalID)
		case strings.TrimSpace(as.Condition) != "":
			maybe = name + " gives it under a condition"
		default:
			return wiring.Grip{Why: fmt.Sprintf("by role %q at %s", role.Name, as.Scope)}
		}
	}
	if maybe != "" {
		return wiring.Grip{Maybe: true, Why: maybe}
	}
	return wiring.Grip{No: true, Why: "no role assignment at " + n.Scope + " or above gives it to principal " + principal}
}

func holdsByPolicy(n wiring.Need, principal string, v wiring.Vault) wiring.Grip {
	for _, p := range v.Policies {
		if strings.EqualFold(p.ObjectID, principal) && held(p.Keys, []string{n.Permission}) != "" {
			return wiring.Grip{Why: "by an access policy of " + v.Name}
		}
	}
	return wiring.Grip{No: true, Why: "no access policy of " + v.Name + " gives " + n.Permission + " to principal " + principal}
}
