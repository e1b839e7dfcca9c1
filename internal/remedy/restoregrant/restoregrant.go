// Package restoregrant gives a cluster's identity its role on the key again,
// once, after people decided it: Key Vault Crypto Service Encryption User at the
// vault, or at the key where the policy says so. Ceiling: approve. Access
// policies are not written.
//
// Least privilege of the caller: Microsoft.Authorization/roleAssignments/read and
// /write at that scope, best with a condition that allows this one role only.
// IRREVERSIBLE by us: removing a grant is the owner's.
//
// Runbook: the subscription's activity log (roleAssignments/delete) says who
// removed the grant. A new assignment takes effect within minutes.
package restoregrant

import (
	"context"
	"time"

	"cmkguard/internal/plan"
	"cmkguard/internal/remedy"
)

// Grants reads and makes role assignments.
type Grants interface {
	Granted(ctx context.Context, scope, name string) (bool, error)
	Grant(ctx context.Context, scope, name, role, principalID, requestID string) error
}

// Effect returns the assignment that the plan names.
func Effect(g Grants, p plan.Plan, partition string) remedy.Effect {
	step := p.Steps[0]
	name, principal := step.Args["assignment"], step.Args["principalId"]
	e := remedy.Repair(partition, step.Key, p.Subject.String(), p.ID, "assign role "+step.To+" to "+principal+" at "+step.Target)
	e.Look = func(ctx context.Context, _ time.Time) (remedy.Sight, error) {
		there, err := g.Granted(ctx, step.Target, name)
		return remedy.Sight{Done: there, Result: name}, err
	}
	e.Act = func(ctx context.Context, requestID string) (string, error) {
		return "", g.Grant(ctx, step.Target, name, step.To, principal, requestID)
	}
	return e
}
