// Package risktest builds wirings for tests: one in which every check is OK,
// and the names in it, to be changed one fact at a time.
//
// It is for tests only; nothing that ships imports it.
package risktest

import (
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/wiring"
)

// The names in Healthy's world.
const (
	Subscription = "11111111-1111-1111-1111-111111111111"
	PrincipalID  = "22222222-2222-2222-2222-222222222222"
	ClientID     = "33333333-3333-3333-3333-333333333333"
	TenantID     = "44444444-4444-4444-4444-444444444444"
	Group        = "/subscriptions/" + Subscription + "/resourceGroups/rg-cache-prod"
	ClusterID    = Group + "/providers/Microsoft.Cache/redisEnterprise/orders-cache"
	IdentityID   = Group + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-orders-cache-cmk"
	VaultID      = Group + "/providers/Microsoft.KeyVault/vaults/kv-orders-cmk"
	VaultHost    = "kv-orders-cmk.vault.azure.net"
	KeyName      = "redis-kek"
	OldVersion   = "0a4bb76b524a1493a6afe8e536ee7800"
	Version      = "562a4bb76b524a1493a6afe8e536ee78"
	NextVersion  = "9f4bb76b524a1493a6afe8e536ee7899"
	RoleGUID     = "e147488a-f6f5-4113-8e2d-b22465e65bf6"
	RoleID       = "/subscriptions/" + Subscription + "/providers/microsoft.authorization/roledefinitions/" + RoleGUID
)

// Key returns the key of Healthy's world at a version.
func Key(version string) azureid.Key {
	return azureid.Key{Host: VaultHost, Name: KeyName, Version: version}
}

// Healthy returns the wiring, read at now, of an Azure Managed Redis for which
// every check answers OK: an old enabled version and a newer one in use that
// expires in a year, RBAC, purge protection. The cluster carries no tags that
// make verdicts heavier. Every call returns its own copy.
func Healthy(now time.Time) wiring.Wiring {
	id := azureid.MustResource(ClusterID)
	return wiring.Wiring{
		ID: id, At: now,
		Cluster: wiring.Read(cluster(id), "arm GET redisEnterprise/orders-cache", now),
		Identity: wiring.Read(wiring.Identity{
			ID: azureid.MustResource(IdentityID), PrincipalID: PrincipalID, ClientID: ClientID, TenantID: TenantID,
		}, "arm GET userAssignedIdentities/id-orders-cache-cmk", now),
		Vault: wiring.Read(vault(), "arm GET vaults/kv-orders-cmk", now),
		Versions: wiring.Read([]wiring.KeyVersion{
			KeyVersion(OldVersion, now.AddDate(0, -6, 0), now.AddDate(0, 6, 0)),
			KeyVersion(Version, now.AddDate(0, 0, -30), now.AddDate(1, 0, 0)),
		}, "keyvault GET /keys/redis-kek/versions", now),
		InUse: wiring.Read(wiring.KeyBundle{
			Key: Key(Version), Type: "RSA-HSM", Bits: 3072, Ops: []string{"wrapKey", "unwrapKey"}, Enabled: true,
		}, "keyvault GET /keys/redis-kek/"+Version, now),
		Deleted: wiring.NotThere[wiring.DeletedKey]("keyvault GET /deletedkeys/redis-kek", now, "404 KeyNotFound"),
		Rotation: wiring.Read(wiring.RotationPolicy{
			ExpiryTime: "P2Y",
			Actions:    []wiring.RotationAction{{Type: "rotate", TimeAfterCreate: "P90D"}, {Type: "Notify", TimeBeforeExpiry: "P30D"}},
		}, "keyvault GET /keys/redis-kek/rotationpolicy", now),
		Assignments: wiring.Read([]wiring.RoleAssignment{Assignment(now)}, "arm GET roleAssignments", now),
		Definitions: wiring.Read(map[string]wiring.RoleDefinition{RoleID: Role()}, "arm GET roleDefinitions", now),
		Denies:      wiring.Read([]wiring.DenyAssignment{}, "arm GET denyAssignments", now),
	}
}

func cluster(id azureid.Resource) wiring.Cluster {
	identity := azureid.MustResource(IdentityID)
	return wiring.Cluster{
		ID: id, Name: "orders-cache", Location: "West Europe", Kind: "v2", SKU: "Balanced_B10",
		Tags:              Tags(),
		ProvisioningState: "Succeeded", ResourceState: "Running", IdentityType: "UserAssigned",
		Identities: []wiring.ClusterIdentity{{ID: identity, PrincipalID: PrincipalID, ClientID: ClientID}},
		CMK: &wiring.CMK{
			IdentityType: "userAssignedIdentity", IdentityID: identity,
			KeyURL: Key(Version).String(), Key: Key(Version),
		},
	}
}

func vault() wiring.Vault {
	return wiring.Vault{
		ID: azureid.MustResource(VaultID), Name: "kv-orders-cmk", Host: VaultHost, Location: "westeurope", TenantID: TenantID,
		SKU: "premium", SoftDelete: true, PurgeProtection: true, RetentionDays: 90, RBAC: true,
		PublicNetworkAccess: "Disabled", Bypass: "AzureServices", DefaultAction: "Deny", Tags: Tags(),
	}
}

// KeyVersion returns an enabled version with an expiry date.
func KeyVersion(version string, created, expires time.Time) wiring.KeyVersion {
	expires = expires.UTC()
	return wiring.KeyVersion{
		Key: Key(version), Enabled: true, Created: created.UTC(), Updated: created.UTC(), Expires: &expires,
		RecoveryLevel: "Recoverable", RetentionDays: 90, Tags: Tags(),
	}
}

// Tags returns an owner and a cost centre.
func Tags() map[string]string {
	return map[string]string{"owner": "team-orders", "cost-center": "4711"}
}

// Assignment returns the identity's role assignment at the vault, long settled.
func Assignment(now time.Time) wiring.RoleAssignment {
	return wiring.RoleAssignment{
		ID:          VaultID + "/providers/Microsoft.Authorization/roleAssignments/05c5a614-a7d6-4502-b150-c2fb455033ff",
		PrincipalID: PrincipalID, PrincipalType: "ServicePrincipal", RoleID: RoleID,
		Scope: azureid.MustResource(VaultID).Key(), CreatedOn: now.AddDate(0, -6, 0), UpdatedOn: now.AddDate(0, -6, 0),
	}
}

// Role returns the definition of Key Vault Crypto Service Encryption User.
func Role() wiring.RoleDefinition {
	return wiring.RoleDefinition{
		ID: RoleID, Name: "Key Vault Crypto Service Encryption User",
		Permissions: []wiring.Permission{{DataActions: []string{
			"Microsoft.KeyVault/vaults/keys/read",
			"Microsoft.KeyVault/vaults/keys/wrap/action",
			"Microsoft.KeyVault/vaults/keys/unwrap/action",
		}}},
	}
}
