package risk_test

import (
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/risk"
	"cmkguard/internal/risk/risktest"
	"cmkguard/internal/wiring"

	"github.com/google/go-cmp/cmp"
)

// allow is the answers for get, wrap and unwrap, one letter each: o, b, u.
func allow(a risk.Access) string {
	return string([]byte{a.Get[0], a.Wrap[0], a.Unwrap[0]})
}

func access(w wiring.Wiring) risk.Access {
	id := w.Identity.Value
	return risk.AccessFacts{
		Vault: w.Vault.Value, Key: w.Key(), PrincipalID: id.PrincipalID, TenantID: id.TenantID, Groups: w.Posture.Groups,
		Assignments: w.Assignments, Definitions: w.Definitions, Denies: w.Denies,
	}.Judge(clock(), risk.Defaults())
}

func as(f func(*wiring.RoleAssignment)) func(*wiring.Wiring) {
	return func(w *wiring.Wiring) { f(&w.Assignments.Value[0]) }
}

func role(perms ...wiring.Permission) func(*wiring.Wiring) {
	return func(w *wiring.Wiring) {
		w.Definitions.Value[risktest.RoleID] = wiring.RoleDefinition{ID: risktest.RoleID, Name: "custom", Permissions: perms}
	}
}

func deny(f func(*wiring.DenyAssignment)) func(*wiring.Wiring) {
	return func(w *wiring.Wiring) {
		d := wiring.DenyAssignment{
			ID: "/x/denyAssignments/d1", Scope: strings.ToUpper(risktest.Group),
			Permissions: []wiring.Permission{{DataActions: []string{"microsoft.keyvault/VAULTS/keys/*"}}},
			Principals:  []wiring.Principal{{ID: "00000000-0000-0000-0000-000000000000", Type: "SystemDefined"}},
		}
		f(&d)
		w.Denies.Value = append(w.Denies.Value, d)
	}
}

func groups(ids ...string) func(*wiring.Wiring) {
	return func(w *wiring.Wiring) { w.Posture.Groups = wiring.Read(ids, "graph memberOf", clock()) }
}

func both(fs ...func(*wiring.Wiring)) func(*wiring.Wiring) {
	return func(w *wiring.Wiring) {
		for _, f := range fs {
			f(w)
		}
	}
}

