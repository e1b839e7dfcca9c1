// Package fixkeyops permits wrapKey and unwrapKey on the version that clusters
// use, once, after people decided it. Ceiling: approve. What else was permitted
// stays so.
//
// Least privilege of the caller: data actions Microsoft.KeyVault/vaults/keys/read
// and .../keys/update/action. IRREVERSIBLE by us: taking operations away is the
// owner's; the plan keeps what they were.
//
// Runbook: without unwrapKey every unwrap is refused (KeyOperationForbidden).
// Key Vault's AuditEvent log (KeyUpdate) says who changed the operations.
package fixkeyops

import (
	"context"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/plan"
	"cmkguard/internal/remedy"
	"cmkguard/internal/wiring"
)

// Vault reads a version's public part and permits operations.
type Vault interface {
	Bundle(ctx context.Context, k azureid.Key) wiring.Fact[wiring.KeyBundle]
	Permit(ctx context.Context, k azureid.Key, ops []string, requestID string) error
}

// Effect returns the change of operations that the plan names.
func Effect(v Vault, p plan.Plan, partition string) remedy.Effect {
	step, k := p.Steps[0], p.Key
	e := remedy.Repair(partition, step.Key, p.Subject.String(), p.ID, "permit "+step.To+" on "+k.String())
	e.Look = func(ctx context.Context, _ time.Time) (remedy.Sight, error) {
		f := v.Bundle(ctx, k)
		switch {
		case f.State == wiring.Absent:
			return remedy.Sight{Stop: "the version is no longer there"}, nil
		case !f.OK():
			return remedy.Sight{}, fault.New(fault.Transient, "fixkeyops.look", "%s: %s", k, f.Why)
		case permits(f.Value.Ops, "wrapKey") && permits(f.Value.Ops, "unwrapKey"):
			return remedy.Sight{Done: true, Result: strings.Join(f.Value.Ops, ",")}, nil
		case strings.Join(f.Value.Ops, ",") != step.From:
			return remedy.Sight{Stop: "the operations were changed since the plan: " + strings.Join(f.Value.Ops, ", ")}, nil
		}
		return remedy.Sight{}, nil
	}
	e.Act = func(ctx context.Context, requestID string) (string, error) {
		return "", v.Permit(ctx, k, strings.Split(step.To, ","), requestID)
	}
	return e
}

func permits(ops []string, op string) bool {
	return slices.ContainsFunc(ops, func(o string) bool { return strings.EqualFold(o, op) })
}
