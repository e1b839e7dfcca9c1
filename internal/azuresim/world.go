// Package azuresim is a simulated Azure: an http.Handler and a clock that the
// real SDK clients talk to, over HTTPS or in memory. It is written from the
// services' documentation, marked [D], from what was inferred, [I], and where
// nothing is documented, [?], behind a switch.
//
// It is for tests and the demo; nothing that ships imports it, and it is not a
// general emulator: what this product never calls is not there.
package azuresim

import (
	"time"

	"cmkguard/internal/azureid"
)

// Vault is a Microsoft.KeyVault/vaults resource.
type Vault struct {
	ID                  azureid.Resource
	Host                string // NAME.vault.azure.net
	Location            string
	TenantID            string
	SKU                 string
	RBAC                bool
	SoftDelete          bool
	PurgeProtection     bool
	RetentionDays       int
	PublicNetworkAccess string
	Bypass              string
	DefaultAction       string
	IPRules             []string
	Policies            []AccessPolicy
	Tags                map[string]string
	Deleted             bool
	Keys                map[string]*Key // by lower-case name
}

// AccessPolicy is one entry of a vault's access policies.
type AccessPolicy struct {
	TenantID string
	ObjectID string
	Keys     []string // permissions: get, list, wrapKey, unwrapKey, rotate, ...
	Secrets  []string
}

// Key is a key with its versions, oldest first.
type Key struct {
	Name     string
	Versions []*Version
	Rotation Rotation
	Tags     map[string]string
	Deleted  *Deletion
}

// Version is one version of a key.
type Version struct {
	ID        string // 32 hexadecimal digits
	Type      string // RSA, RSA-HSM, EC
	Bits      int
	Ops       []string
	Enabled   bool
	Created   time.Time
	Updated   time.Time
	NotBefore *time.Time
	Expires   *time.Time
	Modulus   []byte

	Exportable bool // may leave the HSM by its release policy

	announced, expired bool // its events have fired
}

// Deletion is a key's soft deletion.
type Deletion struct{ At, Purge time.Time }

// Rotation is a key's rotation policy.
type Rotation struct {
	ExpiryTime string
	Actions    []RotationAction

	set time.Time // by a request; zero: since long ago
}

// RotationAction is one lifetime action.
type RotationAction struct{ Type, TimeAfterCreate, TimeBeforeExpiry string }

// Identity is a user-assigned managed identity.
type Identity struct {
	ID          azureid.Resource
	PrincipalID string
	ClientID    string
	TenantID    string
	Location    string
}

// Cluster is a Microsoft.Cache/redisEnterprise resource.
type Cluster struct {
	ID                azureid.Resource
	Kind              string // v1, v2
	SKU               string
	Location          string
	Tags              map[string]string
	ProvisioningState string
	ResourceState     string
	Identities        []azureid.Resource
	CMK               *CMK
	Operation         *Operation
	GeoGroup          string // of active geo-replication; "": none

	adopted string // version that it took up by itself
}

// CMK is a cluster's customer-managed key encryption.
type CMK struct {
	IdentityType string
	IdentityID   azureid.Resource
	KeyURL       string
}

// Operation is a PATCH under way.
type Operation struct {
	ID      string
	Started time.Time
	EndsAt  time.Time // the operation's status says Succeeded
	RunsAt  time.Time // resourceState says Running: later ([D]: pollers of other tools wait for it)
	Apply   *CMK
	Failure string
}

// RoleAssignment is an active role assignment.
type RoleAssignment struct {
	ID          string
	Scope       string
	RoleID      string // GUID
	PrincipalID string
	Type        string // ServicePrincipal, User, Group
	Condition   string
	CreatedOn   time.Time
}

// RoleDefinition is a built-in or custom role.
type RoleDefinition struct {
	ID          string // GUID
	Name        string
	DataActions []string
	NotData     []string
	Actions     []string // of the control plane; what callers may do there is their own (Caller)
	NotActions  []string
}

// DenyAssignment takes data actions away from everybody but some.
type DenyAssignment struct {
	ID          string
	Scope       string
	DataActions []string
	Exclude     []string
}

// Caller is somebody who holds a token.
type Caller struct {
	Name     string
	ObjectID string
	Token    string
	Reads    bool     // may read everything on the control plane
	Writes   bool     // may PATCH clusters and assign their identities
	Owns     bool     // may do all that, and change role assignments
	Repairs  bool     // may write vaults and make role assignments
	Hidden   []string // scopes at and below which it has no rights on the control plane
}

// Built-in roles (learn.microsoft.com, built-in-roles/security) [D].
const (
	RoleCryptoServiceEncryptionUser = "e147488a-f6f5-4113-8e2d-b22465e65bf6"
	RoleCryptoOfficer               = "14b46e9e-c2b7-41b4-b07b-48a6ebf60603"
	RoleCryptoUser                  = "12338af0-0e69-4776-bea7-57ae8d297424"
	RoleReader                      = "21090545-7ca7-4776-b22c-e363652d74d2"
)

func builtinRoles() map[string]RoleDefinition {
	const keys = "Microsoft.KeyVault/vaults/keys/"
	return map[string]RoleDefinition{
		RoleCryptoServiceEncryptionUser: {ID: RoleCryptoServiceEncryptionUser, Name: "Key Vault Crypto Service Encryption User",
			DataActions: []string{keys + "read", keys + "wrap/action", keys + "unwrap/action"}},
		RoleCryptoOfficer: {ID: RoleCryptoOfficer, Name: "Key Vault Crypto Officer",
			DataActions: []string{keys + "*", "Microsoft.KeyVault/vaults/keyrotationpolicies/*"}},
		RoleCryptoUser: {ID: RoleCryptoUser, Name: "Key Vault Crypto User",
			DataActions: []string{keys + "read", keys + "update/action", keys + "backup/action", keys + "encrypt/action", keys + "decrypt/action",
				keys + "wrap/action", keys + "unwrap/action", keys + "sign/action", keys + "verify/action"}},
		RoleReader: {ID: RoleReader, Name: "Key Vault Reader", DataActions: []string{"Microsoft.KeyVault/vaults/*/read"}},
	}
}
