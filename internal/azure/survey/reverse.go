package survey

import (
	"context"
	"slices"
	"strings"

	"cmkguard/internal/azure/graph"
	"cmkguard/internal/azureid"
	"cmkguard/internal/wiring"
)

// Mentions finds resources that name a vault's host.
type Mentions interface {
	Mentions(ctx context.Context, subscriptions []string, host string) ([]graph.Mention, error)
}

// ClustersOfIdentity lists the clusters whose data the identity unwraps, and what
// else it is attached to; complete as in wiring.Consumers.
func (r *Run) ClustersOfIdentity(ctx context.Context, id azureid.Resource) (clusters, others []azureid.Resource, complete bool, why string) {
	all := r.uses(ctx)
	if !all.OK() {
		return nil, nil, false, all.Why
	}
	f := r.all(ctx)
	for _, u := range all.Value[id.Key()] {
		if u.ID.Type() != azureid.TypeRedisEnterprise {
			others = append(others, u.ID)
			continue
		}
		c := r.cluster(ctx, u.ID)
		switch {
		case c.State == wiring.Absent: // deleted since the listing
		case !c.OK():
			f.complete, f.why = false, u.ID.Name()+" could not be read: "+c.Why
		case c.Value.CMK != nil && c.Value.CMK.IdentityID.Equal(id):
			clusters = append(clusters, u.ID)
		}
	}
	return clusters, others, f.complete, f.why
}

// Assignment finds a role assignment by its id; not Known where it could be
// hidden from us.
func (r *Run) Assignment(ctx context.Context, id azureid.Resource) wiring.Fact[wiring.RoleAssignment] {
	all := r.grants(ctx)
	for _, list := range all.Value {
		for _, a := range list {
			if strings.EqualFold(a.ID, id.String()) {
				return wiring.Read(a, all.Call, all.At)
			}
		}
	}
	if !all.OK() {
		return wiring.Failed[wiring.RoleAssignment](all.Call, all.At, all.Why)
	}
	return wiring.NotThere[wiring.RoleAssignment](all.Call, all.At, "no such role assignment in or above the watched subscriptions")
}

// ClustersUnder lists the clusters that the assignment could give their key: its
// scope reaches the key, and its principal is the cluster's identity or a group.
func (r *Run) ClustersUnder(ctx context.Context, a wiring.RoleAssignment) (clusters []azureid.Resource, complete bool, why string) {
	f := r.all(ctx)
	gaps := []string{}
	if !f.complete {
		gaps = append(gaps, f.why)
	}
	scope := indexGrants([]wiring.RoleAssignment{a})
	err := r.Pages(ctx, func(page []Listed) error {
		for _, c := range page {
			if !c.Fact.OK() {
				c.Fact = r.cluster(ctx, c.ID)
			}
			if !c.Fact.OK() {
				gaps = append(gaps, c.ID.Name()+" could not be read: "+c.Fact.Why)
				continue
			}
			switch in, why := r.under(ctx, c.Fact.Value, a, scope); {
			case why != "":
				gaps = append(gaps, c.ID.Name()+": "+why)
			case in:
				clusters = append(clusters, c.ID)
			}
		}
		return nil
	})
	if err != nil {
		gaps = append(gaps, "the clusters could not be listed: "+err.Error())
	}
	return clusters, len(gaps) == 0, strings.Join(gaps, "; ")
}

// under reports whether the assignment can be one of the cluster's, or why that
// is not known.
func (r *Run) under(ctx context.Context, c wiring.Cluster, a wiring.RoleAssignment, scope grantIndex) (in bool, why string) {
	if c.CMK == nil || c.CMK.Key.IsZero() {
		if c.CMK != nil {
			return false, "which key it uses cannot be told: " + c.CMK.KeyProblem
		}
		return false, ""
	}
	v := r.listedVault(ctx, c.CMK.Key.Host)
	switch {
	case r.cloud.IsHSM(c.CMK.Key.Host): // its local roles are not Azure's
		return false, ""
	case !v.OK():
		return false, v.Why
	case len(scope.above(v.Value.ID.Key()+"/keys/"+c.CMK.Key.Name)) == 0:
		return false, ""
	case strings.EqualFold(a.PrincipalType, "Group"):
		return true, ""
	}
	i := r.listedIdentity(ctx, c.CMK.IdentityID)
	if !i.OK() {
		return false, i.Why
	}
	return strings.EqualFold(i.Value.PrincipalID, a.PrincipalID), ""
}

// Others lists the resources, Redis clusters and vaults left out, whose settings
// name the vault's host, and the key where a key is asked for. Unreadable where
// some could be hidden from us.
func (r *Run) Others(ctx context.Context, host, key string) wiring.Fact[[]graph.Mention] {
	const name = "graph resources by vault"
	hidden := r.holds(ctx, "*/read")
	list, err := r.src.Mentions.Mentions(ctx, r.subscriptions, host)
	if err != nil {
		return wiring.Failed[[]graph.Mention](name, r.now(), err.Error())
	}
	list = slices.DeleteFunc(list, func(m graph.Mention) bool { return key != "" && !m.NamesKey(key) })
	f := wiring.Read(list, name, r.now())
	if why := hidden(); why != "" {
		f.State, f.Why = wiring.Unreadable, "resources of some types may be hidden from us: "+why
	}
	return f
}

// VaultByHost finds a vault's id by its host.
func (r *Run) VaultByHost(ctx context.Context, host string) wiring.Fact[wiring.Vault] {
	return r.listedVault(ctx, host)
}
