// Package enablepurgeprotection switches a vault's purge protection on, once,
// after people decided it. Ceiling: approve; refused where the policy names
// erasable keys in the vault.
//
// Least privilege of the caller: Microsoft.KeyVault/vaults/read and /write.
// IRREVERSIBLE: Azure never lets it be switched off.
//
// Runbook: without it whoever may purge can end a deleted key at once, and with
// it every cache that it encrypts.
package enablepurgeprotection

import (
	"context"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/plan"
	"cmkguard/internal/remedy"
	"cmkguard/internal/wiring"
)

// Vaults reads and changes vaults.
type Vaults interface {
	Vault(ctx context.Context, id azureid.Resource) wiring.Fact[wiring.Vault]
	ProtectPurge(ctx context.Context, vault azureid.Resource, requestID string) error
}

// Effect returns the change that the plan names.
func Effect(vs Vaults, p plan.Plan, partition string) (remedy.Effect, error) {
	step := p.Steps[0]
	id, err := azureid.ParseResource(step.Target)
	if err != nil {
		return remedy.Effect{}, err
	}
	e := remedy.Repair(partition, step.Key, p.Subject.String(), p.ID, "switch purge protection on for "+id.Name())
	e.Look = func(ctx context.Context, _ time.Time) (remedy.Sight, error) {
		f := vs.Vault(ctx, id)
		switch v := f.Value; {
		case f.State == wiring.Absent:
			return remedy.Sight{Stop: "the vault is gone"}, nil
		case !f.OK():
			return remedy.Sight{}, fault.New(fault.Transient, "enablepurgeprotection.look", "%s: %s", id.Name(), f.Why)
		case v.PurgeProtection:
			return remedy.Sight{Done: true, Result: "on"}, nil
		}
		return remedy.Sight{}, nil
	}
	e.Act = func(ctx context.Context, requestID string) (string, error) {
		return "", vs.ProtectPurge(ctx, id, requestID)
	}
	return e, nil
}
