package azuresim

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/azureid"
)

// region is a location as ids and host names have it: "West Europe" is
// westeurope.
func region(location string) string { return strings.ToLower(strings.ReplaceAll(location, " ", "")) }

// clusterBody is a redisEnterprise resource of API version 2025-07-01
// (azure-rest-api-specs, specification/redisenterprise models.tsp, [doc]).
func (s *Sim) clusterBody(c *Cluster) map[string]any {
	domain := ".redis.azure.net"
	if c.Kind == "v1" {
		domain = ".redisenterprise.cache.azure.net"
	}
	props := map[string]any{
		"hostName":          strings.ToLower(c.ID.Name()) + "." + region(c.Location) + domain,
		"provisioningState": c.ProvisioningState, "resourceState": c.ResourceState,
		"redisVersion": "7.4", "redundancyMode": "ZR", "minimumTlsVersion": "1.2", "publicNetworkAccess": "Disabled",
		"privateEndpointConnections": []any{},
	}
	if c.Kind == "v2" {
		props["highAvailability"] = "Enabled"
	}
	if k := c.CMK; k != nil {
		props["encryption"] = map[string]any{"customerManagedKeyEncryption": map[string]any{
			"keyEncryptionKeyIdentity": map[string]any{"identityType": k.IdentityType, "userAssignedIdentityResourceId": k.IdentityID.String()},
			"keyEncryptionKeyUrl":      k.KeyURL,
		}}
	}
	return map[string]any{
		"id": c.ID.String(), "name": c.ID.Name(), "type": "Microsoft.Cache/redisEnterprise", "kind": c.Kind, "location": c.Location,
		"tags": tagsOf(c.Tags), "identity": s.identityMap(c), "sku": map[string]any{"name": c.SKU}, "properties": props,
	}
}

// identityMap shows each identity with the ids that it has now. One that was
// deleted stays listed without them ([inferred]).
func (s *Sim) identityMap(c *Cluster) map[string]any {
	if len(c.Identities) == 0 {
		return map[string]any{"type": "None"}
	}
	all := map[string]any{}
	for _, id := range c.Identities {
		entry := map[string]any{}
		if i, ok := s.identities[id.Key()]; ok {
			entry["principalId"], entry["clientId"] = i.PrincipalID, i.ClientID
		}
		all[id.String()] = entry
	}
	return map[string]any{"type": "UserAssigned", "userAssignedIdentities": all}
}

func (s *Sim) databaseBody(c *Cluster) map[string]any {
	props := map[string]any{
		"clientProtocol": "Encrypted", "port": 10000, "clusteringPolicy": "OSSCluster", "evictionPolicy": "NoEviction",
		"provisioningState": "Succeeded", "resourceState": "Running", "redisVersion": "7.4", "accessKeysAuthentication": "Disabled",
		"deferUpgrade": "NotDeferred", "modules": []any{},
		"persistence": map[string]any{"aofEnabled": false, "rdbEnabled": true, "rdbFrequency": "6h"},
	}
	if c.GeoGroup != "" {
		props["geoReplication"] = s.geoReplication(c.GeoGroup)
	}
	return map[string]any{"id": c.ID.String() + "/databases/default", "name": "default", "type": "Microsoft.Cache/redisEnterprise/databases", "properties": props}
}

// geoReplication lists every database of the group, a database's own included
// (REST reference, Databases - Get, sample of an active geo-replicated database).
func (s *Sim) geoReplication(group string) map[string]any {
	linked := []any{}
	for _, id := range slices.Sorted(maps.Keys(s.clusters)) {
		if c := s.clusters[id]; strings.EqualFold(c.GeoGroup, group) {
			linked = append(linked, map[string]any{"id": c.ID.String() + "/databases/default", "state": "Linked"})
		}
	}
	return map[string]any{"groupNickname": group, "linkedDatabases": linked}
}

// vaultBody is a vault of API version 2026-02-01. A switch that was never
// thrown is left out rather than false ([doc]: enablePurgeProtection cannot be
// false; [sample] for enableRbacAuthorization on old vaults).
func vaultBody(v *Vault) map[string]any {
	policies := []any{}
	for _, p := range v.Policies {
		policies = append(policies, map[string]any{"tenantId": p.TenantID, "objectId": p.ObjectID,
			"permissions": map[string]any{"keys": p.Keys, "secrets": append([]string{}, p.Secrets...), "certificates": []any{}}})
	}
	props := map[string]any{
		"tenantId": v.TenantID, "sku": map[string]any{"family": "A", "name": v.SKU}, "vaultUri": "https://" + v.Host + "/",
		"provisioningState": "Succeeded", "enableSoftDelete": v.SoftDelete, "softDeleteRetentionInDays": v.RetentionDays,
		"accessPolicies": policies,
	}
	if v.RBAC {
		props["enableRbacAuthorization"] = true
	}
	if v.PurgeProtection {
		props["enablePurgeProtection"] = true
	}
	if v.PublicNetworkAccess != "" {
		props["publicNetworkAccess"] = v.PublicNetworkAccess
	}
	if v.Bypass != "" || v.DefaultAction != "" {
		rules := []any{}
		for _, r := range v.IPRules {
			rules = append(rules, map[string]any{"value": r})
		}
		props["networkAcls"] = map[string]any{"bypass": v.Bypass, "defaultAction": v.DefaultAction, "ipRules": rules, "virtualNetworkRules": []any{}}
	}
	return map[string]any{"id": v.ID.String(), "name": v.ID.Name(), "type": "Microsoft.KeyVault/vaults", "location": region(v.Location),
		"tags": tagsOf(v.Tags), "properties": props}
}

