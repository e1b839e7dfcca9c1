// Package rotate makes a new version of a key, once.
//
// Least privilege of the caller: data actions
// Microsoft.KeyVault/vaults/keys/read and .../keys/rotate/action (access
// policies: get, list, rotate). It never disables, deletes or changes a version.
package rotate

import (
	"context"
	"fmt"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/plan"
	"cmkguard/internal/remedy"
	"cmkguard/internal/wiring"
)

// Bounds of one attempt: RotateKey answers in seconds; a request that outlives
// its deadline by the quiet time is outside the claim.
const (
	Budget = 30 * time.Second
	Quiet  = 5 * time.Minute
	Tries  = 2
	Rest   = 6 * time.Hour
)

// Vault reads a key's versions and rotates it.
type Vault interface {
	Versions(ctx context.Context, k azureid.Key) wiring.Fact[[]wiring.KeyVersion]
	// Rotate sends one request without retries of its own.
	Rotate(ctx context.Context, k azureid.Key, requestID string) (azureid.Key, error)
}

// Effect returns the rotation of base's key away from base.
func Effect(v Vault, p plan.Plan, partition string) remedy.Effect {
	base := p.Key
	return remedy.Effect{
		Partition: partition,
		Key:       plan.EffectKey(plan.Rotate, base.ID(), base.Version),
		Subject:   p.Subject.String(), Ref: p.ID,
		Text:   "rotate " + base.String(),
		Budget: Budget, Quiet: Quiet, Tries: Tries, Rest: Rest,
		Look: func(ctx context.Context, since time.Time) (remedy.Sight, error) { return look(ctx, v, base, since) },
		Act: func(ctx context.Context, requestID string) (string, error) {
			_, err := v.Rotate(ctx, base.Base(), requestID)
			return "", err
		},
	}
}

// look adopts a version that appeared since the reservation as ours: while an
// unsettled intent of ours is open, one new version on top of the base is what
// a lost or late answer looks like. Two are not, and stop.
func look(ctx context.Context, v Vault, base azureid.Key, since time.Time) (remedy.Sight, error) {
	f := v.Versions(ctx, base.Base())
	if !f.OK() {
		return remedy.Sight{}, fault.New(fault.Transient, "rotate.look", "versions of %s: %s", base.ID(), f.Why)
	}
	var at time.Time
	for _, ver := range f.Value {
		if ver.Key.Equal(base) {
			at = ver.Created
		}
	}
	if at.IsZero() {
		return remedy.Sight{Stop: "version " + base.Version + " is no longer there"}, nil
	}
	var newer []wiring.KeyVersion
	for _, ver := range f.Value {
		if !ver.Key.Equal(base) && !ver.Created.Before(at) {
			newer = append(newer, ver)
		}
	}
	switch len(newer) {
	case 0:
		return remedy.Sight{}, nil
	case 1:
		// Key Vault's times have whole seconds; clocks may differ by a little.
		if since.IsZero() || newer[0].Created.Before(since.Add(-time.Minute)) {
			return remedy.Sight{Stop: fmt.Sprintf("version %s was made before this plan, by somebody else", newer[0].Key.Version)}, nil
		}
		return remedy.Sight{Done: true, Result: newer[0].Key.Version}, nil
	}
	return remedy.Sight{Stop: fmt.Sprintf("%d versions are newer than %s; only one can be ours", len(newer), base.Version)}, nil
}
