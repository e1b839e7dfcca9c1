package wiring

import (
	"time"

	"cmkguard/internal/azureid"
)

// Posture holds the facts around a chain that cost a read of their own or come
// from events and logs. Each stays NotRead in a run that did not ask for it.
type Posture struct {
	// Of each sweep: from lists that one run reads once for all clusters.
	Sharers      Fact[int]           `json:"sharers,omitzero"`      // clusters seen to name the same key, this one included
	IdentityUses Fact[[]IdentityUse] `json:"identityUses,omitzero"` // what the encryption identity is attached to
	DeletedVault Fact[DeletedVault]  `json:"deletedVault,omitzero"` // Known only when the vault is soft-deleted; Absent when it is not
	Groups       Fact[[]string]      `json:"groups,omitzero"`       // object ids of the identity's groups, nested ones included; needs Microsoft Graph

	// Of the daily sweep.
	Databases     Fact[[]Database]                `json:"databases,omitzero"`
	Peers         Fact[[]Peer]                    `json:"peers,omitzero"` // of the geo-replication group, this cluster left out
	Contents      Fact[Contents]                  `json:"contents,omitzero"`
	Diagnostics   Fact[[]DiagnosticSetting]       `json:"diagnostics,omitzero"` // of the vault
	VaultLocks    Fact[[]Lock]                    `json:"vaultLocks,omitzero"`
	IdentityLocks Fact[[]Lock]                    `json:"identityLocks,omitzero"`
	Metrics       Fact[VaultMetrics]              `json:"metrics,omitzero"`
	Holders       Fact[[]RoleAssignment]          `json:"holders,omitzero"`     // anybody's, at or above the key's or the cluster's scope
	HolderRoles   Fact[map[string]RoleDefinition] `json:"holderRoles,omitzero"` // by lower-case ARM id
	Events        Fact[[]EventSubscription]       `json:"events,omitzero"`      // of the vault
	Defender      Fact[bool]                      `json:"defender,omitzero"`    // Defender for Key Vault is on in the vault's subscription
	Alerting      Fact[Alerting]                  `json:"alerting,omitzero"`
	Policy        Fact[PolicyState]               `json:"policy,omitzero"` // Absent: the policy is not assigned to the cluster

	// From events and logs: claims, which may alert and hold, never release.
	Use     Fact[KeyUse]     `json:"use,omitzero"` // Absent: the log was read and holds none
	Backups Fact[[]KeyEvent] `json:"backups,omitzero"`
	Changes Fact[[]Change]   `json:"changes,omitzero"`
}

// IdentityUse is one resource that an identity is attached to.
type IdentityUse struct {
	ID  azureid.Resource `json:"id"`
	Key azureid.Key      `json:"key"` // of a Redis cluster; zero otherwise
}

// DeletedVault is a soft-deleted vault.
type DeletedVault struct {
	ID        azureid.Resource `json:"id"` // what it was
	Location  string           `json:"location"`
	DeletedAt time.Time        `json:"deletedAt"`
	PurgeAt   time.Time        `json:"purgeAt"` // zero if none is named
	Protected bool             `json:"protected"`
}

// Database is a Microsoft.Cache/redisEnterprise/databases resource.
type Database struct {
	Name     string             `json:"name"`
	AOF      bool               `json:"aof"`
	RDB      bool               `json:"rdb"`
	GeoGroup string             `json:"geoGroup,omitempty"` // group nickname of active geo-replication
	Linked   []azureid.Resource `json:"linked,omitempty"`   // the clusters of the linked databases, its own included
}

// Peer is another cluster of a geo-replication group.
type Peer struct {
	ID            azureid.Resource `json:"id"`
	Cluster       Fact[Cluster]    `json:"cluster"`
	VaultLocation Fact[string]     `json:"vaultLocation,omitzero"` // of the peer's key
}

// Contents is what a vault holds, by the control plane's lists of names. A
// certificate shows as a key and a secret of its name.
type Contents struct {
	Keys    []string `json:"keys"`
	Secrets []string `json:"secrets"`
	ByRedis []string `json:"byRedis"` // of Keys, those that clusters are seen to name
}

