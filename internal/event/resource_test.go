package event

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cmkguard/internal/azureid"
)

const (
	subID     = "/subscriptions/00000000-0000-0000-0000-0000000000aa"
	groupID   = subID + "/resourceGroups/rg-orders"
	clusterID = groupID + "/providers/Microsoft.Cache/redisEnterprise/orders"
	uamiID    = groupID + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/orders-cmk"
	authz     = "/providers/Microsoft.Authorization/"
	person    = `"claims":{"APPID":["A1B2"],"ipaddr":"203.0.113.7","http://schemas.microsoft.com/identity/claims/objectidentifier":"CCCC",` +
		`"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn":"operator@example.com"}`
)

// resourceEvent is a subscription's event about the operation on the resource.
func resourceEvent(verb, operation, id string) string {
	return fmt.Sprintf(`{"id":"r-1","topic":"%s","subject":"%s","eventType":"Microsoft.Resources.Resource%s","eventTime":"2026-11-02T10:00:00Z",`+
		`"data":{"operationName":"%s","resourceUri":"%s",%s,"correlationId":"corr"},"dataVersion":"2","metadataVersion":"1"}`,
		subID, id, verb, operation, id, person)
}

// What every operation name leads to: those of the documentation's tables, each
// tried in three spellings and both schemas.
func TestEveryOperationHasItsSubject(t *testing.T) {
	vault, cluster, identity := "vault:"+strings.ToLower(vaultID), "cluster:"+strings.ToLower(clusterID), "identity:"+strings.ToLower(uamiID)
	deleted := subID + "/providers/Microsoft.KeyVault/locations/westeurope/deletedVaults/kv-orders"
	topic := groupID + "/providers/Microsoft.EventGrid/systemTopics/cmkguard-kv-orders"
	endpoint := groupID + "/providers/Microsoft.Network/privateEndpoints/pe"
	scope := func(id string) string { return "scope:" + strings.ToLower(id) }
	cases := []struct{ operation, id, want string }{
		{"Microsoft.Cache/redisEnterprise/write", clusterID, "cluster-written " + cluster},
		{"Microsoft.Cache/redisEnterprise/delete", clusterID, "cluster-deleted " + cluster},
		{"Microsoft.Cache/redisEnterprise/databases/write", clusterID + "/databases/default", "cluster-written " + cluster},
		{"Microsoft.Cache/redisEnterprise/databases/delete", clusterID + "/databases/default", "cluster-written " + cluster},
		{"Microsoft.Cache/redisEnterprise/databases/regenerateKey/action", clusterID + "/databases/default", "ignored"},
		{"Microsoft.KeyVault/vaults/write", vaultID, "vault-written " + vault},
		{"Microsoft.KeyVault/vaults/accessPolicies/write", vaultID + "/accessPolicies/add", "access-policy-changed " + vault},
		{"Microsoft.KeyVault/vaults/delete", vaultID, "vault-deleted " + vault},
		{"Microsoft.KeyVault/locations/deletedVaults/purge/action", deleted, "vault-purged vault:" + strings.ToLower(deleted)},
		{"Microsoft.KeyVault/vaults/keys/write", vaultID + "/keys/orders-kek", "key-new-version key:kv-orders.vault.azure.net/orders-kek"},
		{"Microsoft.KeyVault/vaults/privateEndpointConnections/write", vaultID + "/privateEndpointConnections/p", "network-changed " + vault},
		{"Microsoft.KeyVault/vaults/privateEndpointConnections/delete", vaultID + "/privateEndpointConnections/p", "network-changed " + vault},
		{"Microsoft.KeyVault/vaults/PrivateEndpointConnectionsApproval/action", vaultID, "network-changed " + vault},
		{"Microsoft.KeyVault/vaults/eventGridFilters/delete", vaultID + "/eventGridFilters/f", "ears-cut " + vault},
		{"Microsoft.Authorization/roleAssignments/write", vaultID + authz + "roleAssignments/g", "role-assigned " + vault},
		{"Microsoft.Authorization/roleAssignments/delete", vaultID + "/keys/orders-kek" + authz + "roleAssignments/g", "role-unassigned " + vault},
		{"Microsoft.Authorization/roleAssignments/delete", groupID + authz + "roleAssignments/g", "role-unassigned " + scope(groupID)},
		{"Microsoft.Authorization/roleAssignments/delete", subID + authz + "roleAssignments/g", "role-unassigned " + scope(subID)},
		{"Microsoft.Authorization/roleAssignments/delete", "/providers/Microsoft.Management/managementGroups/m" + authz + "roleAssignments/g", "role-unassigned scope:/providers/microsoft.management/managementgroups/m"},
		{"Microsoft.Authorization/roleAssignments/delete", "/providers/Microsoft.Authorization/roleAssignments/g", "role-unassigned scope:/"},
		{"Microsoft.Authorization/roleAssignments/write", groupID + "/providers/Microsoft.Storage/storageAccounts/s" + authz + "roleAssignments/g", "ignored"},
		{"Microsoft.Authorization/roleDefinitions/write", subID + authz + "roleDefinitions/d", "role-redefined " + scope(subID)},
		{"Microsoft.Authorization/roleDefinitions/delete", subID + authz + "roleDefinitions/d", "role-redefined " + scope(subID)},
		{"Microsoft.ManagedIdentity/userAssignedIdentities/delete", uamiID, "identity-deleted " + identity},
		{"Microsoft.ManagedIdentity/userAssignedIdentities/write", uamiID, "identity-written " + identity},
		{"Microsoft.Network/privateEndpoints/write", endpoint, "network-changed " + scope(subID)},
		{"Microsoft.Network/privateEndpoints/delete", endpoint, "network-changed " + scope(subID)},
		{"Microsoft.Network/firewallPolicies/write", groupID + "/providers/Microsoft.Network/firewallPolicies/f", "network-changed " + scope(subID)},
		{"Microsoft.Network/azureFirewalls/write", groupID + "/providers/Microsoft.Network/azureFirewalls/f", "network-changed " + scope(subID)},
		{"Microsoft.Insights/diagnosticSettings/delete", vaultID + "/providers/Microsoft.Insights/diagnosticSettings/d", "ears-cut " + vault},
		{"Microsoft.Insights/diagnosticSettings/write", vaultID + "/providers/Microsoft.Insights/diagnosticSettings/d", "ears-changed " + vault},
		{"Microsoft.Insights/diagnosticSettings/delete", groupID + "/providers/Microsoft.Web/sites/s/providers/Microsoft.Insights/diagnosticSettings/d", "ignored"},
		{"Microsoft.EventGrid/systemTopics/delete", topic, "ears-cut " + scope(topic)},
		{"Microsoft.EventGrid/systemTopics/eventSubscriptions/delete", topic + "/eventSubscriptions/cmkguard", "ears-cut " + scope(topic+"/eventSubscriptions/cmkguard")},
		{"Microsoft.EventGrid/eventSubscriptions/delete", vaultID + "/providers/Microsoft.EventGrid/eventSubscriptions/e", "ears-cut " + vault},
		{"Microsoft.EventGrid/eventSubscriptions/write", vaultID + "/providers/Microsoft.EventGrid/eventSubscriptions/e", "ears-changed " + vault},
		{"Microsoft.Authorization/locks/delete", vaultID + authz + "locks/l", "lock-changed " + vault},
		{"Microsoft.Authorization/locks/write", groupID + authz + "locks/l", "lock-changed " + scope(groupID)},
		{"Microsoft.Storage/storageAccounts/write", groupID + "/providers/Microsoft.Storage/storageAccounts/s", "ignored"},
	}
	for _, c := range cases {
		for _, spelling := range []func(string) string{strings.Clone, strings.ToLower, strings.ToUpper} {
			grid := resourceEvent("WriteSuccess", spelling(c.operation), spelling(c.id))
			cloud := strings.NewReplacer(`"topic"`, `"source"`, `"eventType"`, `"type"`, `"eventTime"`, `"time"`, `"dataVersion":"2"`, `"specversion":"1.0"`).Replace(grid)
			for _, raw := range []string{grid, cloud} {
				p, err := ParseResource([]byte(raw), azureid.Public())
				if got := outcome(p); err != nil || got != c.want {
					t.Errorf("%s on %s: %q, %v; want %q", spelling(c.operation), c.id, got, err, c.want)
				}
			}
		}
	}
}

