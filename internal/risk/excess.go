package risk

import (
	"slices"
	"strings"

	"cmkguard/internal/wiring"
)

// excess lists which of the vault's other data actions the principal's own
// assignments give, whether conditional or not. An excess never makes a key
// fail; it is what a thief of the identity would have.
func (r rbac) excess() []string {
	var out []string
	for _, as := range r.assignments.Value {
		if !covers(as.Scope, r.scope) || !strings.EqualFold(as.PrincipalID, r.principal) {
			continue
		}
		role, ok := r.role(as.RoleID)
		if !ok {
			continue
		}
		out = append(out, beyond(role)...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func beyond(role wiring.RoleDefinition) []string {
	var out []string
	for _, a := range otherActions() {
		if allows(role.Permissions, "Microsoft.KeyVault/vaults/"+a) {
			out = append(out, a)
		}
	}
	return out
}

// otherActions are the data actions that a customer-managed key does not need
// (azkeys REST reference, Key Vault RBAC guide).
func otherActions() []string {
	return []string{
		"keys/create/action", "keys/import/action", "keys/update/action", "keys/delete", "keys/recover/action",
		"keys/purge/action", "keys/backup/action", "keys/restore/action", "keys/encrypt/action", "keys/decrypt/action",
		"keys/sign/action", "keys/verify/action", "keys/release/action", "keys/rotate/action",
		"keyrotationpolicies/read", "keyrotationpolicies/write",
		"secrets/getSecret/action", "secrets/setSecret/action", "secrets/delete", "certificates/read",
	}
}
