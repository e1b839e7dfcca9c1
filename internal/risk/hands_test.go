package risk_test

import (
	"testing"

	"cmkguard/internal/risk"
	"cmkguard/internal/wiring"
)

func TestWhoHoldsWhatIsNeeded(t *testing.T) {
	t.Parallel()
	const scope, me = "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/kv/keys/k", "me"
	rbac := wiring.Vault{Name: "kv", RBAC: true}
	policies := wiring.Vault{Name: "kv", Policies: []wiring.AccessPolicy{{ObjectID: "ME", Keys: []string{"Get", "rotate"}}}}
	data := wiring.Need{Scope: scope, Action: "Microsoft.KeyVault/vaults/keys/rotate/action", Data: true, Permission: "rotate"}
	control := wiring.Need{Scope: "/subscriptions/s/resourceGroups/g/providers/Microsoft.Cache/redisEnterprise/c", Action: "Microsoft.Cache/redisEnterprise/write"}
	update := wiring.Need{Scope: scope, Action: "Microsoft.KeyVault/vaults/keys/update/action", Data: true, Permission: "update"}
	roles := map[string]wiring.RoleDefinition{
		"/r/officer": {ID: "/r/officer", Name: "officer", Permissions: []wiring.Permission{{DataActions: []string{"Microsoft.KeyVault/vaults/keys/*"}, NotDataActions: []string{"*/update/action"}}}},
		"/r/writer":  {ID: "/r/writer", Name: "writer", Permissions: []wiring.Permission{{Actions: []string{"Microsoft.Cache/*"}}}},
		"/r/trap":    {ID: "/r/trap", Name: "trap", Permissions: []wiring.Permission{{Actions: []string{"Microsoft.KeyVault/vaults/keys/rotate/action"}, DataActions: []string{"Microsoft.Cache/*"}}}},
	}
	as := func(role, principal, kind, at, condition string) []wiring.RoleAssignment {
		return []wiring.RoleAssignment{{ID: "/a/1", RoleID: role, PrincipalID: principal, PrincipalType: kind, Scope: at, Condition: condition}}
	}
	for name, c := range map[string]struct {
		need      wiring.Need
		vault     wiring.Vault
		list      []wiring.RoleAssignment
		no, maybe bool
	}{
		"none":                     {data, rbac, nil, true, false},
		"at the group":             {data, rbac, as("/r/officer", "ME", "ServicePrincipal", "/subscriptions/s/resourceGroups/G", ""), false, false},
		"at another group":         {data, rbac, as("/r/officer", me, "ServicePrincipal", "/subscriptions/s/resourceGroups/other", ""), true, false},
		"somebody else's":          {data, rbac, as("/r/officer", "you", "ServicePrincipal", "/", ""), true, false},
		"taken out of it":          {update, rbac, as("/r/officer", me, "ServicePrincipal", "/", ""), true, false},
		"a control action is none": {data, rbac, as("/r/trap", me, "ServicePrincipal", "/", ""), true, false},
		"a data action is none":    {control, rbac, as("/r/trap", me, "ServicePrincipal", "/", ""), true, false},
		"control":                  {control, rbac, as("/r/writer", me, "ServicePrincipal", "/", ""), false, false},
		"a group's":                {control, rbac, as("/r/writer", "g", "Group", "/", ""), false, true},
		"a group's of no use":      {control, rbac, as("/r/officer", "g", "Group", "/", ""), true, false},
		"under a condition":        {control, rbac, as("/r/writer", me, "ServicePrincipal", "/", "@x"), false, true},
		"a role that was not read": {control, rbac, as("/r/x", me, "ServicePrincipal", "/", ""), false, true},
		"by policy":                {data, policies, nil, false, false},
		"by no policy":             {update, policies, as("/r/officer", me, "ServicePrincipal", "/", ""), true, false},
		"control is never by one":  {control, policies, nil, true, false},
	} {
		if g := risk.Holds(c.need, me, c.vault, c.list, roles); g.No != c.no || g.Maybe != c.maybe || g.Why == "" {
			t.Errorf("%s: %+v", name, g)
		}
	}
}
