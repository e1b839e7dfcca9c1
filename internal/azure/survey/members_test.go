package survey_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azure/survey"
	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/risk"
	"cmkguard/internal/wiring"
)

// one asks one check of the estate, read to the daily depth, after Resource
// Graph's quota (15 queries in five seconds) has come back.
func (e *estate) one(check string, own ...string) risk.Verdict {
	e.sim.Clock().Advance(6 * time.Second)
	ctx, run := context.Background(), e.survey.Run()
	w := run.Around(ctx, run.Wiring(ctx, orders()), survey.Options{Depth: survey.DepthDaily, OwnAlerts: own})
	return risk.Judge(w, risk.Defaults(), e.sim.Clock().Now(), risk.Select(check))[0]
}

// north adds a member of the group in another region, with a key of its own.
func (e *estate) north(location string) {
	peer := azureid.MustResource(base + "Microsoft.Cache/redisEnterprise/orders-north")
	vault := azureid.MustResource(base + "Microsoft.KeyVault/vaults/kv-north")
	e.sim.AddVault(azuresim.Vault{ID: vault, RBAC: true, SoftDelete: true, PurgeProtection: true, Location: location})
	k := e.sim.AddKey("kv-north.vault.azure.net", "redis-kek", azuresim.KeyOptions{})
	id := azureid.MustResource(uami)
	e.sim.AddCluster(azuresim.Cluster{ID: peer, Kind: "v2", SKU: "Balanced_B10", Location: "North Europe", Identities: []azureid.Resource{id},
		CMK: &azuresim.CMK{IdentityType: "userAssignedIdentity", IdentityID: id, KeyURL: k.String()}})
	for _, id := range []azureid.Resource{orders(), peer} {
		e.sim.ChangeCluster(id, func(c *azuresim.Cluster) { c.GeoGroup = "orders" })
	}
}

func TestMembersOfAGeoReplicationGroup(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	e.north("northeurope")
	if v := e.one("CMK-065"); v.Answer != risk.OK || !strings.Contains(v.Why, "the 1 other members of group orders") {
		t.Errorf("%s: %s", v.Answer, v.Why)
	}
	// One identity now serves clusters of two keys, and the group makes it weigh more.
	if v := e.one("CMK-008"); v.Answer != risk.Broken || v.Severity != risk.Medium || !strings.Contains(v.Why, "orders-north") {
		t.Errorf("%s %s: %s", v.Answer, v.Severity, v.Why)
	}
	other := newEstate(t)
	other.north("westeurope")
	if v := other.one("CMK-065"); v.Answer != risk.Broken || v.Severity != risk.High || !strings.Contains(v.Why, "its vault in westeurope") {
		t.Errorf("%s %s: %s", v.Answer, v.Severity, v.Why)
	}
	other.sim.Inject(azuresim.Fault{Method: "GET", Path: "/subscriptions/*/resourceGroups/*/providers/Microsoft.Cache/redisEnterprise/orders-north",
		Times: 1, Mode: azuresim.Refuse, Status: 403, Code: "AuthorizationFailed"})
	if v := other.one("CMK-065"); v.Answer != risk.Unknown || !strings.Contains(v.Why, "orders-north could not be read") {
		t.Errorf("%s: %s", v.Answer, v.Why)
	}
}

// Peers is what is read right before a member is moved: from either side, and never
// an empty list where nothing could be read.
func TestPeersOfAMember(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	peers := func(id azureid.Resource) wiring.Fact[[]wiring.Peer] {
		return e.survey.Run().Peers(context.Background(), id)
	}
	if f := peers(orders()); !f.OK() || len(f.Value) != 0 {
		t.Fatalf("not geo-replicated: %+v", f)
	}
	e.north("northeurope")
	north := azureid.MustResource(base + "Microsoft.Cache/redisEnterprise/orders-north")
	for id, other := range map[azureid.Resource]azureid.Resource{orders(): north, north: orders()} {
		if f := peers(id); !f.OK() || len(f.Value) != 1 || !f.Value[0].ID.Equal(other) || !f.Value[0].Cluster.Value.Running() {
			t.Errorf("peers of %s: %+v", id.Name(), f)
		}
	}
	e.sim.Inject(azuresim.Fault{Method: "GET", Path: "/subscriptions/*/resourceGroups/*/providers/Microsoft.Cache/redisEnterprise/*/databases",
		Times: 1, Mode: azuresim.Refuse, Status: 403, Code: "AuthorizationFailed"})
	if f := peers(orders()); f.State != wiring.Unreadable {
		t.Errorf("refused: %+v", f)
	}
}

