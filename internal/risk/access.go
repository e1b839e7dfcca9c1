package risk

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/wiring"
)

// The data actions that a customer-managed key needs (Azure built-in role "Key
// Vault Crypto Service Encryption User").
const (
	actionRead   = "Microsoft.KeyVault/vaults/keys/read"
	actionWrap   = "Microsoft.KeyVault/vaults/keys/wrap/action"
	actionUnwrap = "Microsoft.KeyVault/vaults/keys/unwrap/action"
)

// Access says what a principal can do with a key: OK it can, Broken it cannot,
// Unknown it cannot be told.
type Access struct {
	Get    Answer
	Wrap   Answer
	Unwrap Answer
	Why    []string // what gives, withholds or hides the access, in the order found
	Excess []string // what it may do beyond the three, sorted; of direct grants
}

// Answer is OK if all three are, Broken if any is.
func (a Access) Answer() Answer { return worst(a.Get, a.Wrap, a.Unwrap) }

// worst returns Broken before Unknown before OK.
func worst(answers ...Answer) Answer {
	switch {
	case slices.Contains(answers, Broken):
		return Broken
	case slices.ContainsFunc(answers, func(a Answer) bool { return a != OK }):
		return Unknown
	}
	return OK
}

// JudgeAccess answers whether the principal can get, wrap and unwrap with a key
// in the vault. It follows the vault's permission model: access policies or
// Azure RBAC, never both. In RBAC assignments add up over roles, every deny
// assignment beats them, and nothing that it cannot evaluate (a condition, a
// group whose members were not read, a grant too young to have spread, a role
// definition not read) counts as granted or as refused. tenantID is the
// principal's tenant.
//
// The facts' own age is the caller's to check.
func JudgeAccess(v wiring.Vault, key azureid.Key, principalID, tenantID string,
	assignments wiring.Fact[[]wiring.RoleAssignment], defs wiring.Fact[map[string]wiring.RoleDefinition],
	denies wiring.Fact[[]wiring.DenyAssignment], now time.Time, lim Limits) Access {
	switch {
	case strings.Contains(key.Host, managedHSMInHost):
		return same(Unknown, "the key is in a Managed HSM, whose local role assignments are not read")
	case principalID == "":
		return same(Unknown, "the identity's principal id is not known")
	case v.ID.IsZero() || key.IsZero():
		return same(Unknown, "the vault or the key is not known")
	case v.TenantID == "" || tenantID == "":
		return same(Unknown, fmt.Sprintf("a tenant is not known: vault %q, identity %q", v.TenantID, tenantID))
	case !strings.EqualFold(v.TenantID, tenantID):
		return same(Broken, fmt.Sprintf("the vault trusts tenant %s, the identity is of tenant %s", v.TenantID, tenantID))
	case !v.RBAC:
		return byPolicies(v, principalID)
	}
	r := rbac{
		scope: strings.ToLower(v.ID.Key() + "/keys/" + key.Name), principal: principalID,
		assignments: assignments, defs: defs, denies: denies, now: now, lim: lim.orDefaults(),
	}
	return r.access()
}

func same(a Answer, why string) Access {
	return Access{Get: a, Wrap: a, Unwrap: a, Why: []string{why}}
}

// byPolicies reads a vault's access policies. Entries with an application id
// are for a user acting through an application, never for a cluster's identity;
// entries of another tenant do not apply.
func byPolicies(v wiring.Vault, principalID string) Access {
	var own, others []string
	for _, p := range v.Policies {
		switch {
		case p.ApplicationID != "" || !strings.EqualFold(p.TenantID, v.TenantID):
		case strings.EqualFold(p.ObjectID, principalID):
			own = append(own, p.Keys...)
		default:
			others = append(others, p.Keys...)
		}
	}
	a := Access{}
	a.Get = a.policy(own, others, "get")
	a.Wrap = a.policy(own, others, "wrapKey")
	a.Unwrap = a.policy(own, others, "unwrapKey")
	for _, p := range own {
		if !containsFold([]string{"get", "wrapKey", "unwrapKey"}, p) {
			a.Excess = append(a.Excess, p)
		}
	}
	slices.Sort(a.Excess)
	a.Excess = slices.Compact(a.Excess)
	return a
}

// policy answers for one permission. An access policy does not say whether its
// object is a group, so what another object holds may be the identity's too.
func (a *Access) policy(own, others []string, permission string) Answer {
	has := func(list []string) bool { return containsFold(list, permission) || containsFold(list, "all") }
	switch {
	case has(own):
		a.Why = append(a.Why, permission+": by the vault's access policy")
		return OK
	case has(others):
		a.Why = append(a.Why, permission+": not in the identity's own access policy; another object has it, "+
			"and if that is a group, whether the identity is a member was not read")
		return Unknown
	}
	a.Why = append(a.Why, permission+": in no access policy that applies to the identity")
	return Broken
}
