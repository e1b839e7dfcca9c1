package plan

import (
	"slices"
	"strings"

	"github.com/google/uuid"

	"cmkguard/internal/wiring"
)

// grantStep names the assignment by what it grants and to whom, so that a second try
// of the same plan meets its own assignment. In a vault of access policies it adds to
// the identity's entry.
func grantStep(f Facts, w wiring.Wiring) (Step, string) {
	switch {
	case !w.Vault.OK() || !w.Identity.OK():
		return Step{}, "the vault or the identity was not read"
	case w.Vault.Value.RBAC:
		return roleStep(f, w), ""
	case !f.Declared.AccessPolicies:
		return Step{}, "the vault uses access policies, which are not written unless the policy says restoreAccessPolicies: true; else whoever owns the vault sets get, wrapKey and unwrapKey"
	}
	return accessPolicyStep(w), ""
}

func roleStep(f Facts, w wiring.Wiring) Step {
	scope, principal := w.Vault.Value.ID.String(), w.Identity.Value.PrincipalID
	if f.GrantAtKey {
		scope += "/keys/" + f.Key.Name
	}
	name := uuid.NewSHA1(uuid.NameSpaceURL, []byte(strings.ToLower(scope+"|"+principal+"|"+RoleEncryptionUser))).String()
	from := "no grant"
	if len(f.Before) > 0 {
		from += "; before: " + strings.Join(f.Before, ", ")
	}
	return Step{
		Target: scope, From: from, To: RoleEncryptionUser,
		Call:     "PUT " + scope + "/providers/Microsoft.Authorization/roleAssignments/" + name,
		Args:     map[string]string{"assignment": name, "principalId": principal, "principalType": "ServicePrincipal"},
		ReadBack: "GET of the assignment shows role and principal; it takes effect within minutes",
		Undo:     Irreversible + ": removing a grant is its owner's",
	}
}

// KeyAccess are the permissions of an access policy that a customer-managed key
// needs, as the service writes them.
func KeyAccess() []string { return []string{"get", "wrapKey", "unwrapKey"} }

// accessPolicyStep: one entry is added to, and none replaced or taken away.
func accessPolicyStep(w wiring.Wiring) Step {
	v, principal := w.Vault.Value, w.Identity.Value.PrincipalID
	have := KeysOf(v, principal)
	from := strings.Join(have, ",")
	if from == "" {
		from = "none"
	}
	id := v.ID.String()
	return Step{
		Target: id, From: "keys: " + from, To: "keys: " + strings.Join(WithKeyAccess(have), ","),
		Call:     "PUT " + id + "/accessPolicies/add",
		Args:     map[string]string{"objectId": principal},
		ReadBack: "GET " + id + " shows get, wrapKey and unwrapKey for the identity",
		Undo:     Irreversible + ": taking permissions away is their owner's",
	}
}

// KeysOf are the key permissions that the principal has by itself in the vault.
func KeysOf(v wiring.Vault, principal string) []string {
	for _, e := range v.Policies {
		if strings.EqualFold(e.ObjectID, principal) && e.ApplicationID == "" && strings.EqualFold(e.TenantID, v.TenantID) {
			return e.Keys
		}
	}
	return nil
}

// WithKeyAccess adds what a customer-managed key needs to the permissions.
func WithKeyAccess(have []string) []string {
	out := slices.Clone(have)
	for _, p := range KeyAccess() {
		if !slices.ContainsFunc(out, func(o string) bool { return strings.EqualFold(o, p) || strings.EqualFold(o, "all") }) {
			out = append(out, p)
		}
	}
	return out
}