func TestWhoIsAlerted(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	if v := e.one("CMK-062"); v.Answer != risk.Broken || !strings.Contains(v.Why, "access-change, pending-expiry, rotation-failure") {
		t.Errorf("%s: %s", v.Answer, v.Why)
	}
	rule := func(name, scope string, enabled bool) {
		e.sim.AddGraphRow("resources", object{"id": base + "Microsoft.Insights/activityLogAlerts/" + name, "type": "Microsoft.Insights/activityLogAlerts",
			"properties": object{"enabled": enabled, "scopes": []any{scope}, "condition": object{"allOf": []any{
				object{"field": "operationName", "equals": "Microsoft.Authorization/roleAssignments/write"}}}}})
	}
	rule("off", "/subscriptions/"+sub, false)
	rule("elsewhere", rg+"-2", true)
	if v := e.one("CMK-062", "pending-expiry", "rotation-failure"); v.Answer != risk.Broken || !strings.Contains(v.Why, "nobody is told of access-change") {
		t.Errorf("a rule that is off or elsewhere: %s: %s", v.Answer, v.Why)
	}
	rule("on", "/Subscriptions/"+sub, true)
	if v := e.one("CMK-062", "pending-expiry", "rotation-failure"); v.Answer != risk.OK {
		t.Errorf("%s: %s", v.Answer, v.Why)
	}
}

func TestSeparationOfDutiesSeesTheControlPlane(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	role := "/providers/Microsoft.Authorization/roleDefinitions/owner-of-all"
	e.sim.AddGraphRow("authorizationresources", object{"id": role, "type": "Microsoft.Authorization/roleDefinitions", "properties": object{
		"roleName": "Everything", "permissions": []any{object{"actions": []any{"*"}, "dataActions": []any{"*"}}}}})
	assign := func(scope, who string) {
		e.sim.AddGraphRow("authorizationresources", object{"id": scope + "/providers/Microsoft.Authorization/roleAssignments/" + who,
			"type": "Microsoft.Authorization/roleAssignments", "properties": object{
				"principalId": who, "principalType": "User", "roleDefinitionId": strings.ToUpper(role), "scope": scope}})
	}
	assign(kvID, "only-the-vault")
	if v := e.one("CMK-056"); v.Answer != risk.OK || !strings.Contains(v.Why, "of 1 principals") {
		t.Errorf("%s: %s", v.Answer, v.Why)
	}
	assign("/providers/Microsoft.Management/managementGroups/mg", "both")
	if v := e.one("CMK-056"); v.Answer != risk.Broken || !strings.Contains(v.Why, "1 principals can do both: both (") {
		t.Errorf("%s: %s", v.Answer, v.Why)
	}
}

func TestManyConsumersWeighMore(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	id := azureid.MustResource(uami)
	for i := range 9 { // ten clusters on one key: each finding weighs one step more
		e.sim.AddCluster(azuresim.Cluster{ID: azureid.MustResource(orders().String() + "-" + string(rune('a'+i))), Kind: "v2", SKU: "Balanced_B10",
			Location: "westeurope", Identities: []azureid.Resource{id},
			CMK: &azuresim.CMK{IdentityType: "userAssignedIdentity", IdentityID: id, KeyURL: e.key.String()}})
	}
	if v := e.one("CMK-008"); v.Answer != risk.OK || !strings.Contains(v.Why, "(10)") {
		t.Errorf("clusters of one key share an identity: %s: %s", v.Answer, v.Why)
	}
	e.vault(func(v *azuresim.Vault) { v.Tags = nil })
	if v := e.one("CMK-061"); v.Severity != risk.Medium || !strings.Contains(strings.Join(v.Reasons, " "), "shares its key with 9 others") {
		t.Errorf("%s %q", v.Severity, v.Reasons)
	}
}
