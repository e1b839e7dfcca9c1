// Package reenableversion enables the key version that clusters use, once,
// after people decided it. Ceiling: approve. It never disables one.
//
// Least privilege of the caller: data actions Microsoft.KeyVault/vaults/keys/read
// and .../keys/update/action. IRREVERSIBLE by us: disabling is the owner's.
//
// Runbook: a disabled version cannot unwrap; a cluster that restarts stays
// offline. Key Vault's AuditEvent log (KeyUpdate) says who disabled it.
package reenableversion

import (
	"context"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/plan"
	"cmkguard/internal/remedy"
	"cmkguard/internal/wiring"
)

// Vault reads and enables versions.
type Vault interface {
	Versions(ctx context.Context, k azureid.Key) wiring.Fact[[]wiring.KeyVersion]
	Enable(ctx context.Context, k azureid.Key, requestID string) error
}

// Effect returns the enabling that the plan names.
func Effect(v Vault, p plan.Plan, partition string) remedy.Effect {
	k := p.Key
	e := remedy.Repair(partition, p.Steps[0].Key, p.Subject.String(), p.ID, "enable "+k.String())
	e.Look = func(ctx context.Context, _ time.Time) (remedy.Sight, error) {
		f := v.Versions(ctx, k.Base())
		if !f.OK() && f.State != wiring.Absent {
			return remedy.Sight{}, fault.New(fault.Transient, "reenableversion.look", "versions of %s: %s", k.ID(), f.Why)
		}
		for _, ver := range f.Value {
			if ver.Key.Equal(k) {
				return remedy.Sight{Done: ver.Enabled, Result: "enabled"}, nil
			}
		}
		return remedy.Sight{Stop: "version " + k.Version + " is no longer there"}, nil
	}
	e.Act = func(ctx context.Context, requestID string) (string, error) { return "", v.Enable(ctx, k, requestID) }
	return e
}
