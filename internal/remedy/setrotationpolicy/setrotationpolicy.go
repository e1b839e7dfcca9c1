// Package setrotationpolicy gives a key the rotation policy that the policy file
// declares, once, and keeps what the key has and is sound. Ceiling: auto. From then
// on Key Vault rotates the key by itself, so it is gated like a rotation.
//
// Least privilege of the caller: data actions
// Microsoft.KeyVault/vaults/keyrotationpolicies/read and /write (access policies:
// getrotationpolicy, setrotationpolicy). Undo: PUT the policy as it was, which the
// plan's step holds whole.
//
// Runbook: held at first-rotation, rotate the key first. Refused at material, its
// owner imports each version. Set rotationPolicy in the policy file if there is no
// plan.
package setrotationpolicy

import (
	"context"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/plan"
	"cmkguard/internal/remedy"
	"cmkguard/internal/wiring"
)

// Vault reads and sets rotation policies.
type Vault interface {
	Rotation(ctx context.Context, k azureid.Key) wiring.Fact[wiring.RotationPolicy]
	SetRotation(ctx context.Context, k azureid.Key, p wiring.RotationPolicy, requestID string) error
}

// Effect returns the change that the plan names.
func Effect(v Vault, p plan.Plan, partition string) (remedy.Effect, error) {
	step, k := p.Steps[0], p.Key.Base()
	from, err := plan.DecodeRotation(step.From)
	if err != nil {
		return remedy.Effect{}, err
	}
	to, err := plan.DecodeRotation(step.To)
	if err != nil {
		return remedy.Effect{}, err
	}
	e := remedy.Repair(partition, step.Key, p.Subject.String(), p.ID, "set the rotation policy of "+k.ID())
	e.Look = func(ctx context.Context, _ time.Time) (remedy.Sight, error) {
		f := v.Rotation(ctx, k)
		switch {
		case f.State == wiring.Absent && step.From == plan.NoRotationPolicy:
			return remedy.Sight{}, nil
		case f.State == wiring.Absent:
			return remedy.Sight{Stop: "the key or its rotation policy is gone since the plan"}, nil
		case !f.OK():
			return remedy.Sight{}, fault.New(fault.Transient, "setrotationpolicy.look", "%s: %s", k.ID(), f.Why)
		case plan.SameRotation(f.Value, to):
			return remedy.Sight{Done: true, Result: step.To}, nil
		case !plan.SameRotation(f.Value, from):
			return remedy.Sight{Stop: "the rotation policy was changed since the plan"}, nil
		}
		return remedy.Sight{}, nil
	}
	e.Act = func(ctx context.Context, requestID string) (string, error) {
		return "", v.SetRotation(ctx, k, to, requestID)
	}
	return e, nil
}
