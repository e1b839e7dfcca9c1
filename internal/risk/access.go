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

	hidden string // which read behind the grants is missing, for the checks of how access is given
}

// AccessFacts are what an answer about access rests on. Groups are the object
// ids of the groups that the principal is in; where they were not read, what a
// group has is unknown.
type AccessFacts struct {
	Vault       wiring.Vault
	Key         azureid.Key
	PrincipalID string
	TenantID    string
	Groups      wiring.Fact[[]string]
	Assignments wiring.Fact[[]wiring.RoleAssignment]
	Definitions wiring.Fact[map[string]wiring.RoleDefinition]
	Denies      wiring.Fact[[]wiring.DenyAssignment]
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

// JudgeAccess is AccessFacts.Judge where the principal's groups were not read.
func JudgeAccess(v wiring.Vault, key azureid.Key, principalID, tenantID string,
	assignments wiring.Fact[[]wiring.RoleAssignment], defs wiring.Fact[map[string]wiring.RoleDefinition],
	denies wiring.Fact[[]wiring.DenyAssignment], now time.Time, lim Limits) Access {
	return AccessFacts{
		Vault: v, Key: key, PrincipalID: principalID, TenantID: tenantID,
		Assignments: assignments, Definitions: defs, Denies: denies,
	}.Judge(now, lim)
}

// Judge answers whether the principal can get, wrap and unwrap with a key in the
// vault. It follows the vault's permission model: access policies or Azure RBAC,
// never both. In RBAC assignments add up over roles, every deny assignment beats
// them, and nothing that it cannot evaluate (a condition, a group whose members
// were not read, a grant too young to have spread, a role definition not read)
// counts as granted or as refused. TenantID is the principal's tenant.
//
// The facts' own age is the caller's to check.
func (f AccessFacts) Judge(now time.Time, lim Limits) Access {
	switch v := f.Vault; {
	case strings.Contains(f.Key.Host, managedHSMInHost):
		return same(Unknown, "the key is in a Managed HSM, whose local role assignments are not read")
	case f.PrincipalID == "":
		return same(Unknown, "the identity's principal id is not known")
	case v.ID.IsZero() || f.Key.IsZero():
		return same(Unknown, "the vault or the key is not known")
	case v.TenantID == "" || f.TenantID == "":
		return same(Unknown, fmt.Sprintf("a tenant is not known: vault %q, identity %q", v.TenantID, f.TenantID))
	case !strings.EqualFold(v.TenantID, f.TenantID):
		return same(Broken, fmt.Sprintf("the vault trusts tenant %s, the identity is of tenant %s", v.TenantID, f.TenantID))
	case !v.RBAC:
		return f.byPolicies()
	}
	return f.rbac(now, lim).access()
}

func (f AccessFacts) rbac(now time.Time, lim Limits) rbac {
	return rbac{
		scope: keyScope(f.Vault, f.Key), principal: f.PrincipalID, groups: f.Groups,
		assignments: f.Assignments, defs: f.Definitions, denies: f.Denies, now: now, lim: lim.orDefaults(),
	}
}

// keyScope is the key's scope for Azure RBAC, in lower case.
func keyScope(v wiring.Vault, k azureid.Key) string {
	return strings.ToLower(v.ID.Key() + "/keys/" + k.Name)
}

func same(a Answer, why string) Access {
	return Access{Get: a, Wrap: a, Unwrap: a, Why: []string{why}}
}

// byPolicies reads a vault's access policies. Entries with an application id
// are for a user acting through an application, never for a cluster's identity;
// entries of another tenant do not apply.
func (f AccessFacts) byPolicies() Access {
	var own, others []string
	for _, p := range f.Vault.Policies {
		switch {
		case p.ApplicationID != "" || !strings.EqualFold(p.TenantID, f.Vault.TenantID):
		case strings.EqualFold(p.ObjectID, f.PrincipalID), f.Groups.OK() && containsFold(f.Groups.Value, p.ObjectID):
			own = append(own, p.Keys...)
		case !f.Groups.OK():
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