// deletedVaultBody leaves out the dates of deletion and purge: the world keeps
// no time for a vault's deletion.
func deletedVaultBody(v *Vault) map[string]any {
	id := "/subscriptions/" + v.ID.Subscription() + "/providers/Microsoft.KeyVault/locations/" + region(v.Location) + "/deletedVaults/" + v.ID.Name()
	return map[string]any{"id": id, "name": v.ID.Name(), "type": "Microsoft.KeyVault/deletedVaults", "properties": map[string]any{
		"vaultId": v.ID.String(), "location": region(v.Location), "tags": tagsOf(v.Tags), "purgeProtectionEnabled": v.PurgeProtection,
	}}
}

func identityBody(i Identity) map[string]any {
	return map[string]any{"id": i.ID.String(), "name": i.ID.Name(), "type": "Microsoft.ManagedIdentity/userAssignedIdentities", "location": region(i.Location),
		"tags": map[string]any{}, "properties": map[string]any{"principalId": i.PrincipalID, "clientId": i.ClientID, "tenantId": i.TenantID}}
}

func subscriptionBody(id, tenant string) map[string]any {
	return map[string]any{"id": "/subscriptions/" + id, "subscriptionId": id, "tenantId": tenant, "displayName": id, "state": "Enabled"}
}

func tagsOf(m map[string]string) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		out[k] = v
	}
	return out
}

func (s *Sim) vaultByID(id azureid.Resource) *Vault {
	for _, v := range s.vaults {
		if v.ID.Equal(id) {
			return v
		}
	}
	return nil
}

func (s *Sim) deletedVault(id azureid.Resource) *Vault {
	for _, v := range s.vaults {
		if v.Deleted && strings.EqualFold(v.ID.Name(), id.Name()) && v.ID.Subscription() == id.Subscription() &&
			strings.Contains(id.Key(), "/locations/"+region(v.Location)+"/") {
			return v
		}
	}
	return nil
}

// subscriptions are those that hold anything.
func (s *Sim) subscriptions() []string {
	set := map[string]bool{}
	for _, c := range s.clusters {
		set[c.ID.Subscription()] = true
	}
	for _, v := range s.vaults {
		set[v.ID.Subscription()] = true
	}
	for _, i := range s.identities {
		set[i.ID.Subscription()] = true
	}
	return slices.Sorted(maps.Keys(set))
}

func (s *Sim) hasSubscription(id string) bool { return slices.Contains(s.subscriptions(), id) }

// listSubscriptions leaves out, without a word, what the caller cannot see
// (Subscriptions - List, [doc]).
func (s *Sim) listSubscriptions(w http.ResponseWriter, c *Caller) {
	out := []any{}
	for _, id := range s.subscriptions() {
		if c.reads("/subscriptions/" + id) {
			out = append(out, subscriptionBody(id, s.o.TenantID))
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"value": out})
}

// listResources answers a path that ends in a type: the list below a
// subscription or a resource group, without what the caller may not read.
func (s *Sim) listResources(w http.ResponseWriter, r *http.Request, c *Caller, path string) {
	scope, typ, ok := strings.Cut(strings.ToLower(path), "/providers/")
	if !ok || r.Method != http.MethodGet || typ == "" {
		(&armError{Status: http.StatusNotFound, Code: "InvalidResourceType", Message: "The resource type could not be found: " + path}).write(w)
		return
	}
	if !c.reads(scope) {
		armForbidden(c.ObjectID, readActionOf(typ), scope).write(w)
		return
	}
	if e := s.checkVersion(typ, r.URL.Query().Get("api-version")); e != nil {
		e.write(w)
		return
	}
	out := []any{}
	for _, body := range s.bodies(typ) {
		if id := strings.ToLower(fmt.Sprint(body["id"])); covers(scope, id) && c.reads(id) {
			out = append(out, body)
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"value": out})
}

// bodies returns every resource of a type, by id.
func (s *Sim) bodies(typ string) []map[string]any {
	var out []map[string]any
	switch typ {
	case azureid.TypeRedisEnterprise:
		for _, k := range slices.Sorted(maps.Keys(s.clusters)) {
			out = append(out, s.clusterBody(s.clusters[k]))
		}
	case azureid.TypeIdentity:
		for _, k := range slices.Sorted(maps.Keys(s.identities)) {
			out = append(out, identityBody(s.identities[k]))
		}
	case typeTopic:
		for _, k := range slices.Sorted(maps.Keys(s.topics)) {
			out = append(out, s.topicBody(s.topics[k]))
		}
	case azureid.TypeVault, "microsoft.keyvault/deletedvaults":
		for _, k := range slices.Sorted(maps.Keys(s.vaults)) {
			switch v := s.vaults[k]; {
			case v.Deleted && typ != azureid.TypeVault:
				out = append(out, deletedVaultBody(v))
			case !v.Deleted && typ == azureid.TypeVault:
				out = append(out, vaultBody(v))
			}
		}
	}
	return out
}

// armTime is a time as ARM writes it.
func armTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.0000000Z") }