func TestJudgeAccessByRBAC(t *testing.T) {
	const keys = "Microsoft.KeyVault/vaults/keys/"
	keyScope := strings.ToLower(risktest.VaultID + "/keys/" + risktest.KeyName)
	cond := as(func(a *wiring.RoleAssignment) { a.Condition = "@Resource[x] StringEquals 'y'" })
	group := as(func(a *wiring.RoleAssignment) { a.PrincipalID, a.PrincipalType = "55555555", "Group" })
	scope := func(s string) func(*wiring.Wiring) { return as(func(a *wiring.RoleAssignment) { a.Scope = s }) }
	rows := []struct {
		name   string
		change func(*wiring.Wiring)
		want   string
	}{
		{"vault scope", both(), "ooo"},
		{"key scope", scope(keyScope), "ooo"},
		{"another key", scope(keyScope + "2"), "bbb"},
		{"resource group, other case", scope(strings.ToUpper(risktest.Group)), "ooo"},
		{"group with the same beginning", scope(risktest.Group[:len(risktest.Group)-1]), "bbb"},
		{"subscription", scope("/subscriptions/" + risktest.Subscription), "ooo"},
		{"management group", scope("/providers/Microsoft.Management/managementGroups/mg"), "ooo"},
		{"root", scope("/"), "ooo"},
		{"no scope", scope(""), "bbb"},
		{"other principal", as(func(a *wiring.RoleAssignment) { a.PrincipalID = risktest.ClientID }), "bbb"},
		{"none", func(w *wiring.Wiring) { w.Assignments.Value = nil }, "bbb"},
		{"assignments unread", func(w *wiring.Wiring) { w.Assignments = wiring.Fact[[]wiring.RoleAssignment]{} }, "uuu"},
		{"definitions unread", func(w *wiring.Wiring) { w.Definitions = wiring.Fact[map[string]wiring.RoleDefinition]{} }, "uuu"},
		{"definition missing", func(w *wiring.Wiring) { delete(w.Definitions.Value, risktest.RoleID) }, "uuu"},
		{"no grant, definitions unread", func(w *wiring.Wiring) {
			w.Assignments.Value = nil
			w.Definitions = wiring.Fact[map[string]wiring.RoleDefinition]{}
		}, "bbb"},
		{"tenant-level role id", as(func(a *wiring.RoleAssignment) {
			a.RoleID = "/providers/Microsoft.Authorization/roleDefinitions/" + strings.ToUpper(risktest.RoleGUID)
		}), "ooo"},
		{"condition", cond, "uuu"},
		{"condition beside a plain grant", both(cond, func(w *wiring.Wiring) {
			w.Assignments.Value = append(w.Assignments.Value, risktest.Assignment(clock()))
		}), "ooo"},
		{"group", group, "uuu"},
		{"fresh", as(func(a *wiring.RoleAssignment) { a.UpdatedOn = clock().Add(-9 * time.Minute) }), "uuu"},
		{"settled", as(func(a *wiring.RoleAssignment) { a.UpdatedOn = clock().Add(-10 * time.Minute) }), "ooo"},
		{"age unknown", as(func(a *wiring.RoleAssignment) { a.CreatedOn, a.UpdatedOn = time.Time{}, time.Time{} }), "uuu"},
		{"read and unwrap wrap RSA", role(wiring.Permission{DataActions: []string{keys + "read", keys + "unwrap/action"}}), "ooo"},
		{"read only", role(wiring.Permission{DataActions: []string{keys + "read"}}), "oob"},
		{"reader", role(wiring.Permission{DataActions: []string{"Microsoft.KeyVault/vaults/*/read"}}), "oob"},
		{"no data actions", role(wiring.Permission{}), "bbb"},
		{"minus in its block", role(wiring.Permission{DataActions: []string{keys + "*"}, NotDataActions: []string{keys + "UNWRAP/*"}}), "oob"},
		{"minus in another block", role(
			wiring.Permission{DataActions: []string{"*"}, NotDataActions: []string{keys + "*"}},
			wiring.Permission{DataActions: []string{keys + "*"}}), "ooo"},
		{"everybody denied", deny(func(*wiring.DenyAssignment) {}), "bbb"},
		{"denied by name", deny(func(d *wiring.DenyAssignment) { d.Principals = []wiring.Principal{{ID: risktest.PrincipalID}} }), "bbb"},
		{"denied to another", deny(func(d *wiring.DenyAssignment) { d.Principals = []wiring.Principal{{ID: risktest.ClientID}} }), "ooo"},
		{"denied to a group", deny(func(d *wiring.DenyAssignment) { d.Principals = []wiring.Principal{{ID: "g", Type: "group"}} }), "uuu"},
		{"excluded", deny(func(d *wiring.DenyAssignment) {
			d.ExcludedPrincipals = []wiring.Principal{{ID: "g", Type: "Group"}, {ID: risktest.PrincipalID}}
		}), "ooo"},
		{"maybe excluded", deny(func(d *wiring.DenyAssignment) { d.ExcludedPrincipals = []wiring.Principal{{ID: "g", Type: "Group"}} }), "uuu"},
		{"denied above only", deny(func(d *wiring.DenyAssignment) { d.NotForChildScopes = true }), "ooo"},
		{"denied on the key only", deny(func(d *wiring.DenyAssignment) { d.NotForChildScopes, d.Scope = true, keyScope }), "bbb"},
		{"denied elsewhere", deny(func(d *wiring.DenyAssignment) { d.Scope = "/subscriptions/other" }), "ooo"},
		{"only unwrap denied", deny(func(d *wiring.DenyAssignment) { d.Permissions[0].DataActions = []string{keys + "unwrap/action"} }), "oob"},
		{"only wrap denied", deny(func(d *wiring.DenyAssignment) { d.Permissions[0].DataActions = []string{keys + "wrap/action"} }), "obo"},
		{"denies unread", func(w *wiring.Wiring) { w.Denies = wiring.Failed[[]wiring.DenyAssignment]("arm", clock(), "403") }, "uuu"},
		{"other tenant", func(w *wiring.Wiring) { w.Identity.Value.TenantID = risktest.ClientID }, "bbb"},
		{"tenant unknown", func(w *wiring.Wiring) { w.Identity.Value.TenantID = "" }, "uuu"},
		{"principal unknown", func(w *wiring.Wiring) { w.Identity.Value.PrincipalID = "" }, "uuu"},
		{"read and unwrap on a condition", both(cond, role(wiring.Permission{DataActions: []string{keys + "read", keys + "unwrap/action"}})), "uuu"},
		{"plain read, wrap on a condition", both(role(wiring.Permission{DataActions: []string{keys + "read", keys + "unwrap/action"}}), func(w *wiring.Wiring) {
			w.Definitions.Value["/r/wrap"] = wiring.RoleDefinition{ID: "/r/wrap", Permissions: []wiring.Permission{{DataActions: []string{keys + "wrap/action"}}}}
			a := risktest.Assignment(clock())
			a.RoleID, a.Condition = "/r/wrap", "x"
			w.Assignments.Value = append(w.Assignments.Value, a)
		}), "ooo"},
		{"blank condition", as(func(a *wiring.RoleAssignment) { a.Condition = " " }), "ooo"},
		{"group, a member", both(group, groups("55555555")), "ooo"},
		{"group, any case", both(as(func(a *wiring.RoleAssignment) { a.PrincipalID, a.PrincipalType = "ABCD", "group" }), groups("abcd")), "ooo"},
		{"group, no member", both(group, groups("66666666")), "bbb"},
		{"group, in none", both(group, groups()), "bbb"},
		{"group, a member, fresh", both(group, groups("55555555"), as(func(a *wiring.RoleAssignment) { a.UpdatedOn = clock() })), "uuu"},
		{"denied to its group", both(groups("g"), deny(func(d *wiring.DenyAssignment) { d.Principals = []wiring.Principal{{ID: "g", Type: "Group"}} })), "bbb"},
		{"denied to a foreign group", both(groups("h"), deny(func(d *wiring.DenyAssignment) { d.Principals = []wiring.Principal{{ID: "g", Type: "Group"}} })), "ooo"},
		{"excluded by its group", both(groups("g"), deny(func(d *wiring.DenyAssignment) { d.ExcludedPrincipals = []wiring.Principal{{ID: "g", Type: "Group"}} })), "ooo"},
		{"not excluded by a foreign group", both(groups("h"), deny(func(d *wiring.DenyAssignment) { d.ExcludedPrincipals = []wiring.Principal{{ID: "g", Type: "Group"}} })), "bbb"},
		{"a user of the same id is not a group", both(groups("55555555"), as(func(a *wiring.RoleAssignment) { a.PrincipalID, a.PrincipalType = "55555555", "User" })), "bbb"},
		{"read at one scope, unwrap at another", both(role(wiring.Permission{DataActions: []string{keys + "read"}}), func(w *wiring.Wiring) {
			w.Definitions.Value["/r/unwrap"] = wiring.RoleDefinition{ID: "/r/unwrap", Permissions: []wiring.Permission{{DataActions: []string{keys + "unwrap/*"}}}}
			a := risktest.Assignment(clock())
			a.RoleID, a.Scope = "/r/unwrap", "/providers/Microsoft.Management/managementGroups/mg"
			w.Assignments.Value = append(w.Assignments.Value, a)
		}), "ooo"},
		{"every action", role(wiring.Permission{DataActions: []string{"Microsoft.KeyVault/vaults/keys/*/action"}}), "boo"},
		{"only read denied", deny(func(d *wiring.DenyAssignment) { d.Permissions[0].DataActions = []string{keys + "read"} }), "boo"},
		{"denied but for unwrap", deny(func(d *wiring.DenyAssignment) { d.Permissions[0].NotDataActions = []string{keys + "unwrap/action"} }), "bbo"},
		{"created just now", as(func(a *wiring.RoleAssignment) { a.CreatedOn, a.UpdatedOn = clock(), time.Time{} }), "uuu"},
		{"another vault of the group", scope(strings.ToLower(risktest.VaultID) + "-2"), "bbb"},
		{"control plane only", role(wiring.Permission{Actions: []string{"*"}}), "bbb"},
		{"vault unknown", func(w *wiring.Wiring) { w.Vault.Value.ID = azureid.Resource{} }, "uuu"},
		{"managed HSM", cmk(func(c *wiring.CMK) { c.Key.Host = "orders.managedhsm.azure.net" }), "uuu"},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			w := risktest.Healthy(clock())
			r.change(&w)
			if a := access(w); allow(a) != r.want || len(a.Why) == 0 {
				t.Errorf("get, wrap, unwrap = %s, want %s; why: %q", allow(a), r.want, a.Why)
			}
		})
	}
}