// DiagnosticSetting is a Microsoft.Insights/diagnosticSettings entry.
type DiagnosticSetting struct {
	Name         string   `json:"name"`
	Logs         []string `json:"logs"`         // enabled categories and category groups
	Destinations []string `json:"destinations"` // ARM ids: workspace, event hub rule, storage account, partner
}

// Sink is where a diagnostic setting sends to: ARM ids, and the name of an event hub;
// empty where it does not.
type Sink struct {
	Workspace string `json:"workspace,omitempty"`
	HubRule   string `json:"eventHubRule,omitempty"`
	Hub       string `json:"eventHub,omitempty"`
	Storage   string `json:"storage,omitempty"`
}

// Lock is a Microsoft.Authorization/locks entry that reaches a resource.
type Lock struct {
	ID    string `json:"id"`
	Scope string `json:"scope"` // lower case
	Level string `json:"level"` // CanNotDelete, ReadOnly
}

// VaultMetrics are the last hour's platform metrics, in per cent.
type VaultMetrics struct {
	Availability float64 `json:"availability"` // average
	Saturation   float64 `json:"saturation"`   // maximum
}

// EventSubscription is an Event Grid subscription to the events of a vault or of an
// Azure subscription.
type EventSubscription struct {
	ID      string        `json:"id"`
	State   string        `json:"state"`             // provisioning: Succeeded, AwaitingManualAction, ...
	Types   []string      `json:"types"`             // included event types; empty: all
	Kind    string        `json:"kind"`              // AzureFunction, StorageQueue, WebHook, ...
	To      string        `json:"to"`                // the destination's ARM id or URL base
	Queue   string        `json:"queue,omitempty"`   // of a storage account
	Filters []EventFilter `json:"filters,omitempty"` // beside the types
	Expires time.Time     `json:"expires,omitzero"`  // zero: never
	// As is the identity of the topic by which it delivers, as in SystemTopic.Identities; ""
	// for none, which is how functions and webhooks are called.
	As string `json:"as,omitempty"`
}

// SystemAssigned stands for a resource's own identity among those that have an ARM id.
const SystemAssigned = "systemassigned"

// SystemTopic is the Event Grid system topic of a source.
type SystemTopic struct {
	ID     azureid.Resource `json:"id,omitzero"`
	Source string           `json:"source"` // ARM id
	State  string           `json:"state"`  // provisioning: Succeeded, Creating, ...
	// Identities are those that it has: ARM ids in lower case, and SystemAssigned.
	Identities []string `json:"identities,omitempty"`
}

// Alerting is who would tell about a vault.
type Alerting struct {
	Own   []string    `json:"own"` // topics that this installation sends to a channel
	Rules []AlertRule `json:"rules"`
}

// AlertRule is an alert rule of Azure Monitor that reaches the vault.
type AlertRule struct {
	ID         string   `json:"id"`
	Enabled    bool     `json:"enabled"`
	Operations []string `json:"operations"` // of an activity log alert
}

// PolicyState is the cluster's state under the built-in policy "Redis
// Enterprise should use customer-managed keys".
type PolicyState struct {
	Compliance string `json:"compliance"` // Compliant, NonCompliant, Exempt, ...
	Assignment string `json:"assignment"`
}

// KeyUse is proof of use: what the vault's audit log shows of unwraps by one
// principal.
type KeyUse struct {
	Version    string        `json:"version"` // of the last unwrap
	Last       time.Time     `json:"last"`
	Count      int           `json:"count"`
	LongestGap time.Duration `json:"longestGap"` // between two unwraps so far: the learned cadence
	Denied     time.Time     `json:"denied"`     // last refused unwrap; zero if none
}

// KeyEvent is one operation on a key by somebody.
type KeyEvent struct {
	Operation string    `json:"operation"` // KeyBackup, KeyRestore
	Actor     string    `json:"actor"`
	At        time.Time `json:"at"`
}

// Change is one change of the chain by somebody.
type Change struct {
	What      string    `json:"what"` // for people
	Actor     string    `json:"actor"`
	Known     bool      `json:"known"`     // ours, or an actor that policy names
	Downgrade bool      `json:"downgrade"` // the cluster was pointed at an older version
	At        time.Time `json:"at"`
}
