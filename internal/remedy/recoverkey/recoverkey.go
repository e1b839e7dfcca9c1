// Package recoverkey brings a soft-deleted key back, once, after people decided
// it. Ceiling: approve.
//
// Least privilege of the caller: data actions Microsoft.KeyVault/vaults/keys/read
// and .../keys/recover/action. IRREVERSIBLE by us: deleting is the owner's.
//
// Runbook: who deleted the key, and why, stands in Key Vault's AuditEvent log
// (KeyDelete). Until the purge date the key can be recovered; while it is
// deleted no cluster can unwrap.
package recoverkey

import (
	"context"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/plan"
	"cmkguard/internal/remedy"
	"cmkguard/internal/wiring"
)

// Vault reads and recovers keys.
type Vault interface {
	Versions(ctx context.Context, k azureid.Key) wiring.Fact[[]wiring.KeyVersion]
	Deleted(ctx context.Context, k azureid.Key) wiring.Fact[wiring.DeletedKey]
	Recover(ctx context.Context, k azureid.Key, requestID string) error
}

// Effect returns the recovery that the plan names.
func Effect(v Vault, p plan.Plan, partition string) remedy.Effect {
	step, k := p.Steps[0], p.Key.Base()
	e := remedy.Repair(partition, step.Key, p.Subject.String(), p.ID, "recover the deleted key "+k.ID())
	e.Look = func(ctx context.Context, _ time.Time) (remedy.Sight, error) {
		live := v.Versions(ctx, k)
		if live.OK() {
			return remedy.Sight{Done: true, Result: "live"}, nil
		}
		d := v.Deleted(ctx, k)
		switch {
		case live.State != wiring.Absent:
			return remedy.Sight{}, fault.New(fault.Transient, "recoverkey.look", "versions of %s: %s", k.ID(), live.Why)
		case d.State == wiring.Absent:
			return remedy.Sight{Stop: "the key is neither live nor deleted: purged"}, nil
		case !d.OK():
			return remedy.Sight{}, fault.New(fault.Transient, "recoverkey.look", "deleted key %s: %s", k.ID(), d.Why)
		case "deleted "+d.Value.DeletedAt.UTC().Format(time.RFC3339) != step.From:
			return remedy.Sight{Stop: "the key was recovered and deleted again since the plan"}, nil
		}
		return remedy.Sight{}, nil
	}
	e.Act = func(ctx context.Context, requestID string) (string, error) { return "", v.Recover(ctx, k, requestID) }
	return e
}
