// Package recovervault brings a soft-deleted vault back, once, after people
// decided it. Ceiling: approve. What does not come back with it, role assignments
// and event subscriptions, shows as incidents of its own.
//
// Least privilege of the caller: Microsoft.KeyVault/vaults/read and /write, and
// Microsoft.KeyVault/locations/deletedVaults/read. IRREVERSIBLE by us: deleting
// is the owner's.
//
// Runbook: the activity log (Microsoft.KeyVault/vaults/delete) says who deleted
// it. Keys in it are untouched until the scheduled purge.
package recovervault

import (
	"context"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/plan"
	"cmkguard/internal/remedy"
	"cmkguard/internal/wiring"
)

// Vaults reads and recovers vaults.
type Vaults interface {
	Vault(ctx context.Context, id azureid.Resource) wiring.Fact[wiring.Vault]
	RecoverVault(ctx context.Context, vault azureid.Resource, location, tenantID, requestID string) error
}

// Effect returns the recovery that the plan names.
func Effect(vs Vaults, p plan.Plan, partition string) (remedy.Effect, error) {
	step := p.Steps[0]
	id, err := azureid.ParseResource(step.Target)
	if err != nil {
		return remedy.Effect{}, err
	}
	e := remedy.Repair(partition, step.Key, p.Subject.String(), p.ID, "recover the deleted vault "+id.Name())
	e.Look = func(ctx context.Context, _ time.Time) (remedy.Sight, error) {
		f := vs.Vault(ctx, id)
		if !f.OK() && f.State != wiring.Absent {
			return remedy.Sight{}, fault.New(fault.Transient, "recovervault.look", "%s: %s", id.Name(), f.Why)
		}
		return remedy.Sight{Done: f.OK(), Result: "live"}, nil
	}
	e.Act = func(ctx context.Context, requestID string) (string, error) {
		return "", vs.RecoverVault(ctx, id, step.Args["location"], step.Args["tenantId"], requestID)
	}
	return e, nil
}
