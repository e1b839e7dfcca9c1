// Package restoregrant gives a cluster's identity its access to the key again,
// once, after people decided it: the role Key Vault Crypto Service Encryption User
// at the vault, or at the key where the policy says so; in a vault of access
// policies, where the policy lets it, get, wrapKey and unwrapKey beside what the
// identity has. Ceiling: approve. Nobody's access is replaced or taken away.
//
// Least privilege of the caller: Microsoft.Authorization/roleAssignments/read and
// /write at that scope, best with a condition that allows this one role only; for
// access policies Microsoft.KeyVault/vaults/read and vaults/accessPolicies/write,
// which lets its holder give itself any access: off by default. IRREVERSIBLE by us:
// removing a grant is the owner's.
//
// Runbook: the subscription's activity log (roleAssignments/delete) says who
// removed the grant. A new assignment takes effect within minutes.
package restoregrant

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

// Grants reads and makes role assignments.
type Grants interface {
	Granted(ctx context.Context, scope, name string) (bool, error)
	Grant(ctx context.Context, scope, name, role, principalID, requestID string) error
}

// Policies reads vaults and adds to their access policies.
type Policies interface {
	Vault(ctx context.Context, id azureid.Resource) wiring.Fact[wiring.Vault]
	AddAccess(ctx context.Context, vault azureid.Resource, objectID string, keys []string, requestID string) error
}

// Effect returns the assignment, or the addition to an access policy, that the plan
// names.
func Effect(g Grants, ps Policies, p plan.Plan, partition string) (remedy.Effect, error) {
	step := p.Steps[0]
	if principal, ok := step.Args["objectId"]; ok {
		return policyEffect(ps, p, principal, partition)
	}
	name, principal := step.Args["assignment"], step.Args["principalId"]
	e := remedy.Repair(partition, step.Key, p.Subject.String(), p.ID, "assign role "+step.To+" to "+principal+" at "+step.Target)
	e.Look = func(ctx context.Context, _ time.Time) (remedy.Sight, error) {
		there, err := g.Granted(ctx, step.Target, name)
		return remedy.Sight{Done: there, Result: name}, err
	}
	e.Act = func(ctx context.Context, requestID string) (string, error) {
		return "", g.Grant(ctx, step.Target, name, step.To, principal, requestID)
	}
	return e, nil
}

func policyEffect(ps Policies, p plan.Plan, principal, partition string) (remedy.Effect, error) {
	step := p.Steps[0]
	id, err := azureid.ParseResource(step.Target)
	if err != nil {
		return remedy.Effect{}, err
	}
	e := remedy.Repair(partition, step.Key, p.Subject.String(), p.ID, "add get, wrapKey and unwrapKey for "+principal+" to the access policies of "+id.Name())
	e.Look = func(ctx context.Context, _ time.Time) (remedy.Sight, error) {
		f := ps.Vault(ctx, id)
		switch v := f.Value; {
		case f.State == wiring.Absent:
			return remedy.Sight{Stop: "the vault is gone"}, nil
		case !f.OK():
			return remedy.Sight{}, fault.New(fault.Transient, "restoregrant.look", "%s: %s", id.Name(), f.Why)
		case v.RBAC:
			return remedy.Sight{Stop: "the vault was switched to roles since the plan: its access policies count for nothing"}, nil
		default:
			have := plan.KeysOf(v, principal)
			return remedy.Sight{Done: len(plan.WithKeyAccess(have)) == len(have), Result: strings.Join(have, ",")}, nil
		}
	}
	e.Act = func(ctx context.Context, requestID string) (string, error) {
		return "", ps.AddAccess(ctx, id, principal, plan.KeyAccess(), requestID)
	}
	return e, nil
}
