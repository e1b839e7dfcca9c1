package azuresim

import (
	"cmp"
	"fmt"
	"time"

	"cmkguard/internal/azureid"
)

// Estate is the size of a healthy world: per subscription ten vaults, per vault
// four keys with an identity of their own, per key five clusters.
type Estate struct {
	Clusters int
	PerKey   int // clusters per key; 0: ClustersPerKey
	// Unprotected is how many vaults, the first ones, lack purge protection.
	Unprotected int
}

// The shape of an estate.
const (
	ClustersPerKey        = 5
	KeysPerVault          = 4
	VaultsPerSubscription = 10
)

// AddEstate adds the world and returns its subscriptions and the token of a
// caller that may read everything.
func (s *Sim) AddEstate(e Estate) (subscriptions []string, token string) {
	const observer = "55555555-5555-5555-5555-555555555555"
	s.AddCaller(Caller{Name: "observer", ObjectID: observer, Token: "observer-token", Reads: true})
	per := cmp.Or(e.PerKey, ClustersPerKey)
	keys := (e.Clusters + per - 1) / per
	left := e.Clusters
	var vault azureid.Resource
	var host, scope string
	for k := range keys {
		v := k / KeysPerVault
		if k%(KeysPerVault*VaultsPerSubscription) == 0 {
			subscriptions = append(subscriptions, fmt.Sprintf("11111111-1111-1111-1111-%012d", len(subscriptions)))
			subscription := "/subscriptions/" + subscriptions[len(subscriptions)-1]
			s.Assign(subscription, RoleReader, observer)
			s.SetDocument(subscription+"/providers/Microsoft.Authorization/locks", listOf(map[string]any{
				"id": subscription + "/providers/Microsoft.Authorization/locks/keep", "properties": map[string]any{"level": "CanNotDelete"}}))
			s.SetDocument(subscription+"/providers/Microsoft.Security/pricings/KeyVaults", map[string]any{"properties": map[string]any{"pricingTier": "Standard"}})
		}
		if k%KeysPerVault == 0 {
			scope = "/subscriptions/" + subscriptions[len(subscriptions)-1] + "/resourceGroups/rg/providers/"
			host, vault = fmt.Sprintf("kv-%d.vault.azure.net", v), azureid.MustResource(scope+fmt.Sprintf("Microsoft.KeyVault/vaults/kv-%d", v))
			s.AddVault(Vault{ID: vault, RBAC: true, SoftDelete: true, PurgeProtection: v >= e.Unprotected, Location: "westeurope",
				PublicNetworkAccess: "Disabled", Bypass: "AzureServices", DefaultAction: "Deny", Tags: ownerTags()})
			s.surround(scope, vault)
		}
		s.addConsumers(scope, vault, host, k, min(left, per))
		left -= per
	}
	return subscriptions, "observer-token"
}

// addConsumers adds a key, the identity that uses it, and n clusters.
func (s *Sim) addConsumers(scope string, vault azureid.Resource, host string, k, n int) {
	now := s.Clock().Now()
	expires, principal := now.AddDate(1, 0, 0), fmt.Sprintf("22222222-2222-2222-2222-%012d", k)
	key := s.AddKey(host, fmt.Sprintf("kek-%d", k), KeyOptions{Created: now.AddDate(0, 0, -60), Expires: &expires, Type: "RSA-HSM", Tags: ownerTags(),
		Policy: Rotation{ExpiryTime: "P1Y", Actions: []RotationAction{{Type: "Rotate", TimeAfterCreate: "P90D"}, {Type: "Notify", TimeBeforeExpiry: "P30D"}}}})
	identity := azureid.MustResource(scope + fmt.Sprintf("Microsoft.ManagedIdentity/userAssignedIdentities/id-%d", k))
	s.AddIdentity(Identity{ID: identity, PrincipalID: principal, ClientID: fmt.Sprintf("33333333-3333-3333-3333-%012d", k), Location: "westeurope"})
	s.AssignAs(RoleAssignment{Scope: KeyScope(vault, key), RoleID: RoleCryptoServiceEncryptionUser, PrincipalID: principal, Type: "ServicePrincipal", CreatedOn: now.Add(-90 * 24 * time.Hour)})
	for c := range n {
		s.AddCluster(Cluster{ID: azureid.MustResource(scope + fmt.Sprintf("Microsoft.Cache/redisEnterprise/cache-%d-%d", k, c)), Kind: "v2", SKU: "Balanced_B10",
			Location: "West Europe", Tags: ownerTags(), Identities: []azureid.Resource{identity},
			CMK: &CMK{IdentityType: "userAssignedIdentity", IdentityID: identity, KeyURL: key.String()}})
	}
}

// surround gives a vault its log, its metrics and its event subscription.
func (s *Sim) surround(scope string, vault azureid.Resource) {
	series := func(name string, p object) object {
		return object{"name": object{"value": name}, "timeseries": []any{object{"data": []any{p}}}}
	}
	topic := scope + "Microsoft.EventGrid/systemTopics/" + vault.Name()
	s.SetDocument(vault.String()+"/providers/Microsoft.Insights/diagnosticSettings", listOf(object{"name": "audit", "properties": object{
		"workspaceId": scope + "Microsoft.OperationalInsights/workspaces/log", "logs": []any{object{"category": "AuditEvent", "enabled": true}}}}))
	s.SetDocument(vault.String()+"/providers/Microsoft.Insights/metrics", listOf(series("Availability", object{"average": 100}), series("SaturationShoebox", object{"maximum": 3})))
	s.AddGraphRow("resources", object{"id": topic, "type": "Microsoft.EventGrid/systemTopics", "properties": object{"source": vault.String()}})
	s.SetDocument(topic+"/eventSubscriptions", listOf(object{"id": topic + "/eventSubscriptions/cmkguard", "properties": object{"provisioningState": "Succeeded",
		"destination": object{"endpointType": "AzureFunction", "properties": object{"resourceId": scope + "Microsoft.Web/sites/cmkguard/functions/keyvaultevents"}}}}))
}

func listOf(items ...any) map[string]any { return map[string]any{"value": items} }

func ownerTags() map[string]string {
	return map[string]string{"owner": "team-orders", "costCentre": "4711"}
}

// KeyScope is the scope of a key for Azure RBAC.
func KeyScope(vault azureid.Resource, k azureid.Key) string {
	return vault.String() + "/keys/" + k.Name
}
