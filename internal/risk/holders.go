package risk

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cmkguard/internal/wiring"
)

// holders collects who may do what: principal to the reason, for people.
type holders map[string]string

func (h holders) String() string {
	out := make([]string, 0, len(h))
	for _, p := range slices.Sorted(maps.Keys(h)) {
		out = append(out, p+" ("+h[p]+")")
	}
	return strings.Join(out, ", ")
}

// power is something that one may do, in the words of both permission models.
type power struct {
	data     []string // data actions, without their namespace
	policies []string // permissions of access policies
	control  []string // control-plane actions that amount to it in a vault with access policies
}

const vaultActions = "Microsoft.KeyVault/vaults/"

func powerToCopy() power {
	return power{data: []string{"keys/backup/action", "keys/restore/action"}, policies: []string{"backup", "restore"}}
}

// powerToDestroy is deleting, purging and disabling. In a vault with access
// policies whoever may write the vault can give himself all of it.
func powerToDestroy() power {
	return power{
		data:     []string{"keys/delete", "keys/purge/action", "keys/update/action"},
		policies: []string{"delete", "purge", "update"},
		control:  []string{"Microsoft.KeyVault/vaults/write", "Microsoft.KeyVault/vaults/accessPolicies/write"},
	}
}

// holdersOf returns who has the power over the cluster's key, break-glass
// principals left out. A group counts as one principal.
func (s *scene) holdersOf(p power) (holders, bool) {
	v, ok := s.vault()
	if !ok {
		return nil, false
	}
	out := holders{}
	if !v.RBAC {
		for _, e := range v.Policies {
			if has := held(e.Keys, p.policies); has != "" {
				s.hold(out, e.ObjectID, "access policy: "+has)
			}
		}
		if len(p.control) == 0 {
			return out, true
		}
	}
	assignments, roles, ok := s.everybody()
	if !ok {
		return nil, false
	}
	scope := keyScope(v, s.w.Key())
	for _, as := range assignments {
		if role, ok := roleOf(roles, as.RoleID); ok && covers(as.Scope, scope) && p.gives(role, v.RBAC) {
			s.hold(out, as.PrincipalID, "role "+role.Name)
		}
	}
	return out, true
}

func (s *scene) hold(h holders, principal, why string) {
	id := strings.ToLower(principal)
	if !containsFold(s.lim.BreakGlass, id) && h[id] == "" {
		h[id] = why
	}
}

func (p power) gives(role wiring.RoleDefinition, rbac bool) bool {
	if rbac {
		return slices.ContainsFunc(p.data, func(a string) bool { return allows(role.Permissions, vaultActions+a) })
	}
	return slices.ContainsFunc(p.control, func(a string) bool { return allowsControl(role.Permissions, a) })
}

// allowsControl is allows for the control plane.
func allowsControl(blocks []wiring.Permission, action string) bool {
	return slices.ContainsFunc(blocks, func(p wiring.Permission) bool {
		return matchAny(p.Actions, action) && !matchAny(p.NotActions, action)
	})
}

// held returns those of the permissions that the list has; "all" has them all.
func held(list, permissions []string) string {
	var out []string
	for _, p := range permissions {
		if containsFold(list, p) || containsFold(list, "all") {
			out = append(out, p)
		}
	}
	return strings.Join(out, " ")
}

// everybody returns the role assignments of everybody around the key and the
// cluster, with their roles. An assignment whose role is not known hides what
// it gives.
func (s *scene) everybody() ([]wiring.RoleAssignment, map[string]wiring.RoleDefinition, bool) {
	list, ok := around(s, "the list of who holds roles", s.w.Posture.Holders, func(l []wiring.RoleAssignment) string {
		return fmt.Sprintf("%d assignments", len(l))
	})
	if !ok {
		return nil, nil, false
	}
	roles, ok := around(s, "the list of their roles", s.w.Posture.HolderRoles, func(m map[string]wiring.RoleDefinition) string {
		return fmt.Sprintf("%d roles", len(m))
	})
	if !ok {
		return nil, nil, false
	}
	for _, as := range list {
		if _, ok := roleOf(roles, as.RoleID); !ok {
			s.missing = append(s.missing, "the definition of role "+lastSegment(as.RoleID)+" was not read")
			return nil, nil, false
		}
	}
	return list, roles, true
}