func TestJudgeAccessByPolicies(t *testing.T) {
	all := []string{"Get", "WrapKey", "unwrapkey"}
	entry := func(object, tenant, app string, keys ...string) wiring.AccessPolicy {
		return wiring.AccessPolicy{ObjectID: object, TenantID: tenant, ApplicationID: app, Keys: keys}
	}
	me, my := risktest.PrincipalID, risktest.TenantID
	rows := []struct {
		name string
		in   []wiring.AccessPolicy
		want string
		of   []string // the identity's groups, where they were read
	}{
		{"own entry", []wiring.AccessPolicy{entry(strings.ToUpper(me), my, "", all...)}, "ooo", nil},
		{"all", []wiring.AccessPolicy{entry(me, my, "", "ALL")}, "ooo", nil},
		{"two entries", []wiring.AccessPolicy{entry(me, my, "", "get"), entry(me, my, "", "wrapKey", "unwrapKey")}, "ooo", nil},
		{"no unwrap", []wiring.AccessPolicy{entry(me, my, "", "get", "wrapKey")}, "oob", nil},
		{"read does not wrap here", []wiring.AccessPolicy{entry(me, my, "", "get", "unwrapKey")}, "obo", nil},
		{"other tenant", []wiring.AccessPolicy{entry(me, risktest.ClientID, "", all...)}, "bbb", nil},
		{"compound identity", []wiring.AccessPolicy{entry(me, my, risktest.ClientID, all...)}, "bbb", nil},
		{"perhaps a group", []wiring.AccessPolicy{entry("99", my, "", "unwrapKey")}, "bbu", nil},
		{"none", nil, "bbb", nil},
		{"of its group", []wiring.AccessPolicy{entry("99", my, "", all...)}, "ooo", []string{"99"}},
		{"of a foreign group", []wiring.AccessPolicy{entry("99", my, "", all...)}, "bbb", []string{"98"}},
		{"own and its group's", []wiring.AccessPolicy{entry(me, my, "", "get"), entry("99", my, "", "wrapKey", "unwrapKey")}, "ooo", []string{"99"}},
		{"all of another object", []wiring.AccessPolicy{entry("99", my, "", "all")}, "uuu", nil},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			w := risktest.Healthy(clock())
			w.Vault.Value.RBAC, w.Vault.Value.Policies = false, r.in // the role assignment stays and must not count
			if r.of != nil {
				groups(r.of...)(&w)
			}
			if a := access(w); allow(a) != r.want {
				t.Errorf("get, wrap, unwrap = %s, want %s; why: %q", allow(a), r.want, a.Why)
			}
		})
	}
}

