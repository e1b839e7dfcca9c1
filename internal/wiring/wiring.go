// Package wiring holds the facts about one cluster's chain to its key: an
// immutable snapshot read from live state, each fact with the call that gave
// it and its time. A fact that could not be read says so; it never looks like
// an empty one.
//
// It judges nothing (internal/risk does) and reads nothing (internal/azure
// does).
package wiring

import (
	"strings"
	"time"

	"cmkguard/internal/azureid"
)

// State says what is known of a fact.
type State string

// The states of a fact. The zero value is NotRead, which a judge treats like
// Unreadable.
const (
	NotRead    State = ""
	Known      State = "known"
	Absent     State = "absent"     // the source answered that it is not there
	Unreadable State = "unreadable" // refused, throttled, timed out or malformed
)

// Fact is one value with its provenance.
type Fact[T any] struct {
	State State     `json:"state"`
	Value T         `json:"value"`
	Call  string    `json:"call"` // the external call, such as "keyvault GET /keys/redis-kek/versions"
	At    time.Time `json:"at"`
	Why   string    `json:"why,omitempty"` // for Absent and Unreadable
}

// Read returns a known fact.
func Read[T any](v T, call string, at time.Time) Fact[T] {
	return Fact[T]{State: Known, Value: v, Call: call, At: at.UTC()}
}

// NotThere returns an absent fact.
func NotThere[T any](call string, at time.Time, why string) Fact[T] {
	return Fact[T]{State: Absent, Call: call, At: at.UTC(), Why: why}
}

// Failed returns an unreadable fact.
func Failed[T any](call string, at time.Time, why string) Fact[T] {
	return Fact[T]{State: Unreadable, Call: call, At: at.UTC(), Why: why}
}

// OK reports whether the value is known.
func (f Fact[T]) OK() bool { return f.State == Known }

// Cluster is a Microsoft.Cache/redisEnterprise resource (API 2025-07-01).
type Cluster struct {
	ID                azureid.Resource  `json:"id"`
	Name              string            `json:"name"`
	Location          string            `json:"location"` // as given: "West Europe" and "westeurope" are the same
	Kind              string            `json:"kind"`     // "v1" Azure Cache for Redis Enterprise, "v2" Azure Managed Redis
	SKU               string            `json:"sku"`
	Tags              map[string]string `json:"tags,omitempty"`
	ProvisioningState string            `json:"provisioningState"`
	ResourceState     string            `json:"resourceState"`
	IdentityType      string            `json:"identityType"` // of the resource: "UserAssigned", "None", ...
	Identities        []ClusterIdentity `json:"identities,omitempty"`
	CMK               *CMK              `json:"cmk,omitempty"` // nil: Microsoft-managed key only
}

// ClusterIdentity is one entry of the cluster's identity.userAssignedIdentities.
type ClusterIdentity struct {
	ID          azureid.Resource `json:"id"`
	PrincipalID string           `json:"principalId"`
	ClientID    string           `json:"clientId"`
}

// CMK is encryption.customerManagedKeyEncryption of a cluster.
type CMK struct {
	IdentityType string           `json:"identityType"` // "userAssignedIdentity" or "systemAssignedIdentity"
	IdentityID   azureid.Resource `json:"identityId"`
	KeyURL       string           `json:"keyUrl"` // as given
	Key          azureid.Key      `json:"key"`    // zero when KeyURL could not be parsed
	KeyProblem   string           `json:"keyProblem,omitempty"`
}

// Running reports whether both states say that the cluster is settled. A
// finished operation proves only provisioningState (redis-cmk fact 10).
func (c Cluster) Running() bool {
	return strings.EqualFold(c.ProvisioningState, "Succeeded") && strings.EqualFold(c.ResourceState, "Running")
}

// EndedBadly reports whether the cluster came to rest in a state that time alone
// does not mend.
func (c Cluster) EndedBadly() bool {
	switch c.ResourceState {
	case "CreateFailed", "UpdateFailed", "DeleteFailed", "EnableFailed", "DisableFailed", "Disabled", "ScalingFailed", "Deleting":
		return true
	}
	return false
}

