// Package survey reads the whole chain of a cluster, and who else shares its
// key, by composing the adapters. Within one run every fact is read once, so
// that clusters with the same key or vault are judged by the same facts.
//
// It judges nothing and writes nothing.
package survey

import (
	"context"
	"time"

	"cmkguard/internal/azure/graph"
	"cmkguard/internal/azureid"
	"cmkguard/internal/wiring"
)

// Clusters reads one cluster.
type Clusters interface {
	Get(ctx context.Context, id azureid.Resource) wiring.Fact[wiring.Cluster]
}

// Keys reads a key's versions, one version, and its deleted form.
type Keys interface {
	Versions(ctx context.Context, k azureid.Key) wiring.Fact[[]wiring.KeyVersion]
	Bundle(ctx context.Context, k azureid.Key) wiring.Fact[wiring.KeyBundle]
	Deleted(ctx context.Context, k azureid.Key) wiring.Fact[wiring.DeletedKey]
}

// Rotations reads a key's rotation policy.
type Rotations interface {
	Rotation(ctx context.Context, k azureid.Key) wiring.Fact[wiring.RotationPolicy]
}

// Resources reads vaults and identities.
type Resources interface {
	Vault(ctx context.Context, id azureid.Resource) wiring.Fact[wiring.Vault]
	Identity(ctx context.Context, id azureid.Resource) wiring.Fact[wiring.Identity]
}

// Grants reads Azure RBAC at a key's scope.
type Grants interface {
	Assignments(ctx context.Context, keyScope, principalID string) wiring.Fact[[]wiring.RoleAssignment]
	Definitions(ctx context.Context, ids []string) wiring.Fact[map[string]wiring.RoleDefinition]
	Denies(ctx context.Context, scope string) wiring.Fact[[]wiring.DenyAssignment]
}

// Map finds clusters and vaults, and tells whether it can see them all.
type Map interface {
	Clusters(ctx context.Context, subscriptions []string) ([]graph.Row, error)
	VaultByHost(ctx context.Context, subscriptions []string, host string) (azureid.Resource, bool, error)
	// Sight says what may hide clusters of a subscription; an error: it could not be told.
	Sight(ctx context.Context, subscription string) (lack string, err error)
}

// Sources are what a survey reads from; all but Around and Rows are required.
type Sources struct {
	Clusters  Clusters
	Keys      Keys
	Rotations Rotations
	Resources Resources
	Grants    Grants
	Map       Map
	Around    *Surroundings // nil: what stands around the chains is not read
	Mentions  Mentions      // nil: what else names a vault is not asked
	Rows      Rows          // nil: sweeps read each thing by itself too
}

// Survey reads the configured subscriptions.
type Survey struct {
	src           Sources
	cloud         azureid.Cloud
	subscriptions []string
	now           func() time.Time
}

// New returns a survey of the subscriptions.
func New(src Sources, c azureid.Cloud, subscriptions []string, now func() time.Time) *Survey {
	return &Survey{src: src, cloud: c, subscriptions: subscriptions, now: now}
}

// Run is one pass over live state. It remembers what it read, failed reads too:
// a source that failed in this run is not asked again for the next cluster. It
// is safe for concurrent use.
type Run struct {
	*Survey
	clusters    memo[wiring.Fact[wiring.Cluster]]
	hosts       memo[wiring.Fact[wiring.Vault]]
	identities  memo[wiring.Fact[wiring.Identity]]
	versions    memo[wiring.Fact[[]wiring.KeyVersion]]
	bundles     memo[wiring.Fact[wiring.KeyBundle]]
	deleted     memo[wiring.Fact[wiring.DeletedKey]]
	rotations   memo[wiring.Fact[wiring.RotationPolicy]]
	assignments memo[wiring.Fact[[]wiring.RoleAssignment]]
	definitions memo[wiring.Fact[wiring.RoleDefinition]]
	denies      memo[wiring.Fact[[]wiring.DenyAssignment]]
	found       memo[found]
	rights      memo[rights]
	sights      memo[wiring.Sight]
	around      around
	lists       lists
}

// Run starts a pass that remembers nothing of those before.
func (s *Survey) Run() *Run { return &Run{Survey: s} }
