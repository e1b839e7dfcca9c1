// Package attachidentity attaches the identity that a cluster's encryption names
// to the cluster again, once, after people decided it. Ceiling: approve.
//
// Least privilege of the caller: Microsoft.Cache/redisEnterprise/read and /write,
// and Microsoft.ManagedIdentity/userAssignedIdentities/assign/action on the
// identity. IRREVERSIBLE by us: detaching is the owner's.
//
// Runbook: the activity log (Microsoft.Cache/redisEnterprise/write) says who
// detached it. Without it the cluster gets no token for its key.
package attachidentity

import (
	"context"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/plan"
	"cmkguard/internal/remedy"
	"cmkguard/internal/wiring"
)

// Clusters reads clusters and attaches identities.
type Clusters interface {
	Get(ctx context.Context, id azureid.Resource) wiring.Fact[wiring.Cluster]
	Attach(ctx context.Context, c wiring.Cluster, id azureid.Resource, requestID string) (resumeToken string, err error)
	Poll(ctx context.Context, resumeToken string) (done bool, err error)
}

// Effect returns the attachment that the plan names.
func Effect(cl Clusters, p plan.Plan, partition string) (remedy.Effect, error) {
	step := p.Steps[0]
	cluster, err := azureid.ParseResource(step.Target)
	if err != nil {
		return remedy.Effect{}, err
	}
	identity, err := azureid.ParseResource(step.To)
	if err != nil {
		return remedy.Effect{}, err
	}
	var last wiring.Cluster
	e := remedy.Repair(partition, step.Key, p.Subject.String(), p.ID, "attach "+identity.Name()+" to "+cluster.Name())
	e.Look = func(ctx context.Context, _ time.Time) (s remedy.Sight, err error) {
		s, last, err = look(ctx, cl, cluster, identity)
		return s, err
	}
	e.Act = func(ctx context.Context, requestID string) (string, error) {
		return cl.Attach(ctx, last, identity, requestID)
	}
	e.Poll = cl.Poll
	return e, nil
}

func look(ctx context.Context, cl Clusters, cluster, identity azureid.Resource) (remedy.Sight, wiring.Cluster, error) {
	f := cl.Get(ctx, cluster)
	c := f.Value
	switch {
	case f.State == wiring.Absent:
		return remedy.Sight{Stop: "the cluster is gone"}, c, nil
	case !f.OK():
		return remedy.Sight{}, c, fault.New(fault.Transient, "attachidentity.look", "%s: %s", cluster.Name(), f.Why)
	case c.CMK == nil || !c.CMK.IdentityID.Equal(identity):
		return remedy.Sight{Stop: "the cluster's encryption names another identity since the plan"}, c, nil
	case c.ProvisioningState == "Updating" || c.ResourceState == "Updating":
		return remedy.Sight{Busy: "the cluster is " + c.ResourceState + " (provisioning " + c.ProvisioningState + ")"}, c, nil
	}
	for _, i := range c.Identities {
		if i.ID.Equal(identity) {
			return remedy.Sight{Done: true, Result: "attached; the cluster is " + c.ResourceState}, c, nil
		}
	}
	return remedy.Sight{}, c, nil
}
