// Package rollbackdowngrade points a cluster that went back to an older version
// of its key at the newer one again, once, after people decided it. Ceiling:
// approve: pointing a cluster back is one of the ways in which its owner says no.
//
// Least privilege of the caller and bounds are those of rewire. Undo: PATCH the
// cluster back, by a person.
//
// Runbook: the activity log (Microsoft.Cache/redisEnterprise/write) says who
// pointed it back.
package rollbackdowngrade

import (
	"cmkguard/internal/azureid"
	"cmkguard/internal/plan"
	"cmkguard/internal/remedy"
	"cmkguard/internal/remedy/rewire"
)

// Effect returns the move that the plan names.
func Effect(cl rewire.Clusters, p plan.Plan, partition string) (remedy.Effect, error) {
	id, err := azureid.ParseResource(p.Steps[0].Target)
	if err != nil {
		return remedy.Effect{}, err
	}
	e := rewire.Effect(cl, id, p.Key, p.To, p.ID, partition)
	e.Key = p.Steps[0].Key // of this life of the problem, not of the version: it was there before
	return e, nil
}
