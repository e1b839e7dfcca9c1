// Package rewire points one cluster at another version of the key that it
// already uses, once.
//
// Least privilege of the caller: Microsoft.Cache/redisEnterprise/read and
// /write, Microsoft.Cache/locations/operationsStatus/read, and
// Microsoft.ManagedIdentity/userAssignedIdentities/read and /assign/action on the
// cluster's identity. It never switches a cluster between Microsoft-managed
// and customer-managed keys, and never to another key.
package rewire

import (
	"context"
	"fmt"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/plan"
	"cmkguard/internal/remedy"
	"cmkguard/internal/wiring"
)

// Bounds of one attempt.
const (
	Budget = 45 * time.Second
	Quiet  = 2 * time.Minute
	Tries  = 3
	Rest   = 6 * time.Hour
)

// Clusters reads and rewires clusters.
type Clusters interface {
	Get(ctx context.Context, id azureid.Resource) wiring.Fact[wiring.Cluster]
	// Rewire sends one PATCH without retries of its own and returns the long
	// operation's resume token, or "" if it finished at once.
	Rewire(ctx context.Context, c wiring.Cluster, to azureid.Key, requestID string) (resumeToken string, err error)
	// Poll asks the operation once; a failed operation is a Conflict fault.
	Poll(ctx context.Context, resumeToken string) (done bool, err error)
}

// Effect returns the move of cluster id from one version to another of one key.
func Effect(cl Clusters, id azureid.Resource, from, to azureid.Key, ref, partition string) remedy.Effect {
	var last wiring.Cluster
	return remedy.Effect{
		Partition: partition,
		Key:       plan.EffectKey(plan.Rewire, id.Key(), to.Version),
		Subject:   "cluster:" + id.Key(), Ref: ref,
		Text:   fmt.Sprintf("point %s at version %s", id.Name(), to.Version),
		Budget: Budget, Quiet: Quiet, Tries: Tries, Rest: Rest,
		Look: func(ctx context.Context, _ time.Time) (remedy.Sight, error) {
			s, c, err := Look(ctx, cl, id, from, to)
			last = c
			return s, err
		},
		Act: func(ctx context.Context, requestID string) (string, error) {
			return cl.Rewire(ctx, last, to, requestID)
		},
		Poll: cl.Poll,
	}
}

// Look reads the cluster and compares it with the wanted version. A person's
// own later write wins: any version but from and to stops the move.
func Look(ctx context.Context, cl Clusters, id azureid.Resource, from, to azureid.Key) (remedy.Sight, wiring.Cluster, error) {
	f := cl.Get(ctx, id)
	switch {
	case f.State == wiring.Absent:
		return remedy.Sight{Stop: "the cluster is gone"}, wiring.Cluster{}, nil
	case !f.OK():
		return remedy.Sight{}, wiring.Cluster{}, fault.New(fault.Transient, "rewire.look", "%s: %s", id.Name(), f.Why)
	}
	c := f.Value
	switch {
	case c.CMK == nil:
		return remedy.Sight{Stop: "the cluster no longer uses a customer-managed key"}, c, nil
	case c.CMK.Key.Equal(to) && c.Running():
		return remedy.Sight{Done: true, Result: to.Version}, c, nil
	case c.EndedBadly():
		return remedy.Sight{Stop: "the cluster is " + c.ResourceState + " (provisioning " + c.ProvisioningState + ")"}, c, nil
	case !c.Running():
		return remedy.Sight{Busy: "the cluster is " + c.ResourceState + " (provisioning " + c.ProvisioningState + ")"}, c, nil
	case !c.CMK.Key.Equal(from):
		return remedy.Sight{Stop: "the cluster was pointed at " + c.CMK.KeyURL + " by somebody else"}, c, nil
	}
	return remedy.Sight{}, c, nil
}