// outcome says in one line what a delivery came to.
func outcome(p Parsed) string {
	var out []string
	for _, s := range p.Signals {
		out = append(out, string(s.Kind)+" "+s.Subject.String())
	}
	for range p.Ignored {
		out = append(out, "ignored")
	}
	for range p.Rejected {
		out = append(out, "rejected")
	}
	return strings.Join(out, ", ")
}

func TestTheActorIsAClaimWithItsSource(t *testing.T) {
	p, err := ParseResource([]byte(resourceEvent("DeleteSuccess", "Microsoft.KeyVault/vaults/delete", vaultID)), azureid.Public())
	want := &Claim{
		Source: "data.claims of Microsoft.Resources.ResourceDeleteSuccess", Operation: "Microsoft.KeyVault/vaults/delete", Correlation: "corr",
		Actor: Actor{ObjectID: "cccc", AppID: "a1b2", Name: "operator@example.com", Address: "203.0.113.7"},
	}
	if err != nil || len(p.Signals) != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	if d := cmp.Diff(want, p.Signals[0].Claim); d != "" {
		t.Error(d)
	}
	if got := (Claim{Operation: "x"}).String(); !strings.Contains(got, "does not name") {
		t.Errorf("nobody is named as %q", got)
	}
}

// Data may be partial, oddly cased, a string of JSON, or missing: what is there
// is used, and what an event cannot do without is said.
func TestPartialDataOfResourceEvents(t *testing.T) {
	whole := resourceEvent("WriteSuccess", "Microsoft.Cache/redisEnterprise/write", clusterID)
	var e map[string]json.RawMessage
	if err := json.Unmarshal([]byte(whole), &e); err != nil {
		t.Fatal(err)
	}
	with := func(data string, edit ...string) string {
		e["data"] = json.RawMessage(data)
		b, _ := json.Marshal(e)
		return strings.NewReplacer(edit...).Replace(string(b))
	}
	written := "cluster-written cluster:" + strings.ToLower(clusterID)
	for name, c := range map[string]struct{ raw, want string }{
		"camel and space":       {with(`{" OperationNAME ":"microsoft.cache/REDISENTERPRISE/Write","ResourceURI":"` + clusterID + `"}`), written},
		"a string of JSON":      {with(quote(`{"operationName":"Microsoft.Cache/redisEnterprise/write"}`)), written},
		"no resourceUri":        {with(`{"operationName":"Microsoft.Cache/redisEnterprise/write","claims":{},"authorization":{}}`), written},
		"no operationName":      {with(`{"authorization":{"action":"Microsoft.Cache/redisEnterprise/write"}}`), written},
		"neither":               {with(`{}`), written},
		"no data":               {with(`null`), written},
		"data of another type":  {with(`[1]`), written},
		"claims as a string":    {with(`{"claims":"{\"appid\":\"x\"}"}`), written},
		"failed write":          {with(`{}`, "WriteSuccess", "WriteFailure"), written},
		"failed delete":         {with(`{}`, "WriteSuccess", "DeleteFailure"), "ignored"},
		"action of no name":     {with(`{}`, "WriteSuccess", "ActionSuccess"), "rejected"},
		"no resource at all":    {with(`{"operationName":"Microsoft.Cache/redisEnterprise/write"}`, clusterID, "nowhere"), "rejected"},
		"no id":                 {with(`{}`, `"r-1"`, `""`), "rejected"},
		"another source's type": {with(`{}`, "Microsoft.Resources.ResourceWriteSuccess", "Microsoft.Storage.BlobCreated"), "ignored"},
	} {
		p, err := ParseResource([]byte(c.raw), azureid.Public())
		if got := outcome(p); err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q: %+v", name, got, err, c.want, p.Rejected)
		}
	}
}

func TestAQueueCarriesEverySource(t *testing.T) {
	both := "[" + gridEvent() + "," + resourceEvent("WriteSuccess", "Microsoft.Cache/redisEnterprise/write", clusterID) + `,{"id":"x","topic":"t","eventType":"Other"}]`
	p, err := ParseGrid([]byte(both), azureid.Public())
	want := "key-near-expiry key:kv-orders.vault.azure.net/orders-kek, cluster-written cluster:" + strings.ToLower(clusterID) + ", ignored"
	if got := outcome(p); err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

// Should Azure add an event of a key's deletion, it works the day it ships.
func TestAnUnknownEventAboutAKeyIsASignal(t *testing.T) {
	p := parse(t, gridEvent("KeyNearExpiry", "KeyDeleted"))
	if got := outcome(p); got != "key-changed key:kv-orders.vault.azure.net/orders-kek" {
		t.Errorf("%q", got)
	}
}
