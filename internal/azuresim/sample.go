package azuresim

import (
	"time"

	"cmkguard/internal/azureid"
)

// Sample is the smallest world with a job to do: one cluster whose key, in a
// vault with roles, expires in 20 days.
type Sample struct {
	Subscription string
	Scope        string // the resource group's providers, with a trailing slash
	Token        string // of Guard
	Guard        string // object id of the caller that may read, rotate and write
	Principal    string // object id of the cluster's identity
	Host         string // of the vault
	Vault        azureid.Resource
	Identity     azureid.Resource
	Cluster      azureid.Resource
	Key          azureid.Key // with its first version
}

// AddSample adds a Sample whose cluster is of the kind (v1 or v2) and whose key
// has the age.
func (s *Sim) AddSample(kind string, age time.Duration) Sample {
	const sub = "11111111-1111-1111-1111-111111111111"
	m := Sample{
		Subscription: sub, Scope: "/subscriptions/" + sub + "/resourceGroups/rg/providers/", Token: "token", Host: "kv-a.vault.azure.net",
		Guard: "99999999-9999-9999-9999-999999999999", Principal: "22222222-2222-2222-2222-222222222201",
	}
	m.Vault = azureid.MustResource(m.Scope + "Microsoft.KeyVault/vaults/kv-a")
	m.Identity = azureid.MustResource(m.Scope + "Microsoft.ManagedIdentity/userAssignedIdentities/id-a")
	m.Cluster = azureid.MustResource(m.Scope + "Microsoft.Cache/redisEnterprise/cache-a")
	now := s.Clock().Now()
	expires := now.Add(20 * 24 * time.Hour)
	s.AddCaller(Caller{Name: "guard", ObjectID: m.Guard, Token: m.Token, Reads: true, Writes: true, Repairs: true})
	s.AddVault(Vault{ID: m.Vault, Location: "westeurope", RBAC: true, SoftDelete: true, PurgeProtection: true})
	s.Assign(m.Vault.String(), RoleCryptoOfficer, m.Guard)
	s.Assign(m.Vault.String(), RoleCryptoServiceEncryptionUser, m.Principal)
	m.Key = s.AddKey(m.Host, "kek", KeyOptions{Created: now.Add(-age), Expires: &expires, Policy: Rotation{ExpiryTime: "P365D"}})
	s.AddIdentity(Identity{ID: m.Identity, PrincipalID: m.Principal, ClientID: "33333333-3333-3333-3333-333333333301", Location: "westeurope"})
	s.AddCluster(Cluster{
		ID: m.Cluster, Kind: kind, SKU: "Enterprise_E10", Location: "West Europe", Identities: []azureid.Resource{m.Identity},
		CMK: &CMK{IdentityType: "userAssignedIdentity", IdentityID: m.Identity, KeyURL: m.Key.String()},
	})
	return m
}
