// Package opentrustedbypass lets trusted services through a vault's firewall,
// once, after people decided it. Ceiling: approve. The firewall's other rules
// stay as they are, and it is never closed.
//
// Least privilege of the caller: Microsoft.KeyVault/vaults/read and /write.
// IRREVERSIBLE by us: closing a firewall is the owner's.
//
// Runbook: Azure's Redis reaches a vault behind a firewall as a trusted service
// only. The activity log (Microsoft.KeyVault/vaults/write) says who closed it.
package opentrustedbypass

import (
	"context"
	"strings"
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
	OpenBypass(ctx context.Context, vault azureid.Resource, requestID string) error
}

// Effect returns the change that the plan names.
func Effect(vs Vaults, p plan.Plan, partition string) (remedy.Effect, error) {
	step := p.Steps[0]
	id, err := azureid.ParseResource(step.Target)
	if err != nil {
		return remedy.Effect{}, err
	}
	e := remedy.Repair(partition, step.Key, p.Subject.String(), p.ID, "let trusted services through the firewall of "+id.Name())
	e.Look = func(ctx context.Context, _ time.Time) (remedy.Sight, error) {
		f := vs.Vault(ctx, id)
		switch v := f.Value; {
		case f.State == wiring.Absent:
			return remedy.Sight{Stop: "the vault is gone"}, nil
		case !f.OK():
			return remedy.Sight{}, fault.New(fault.Transient, "opentrustedbypass.look", "%s: %s", id.Name(), f.Why)
		case strings.EqualFold(v.Bypass, "AzureServices"):
			return remedy.Sight{Done: true, Result: v.Bypass}, nil
		}
		return remedy.Sight{}, nil
	}
	e.Act = func(ctx context.Context, requestID string) (string, error) {
		return "", vs.OpenBypass(ctx, id, requestID)
	}
	return e, nil
}