func TestExcessOfTheIdentity(t *testing.T) {
	w := risktest.Healthy(clock())
	if a := access(w); len(a.Excess) != 0 {
		t.Errorf("the least role has an excess: %q", a.Excess)
	}
	role(wiring.Permission{DataActions: []string{
		"Microsoft.KeyVault/vaults/keys/read", "Microsoft.KeyVault/vaults/keys/backup/action", "Microsoft.KeyVault/vaults/keyrotationpolicies/*",
	}})(&w)
	want := []string{"keyrotationpolicies/read", "keyrotationpolicies/write", "keys/backup/action"}
	if diff := cmp.Diff(want, access(w).Excess); diff != "" {
		t.Errorf("roles (-want +got):\n%s", diff)
	}
	w.Vault.Value.RBAC = false
	w.Vault.Value.Policies = []wiring.AccessPolicy{{ObjectID: risktest.PrincipalID, TenantID: risktest.TenantID, Keys: []string{"get", "purge", "backup"}}}
	if diff := cmp.Diff([]string{"backup", "purge"}, access(w).Excess); diff != "" {
		t.Errorf("policies (-want +got):\n%s", diff)
	}
}

func TestAccessCheck(t *testing.T) {
	hour := clock().Add(-time.Hour)
	run(t, []row{
		{"revoked", "CMK-050", func(w *wiring.Wiring) { w.Assignments.Value = nil }, risk.Broken, risk.Critical, "restore-grant", "no role assignment", time.Time{}},
		{"denied needs more than a grant", "CMK-050", deny(func(*wiring.DenyAssignment) {}), risk.Broken, risk.Critical, "", "d1", time.Time{}},
		{"identity gone", "CMK-050", func(w *wiring.Wiring) { w.Identity = wiring.NotThere[wiring.Identity]("arm", clock(), "404") }, risk.Broken, risk.Critical, "", "CMK-007", time.Time{}},
		{"identity made again", "CMK-050", func(w *wiring.Wiring) { w.Cluster.Value.Identities[0].PrincipalID = "old" }, risk.Unknown, "", "", "CMK-007", time.Time{}},
		{"stale assignments", "CMK-050", func(w *wiring.Wiring) { w.Assignments.At = hour }, risk.Unknown, "", "", "role assignments is too old", time.Time{}},
		{"stale denies", "CMK-050", func(w *wiring.Wiring) { w.Denies.At = hour }, risk.Unknown, "", "", "too old", time.Time{}},
		{"policies: stale roles do not matter", "CMK-050", func(w *wiring.Wiring) {
			w.Assignments.At = hour
			w.Vault.Value.RBAC = false
			w.Vault.Value.Policies = []wiring.AccessPolicy{{ObjectID: risktest.PrincipalID, TenantID: risktest.TenantID, Keys: []string{"all"}}}
		}, risk.OK, "", "", "access policy", time.Time{}},
		{"vault refused", "CMK-050", func(w *wiring.Wiring) { w.Vault = wiring.Failed[wiring.Vault]("arm", clock(), "403") }, risk.Unknown, "", "", "403", time.Time{}},
	})
}
