// Package quarantine moves the clusters of a key that people called compromised to a
// new key in another vault: it makes that key once, and then moves one cluster after
// another, each once, each read back. Ceiling: approve, two persons. It never
// disables or deletes the old key: that is proposed to a person when all have moved.
//
// Least privilege of the caller: data actions Microsoft.KeyVault/vaults/keys/read and
// .../keys/create/action in the new vault (access policies: get, list, create); those
// of rewire on the clusters. Undo of a move: PATCH the cluster back to the old key, by
// a person; making the key is IRREVERSIBLE by us.
//
// Runbook: contain first (take backup and restore rights away), then ask for it
// (cmkguard quarantine). The first failure leaves the clusters after it on the old key.
package quarantine

import (
	"context"
	"strconv"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/plan"
	"cmkguard/internal/remedy"
	"cmkguard/internal/wiring"
)

// Keys reads and makes keys.
type Keys interface {
	Versions(ctx context.Context, k azureid.Key) wiring.Fact[[]wiring.KeyVersion]
	Deleted(ctx context.Context, k azureid.Key) wiring.Fact[wiring.DeletedKey]
	Create(ctx context.Context, k azureid.Key, typ string, bits int, requestID string) error
}

// Clusters reads and moves clusters.
type Clusters interface {
	Get(ctx context.Context, id azureid.Resource) wiring.Fact[wiring.Cluster]
	Move(ctx context.Context, c wiring.Cluster, from, to azureid.Key, requestID string) (resumeToken string, err error)
	Poll(ctx context.Context, resumeToken string) (done bool, err error)
}

// Create returns the making of the new key that the plan's step names. Its result is
// the key's version.
func Create(v Keys, p plan.Plan, partition string) (remedy.Effect, error) {
	step, k := p.Steps[0], p.To.Base()
	bits, err := strconv.Atoi(step.Args["bits"])
	if err != nil || k.IsZero() {
		return remedy.Effect{}, fault.New(fault.Invalid, "quarantine.Create", "the step names no key or no size: %q", step.Args["bits"])
	}
	e := remedy.Repair(partition, step.Key, p.Subject.String(), p.ID, "make the key "+k.ID())
	e.Look = func(ctx context.Context, since time.Time) (remedy.Sight, error) {
		f, d := v.Versions(ctx, k), v.Deleted(ctx, k)
		switch {
		case d.OK():
			return remedy.Sight{Stop: "a deleted key has this name"}, nil
		case f.State == wiring.Absent && d.State == wiring.Absent:
			return remedy.Sight{}, nil
		case !f.OK() || d.State != wiring.Absent:
			return remedy.Sight{}, fault.New(fault.Transient, "quarantine.create", "%s: %s %s", k.ID(), f.Why, d.Why)
		case since.IsZero() || len(f.Value) != 1 || f.Value[0].Created.Before(since.Add(-time.Minute)):
			return remedy.Sight{Stop: "a key of this name is there that this plan did not make"}, nil
		}
		return remedy.Sight{Done: true, Result: f.Value[0].Key.Version}, nil
	}
	e.Act = func(ctx context.Context, requestID string) (string, error) {
		return "", v.Create(ctx, k, step.Args["type"], bits, requestID)
	}
	return e, nil
}

// Move returns the move of one cluster; p.To is the new key with its version.
func Move(cl Clusters, p plan.Plan, partition string) (remedy.Effect, error) {
	step, to := p.Steps[0], p.To
	id, err := azureid.ParseResource(step.Target)
	if err != nil {
		return remedy.Effect{}, err
	}
	if to.Version == "" {
		return remedy.Effect{}, fault.New(fault.Invalid, "quarantine.Move", "the new key's version is not known")
	}
	var last wiring.Cluster
	e := remedy.Repair(partition, step.Key, p.Subject.String(), p.ID, "move "+id.Name()+" to "+to.ID())
	e.Look = func(ctx context.Context, _ time.Time) (s remedy.Sight, err error) {
		f := cl.Get(ctx, id)
		last = f.Value
		return look(f, p.Key, to)
	}
	e.Act = func(ctx context.Context, requestID string) (string, error) {
		return cl.Move(ctx, last, p.Key, to, requestID)
	}
	e.Poll = cl.Poll
	return e, nil
}

// look compares the cluster with what is wanted. Whoever gave it a third key meanwhile
// wins.
func look(f wiring.Fact[wiring.Cluster], from, to azureid.Key) (remedy.Sight, error) {
	c := f.Value
	switch {
	case f.State == wiring.Absent:
		return remedy.Sight{Stop: "the cluster is gone"}, nil
	case !f.OK():
		return remedy.Sight{}, fault.New(fault.Transient, "quarantine.move", "%s", f.Why)
	case c.CMK == nil:
		return remedy.Sight{Stop: "the cluster no longer uses a customer-managed key"}, nil
	case c.CMK.Key.Equal(to) && c.Running():
		return remedy.Sight{Done: true, Result: to.String()}, nil
	case c.ProvisioningState == "Updating" || c.ResourceState == "Updating":
		return remedy.Sight{Busy: "the cluster is " + c.ResourceState + " (provisioning " + c.ProvisioningState + ")"}, nil
	case !c.Running():
		return remedy.Sight{Stop: "the cluster is " + c.ResourceState + " (provisioning " + c.ProvisioningState + ")"}, nil
	case !c.CMK.Key.SameKey(from):
		return remedy.Sight{Stop: "the cluster was pointed at " + c.CMK.KeyURL + " by somebody else"}, nil
	}
	return remedy.Sight{}, nil
}