// Identity is a user-assigned managed identity.
type Identity struct {
	ID          azureid.Resource `json:"id"`
	PrincipalID string           `json:"principalId"`
	ClientID    string           `json:"clientId"`
	TenantID    string           `json:"tenantId"`
}

// Vault is a Microsoft.KeyVault/vaults resource (API 2026-02-01).
type Vault struct {
	ID                  azureid.Resource  `json:"id"`
	Name                string            `json:"name"`
	Host                string            `json:"host"` // lower case, from vaultUri
	Location            string            `json:"location"`
	TenantID            string            `json:"tenantId"`
	SKU                 string            `json:"sku"`
	SoftDelete          bool              `json:"softDelete"`
	PurgeProtection     bool              `json:"purgeProtection"` // absent in the resource means off
	RetentionDays       int               `json:"retentionDays"`
	RBAC                bool              `json:"rbac"` // absent in the resource means access policies
	PublicNetworkAccess string            `json:"publicNetworkAccess"`
	Bypass              string            `json:"bypass"`
	DefaultAction       string            `json:"defaultAction"`
	Policies            []AccessPolicy    `json:"policies,omitempty"`
	Tags                map[string]string `json:"tags,omitempty"`
}

// AccessPolicy is one entry of a vault's accessPolicies; only keys matter here.
type AccessPolicy struct {
	TenantID      string   `json:"tenantId"`
	ObjectID      string   `json:"objectId"`
	ApplicationID string   `json:"applicationId,omitempty"` // compound identity: never our cluster's
	Keys          []string `json:"keys"`
}

// KeyVersion is one entry of a key's version list, which answers even when the
// version is disabled.
type KeyVersion struct {
	Key           azureid.Key       `json:"key"`
	Enabled       bool              `json:"enabled"`
	Created       time.Time         `json:"created"`
	Updated       time.Time         `json:"updated"`
	NotBefore     *time.Time        `json:"notBefore,omitempty"`
	Expires       *time.Time        `json:"expires,omitempty"`
	RecoveryLevel string            `json:"recoveryLevel"`
	RetentionDays int               `json:"retentionDays"`
	Tags          map[string]string `json:"tags,omitempty"`
}

// KeyBundle is a version's public part.
type KeyBundle struct {
	Key     azureid.Key `json:"key"`
	Type    string      `json:"type"` // "RSA", "RSA-HSM", "EC", "EC-HSM", "oct-HSM"
	Bits    int         `json:"bits"` // of the modulus; 0 for other than RSA
	Ops     []string    `json:"ops"`
	Managed bool        `json:"managed"` // the lifetime is a certificate's
	// Exportable: whoever satisfies the release policy may take the private key
	// out of the HSM.
	Exportable bool `json:"exportable"`
	Enabled    bool `json:"enabled"`
}

// DeletedKey is a soft-deleted key.
type DeletedKey struct {
	Key       azureid.Key       `json:"key"`
	DeletedAt time.Time         `json:"deletedAt"`
	PurgeAt   time.Time         `json:"purgeAt"` // zero if the vault named none
	Tags      map[string]string `json:"tags,omitempty"`
}

// RotationPolicy is a key's rotation policy; durations are ISO 8601 as given.
type RotationPolicy struct {
	ExpiryTime string           `json:"expiryTime"`
	Actions    []RotationAction `json:"actions"`
}

// RotationAction is one lifetime action.
type RotationAction struct {
	Type             string `json:"type"` // "Rotate" or "Notify", any case
	TimeAfterCreate  string `json:"timeAfterCreate,omitempty"`
	TimeBeforeExpiry string `json:"timeBeforeExpiry,omitempty"`
}

// RoleAssignment is an active assignment that reaches the key's scope or one
// above it.
type RoleAssignment struct {
	ID            string    `json:"id"`
	PrincipalID   string    `json:"principalId"`
	PrincipalType string    `json:"principalType"` // "ServicePrincipal", "User", "Group", ...
	RoleID        string    `json:"roleId"`        // role definition's ARM id, lower case
	Scope         string    `json:"scope"`         // lower case
	Condition     string    `json:"condition,omitempty"`
	CreatedOn     time.Time `json:"createdOn"`
	UpdatedOn     time.Time `json:"updatedOn"`
}

// RoleDefinition is a built-in or custom role.
type RoleDefinition struct {
	ID          string       `json:"id"` // lower case
	Name        string       `json:"name"`
	Permissions []Permission `json:"permissions"`
}

// Permission is one block; notDataActions subtract inside their own block only.
type Permission struct {
	DataActions    []string `json:"dataActions"`
	NotDataActions []string `json:"notDataActions"`
	Actions        []string `json:"actions,omitempty"` // of the control plane
	NotActions     []string `json:"notActions,omitempty"`
}

// DenyAssignment overrides every grant.
type DenyAssignment struct {
	ID                 string       `json:"id"`
	Scope              string       `json:"scope"` // lower case
	NotForChildScopes  bool         `json:"notForChildScopes"`
	Permissions        []Permission `json:"permissions"`
	Principals         []Principal  `json:"principals"`
	ExcludedPrincipals []Principal  `json:"excludedPrincipals"`
}

// Principal is somebody a deny assignment names. The zero GUID with type
// SystemDefined is everybody.
type Principal struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

// Wiring is the snapshot of one cluster's chain. Facts about a key are of the
// key that the cluster names.
type Wiring struct {
	ID          azureid.Resource                `json:"id"` // the cluster's
	At          time.Time                       `json:"at"`
	Cluster     Fact[Cluster]                   `json:"cluster"`
	Identity    Fact[Identity]                  `json:"identity"`
	Vault       Fact[Vault]                     `json:"vault"`
	Versions    Fact[[]KeyVersion]              `json:"versions"`
	InUse       Fact[KeyBundle]                 `json:"inUse"`   // of the version that the cluster names
	Deleted     Fact[DeletedKey]                `json:"deleted"` // Known only when the key is soft-deleted; Absent when it is not
	Rotation    Fact[RotationPolicy]            `json:"rotation"`
	Assignments Fact[[]RoleAssignment]          `json:"assignments"` // not read in access-policy vaults
	Definitions Fact[map[string]RoleDefinition] `json:"definitions"` // by lower-case ARM id
	Denies      Fact[[]DenyAssignment]          `json:"denies"`
	Posture     Posture                         `json:"posture,omitzero"`
}

// Key returns the key version that the cluster names; zero if it names none.
func (w Wiring) Key() azureid.Key {
	if !w.Cluster.OK() || w.Cluster.Value.CMK == nil {
		return azureid.Key{}
	}
	return w.Cluster.Value.CMK.Key
}

// Version returns the version from the list, if both are known.
func (w Wiring) Version(k azureid.Key) (KeyVersion, bool) {
	for _, v := range w.Versions.Value {
		if v.Key.Equal(k) {
			return v, true
		}
	}
	return KeyVersion{}, false
}

// Newest returns the most recently created version, and of those of one second
// (Key Vault's resolution) the last by version text, so that the answer does
// not depend on the list's order.
func Newest(versions []KeyVersion) (KeyVersion, bool) {
	var best KeyVersion
	found := false
	for _, v := range versions {
		if !found || v.Created.After(best.Created) ||
			(v.Created.Equal(best.Created) && v.Key.Version > best.Key.Version) {
			best, found = v, true
		}
	}
	return best, found
}

// Consumers is the reverse map of one key: the clusters that can be seen to
// use it, each re-read by GET.
type Consumers struct {
	Key      azureid.Key `json:"key"`
	Clusters []Cluster   `json:"clusters"`
	// Complete is true only when the rights to see every cluster were verified
	// in this run; otherwise Why says what could be missing, and an empty list
	// means unknown, not nobody.
	Complete bool      `json:"complete"`
	Why      string    `json:"why,omitempty"`
	Call     string    `json:"call"`
	At       time.Time `json:"at"`
}
