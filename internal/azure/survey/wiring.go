package survey

import (
	"context"

	"cmkguard/internal/azureid"
	"cmkguard/internal/wiring"
)

// Wiring reads the cluster's chain. What lies behind a link that could not be
// read stays NotRead.
func (r *Run) Wiring(ctx context.Context, cluster azureid.Resource) wiring.Wiring {
	w := wiring.Wiring{ID: cluster, At: r.now().UTC(), Cluster: r.cluster(ctx, cluster)}
	if !w.Cluster.OK() || w.Cluster.Value.CMK == nil {
		return w
	}
	if id := w.Cluster.Value.CMK.IdentityID; !id.IsZero() {
		w.Identity = r.identity(ctx, id)
	}
	k := w.Key()
	if k.IsZero() {
		return w
	}
	r.readKey(ctx, &w, k)
	w.Vault = r.vault(ctx, k.Host)
	switch {
	case w.Vault.OK() && w.Vault.Value.RBAC:
		r.readGrants(ctx, &w, k)
	case !w.Vault.OK() && r.src.Around != nil && !r.cloud.IsHSM(k.Host):
		w.Posture.DeletedVault = r.deletedVault(ctx, k) // one list per run, and only for a vault that is not there
	}
	return w
}

// Toward returns the cluster's chain as it would be if it named the key k.
func (r *Run) Toward(ctx context.Context, w wiring.Wiring, k azureid.Key) wiring.Wiring {
	out := wiring.Wiring{ID: w.ID, At: w.At, Cluster: w.Cluster, Identity: w.Identity}
	if !w.Cluster.OK() || w.Cluster.Value.CMK == nil {
		return out
	}
	cmk := *w.Cluster.Value.CMK
	cmk.Key, cmk.KeyURL, cmk.KeyProblem = k, k.String(), ""
	out.Cluster.Value.CMK = &cmk
	r.readKey(ctx, &out, k)
	out.Vault = r.vault(ctx, k.Host)
	if out.Vault.OK() && out.Vault.Value.RBAC {
		r.readGrants(ctx, &out, k)
	}
	return out
}

func (r *Run) cluster(ctx context.Context, id azureid.Resource) wiring.Fact[wiring.Cluster] {
	return r.clusters.once(id.Key(), func() wiring.Fact[wiring.Cluster] { return r.src.Clusters.Get(ctx, id) })
}

func (r *Run) identity(ctx context.Context, id azureid.Resource) wiring.Fact[wiring.Identity] {
	return r.identities.once(id.Key(), func() wiring.Fact[wiring.Identity] { return r.src.Resources.Identity(ctx, id) })
}

func (r *Run) versionsOf(ctx context.Context, key azureid.Key) wiring.Fact[[]wiring.KeyVersion] {
	return r.versions.once(key.ID(), func() wiring.Fact[[]wiring.KeyVersion] { return r.src.Keys.Versions(ctx, key) })
}

// readKey reads what is not in the wiring already.
func (r *Run) readKey(ctx context.Context, w *wiring.Wiring, k azureid.Key) {
	base := k.Base()
	w.Versions = r.versionsOf(ctx, base)
	w.InUse = r.bundles.once(k.ID()+"/"+k.Version, func() wiring.Fact[wiring.KeyBundle] { return r.src.Keys.Bundle(ctx, k) })
	if w.Deleted.State == wiring.NotRead {
		w.Deleted = r.deleted.once(base.ID(), func() wiring.Fact[wiring.DeletedKey] { return r.src.Keys.Deleted(ctx, base) })
	}
	w.Rotation = r.rotations.once(base.ID(), func() wiring.Fact[wiring.RotationPolicy] { return r.src.Rotations.Rotation(ctx, base) })
}

// vault finds the vault of a host and reads it.
func (r *Run) vault(ctx context.Context, host string) wiring.Fact[wiring.Vault] {
	return r.hosts.once(host, func() wiring.Fact[wiring.Vault] {
		call := "graph vault by host " + host
		if r.cloud.IsHSM(host) {
			return wiring.Failed[wiring.Vault](call, r.now(), "a Managed HSM, whose resource and local roles are not read")
		}
		id, ok, err := r.src.Map.VaultByHost(ctx, r.subscriptions, host)
		switch {
		case err != nil:
			return wiring.Failed[wiring.Vault](call, r.now(), err.Error())
		case !ok: // not proof of absence: it may lie in another subscription or be hidden from us
			return wiring.Failed[wiring.Vault](call, r.now(), "no vault with this host can be seen in the watched subscriptions")
		}
		f := r.src.Resources.Vault(ctx, id)
		if f.OK() && f.Value.Host != host {
			return wiring.Failed[wiring.Vault](f.Call, f.At, "the vault found answers to "+f.Value.Host+", not "+host)
		}
		return f
	})
}

// readGrants reads the principal's assignments at the key, the roles that they
// name, and the deny assignments.
func (r *Run) readGrants(ctx context.Context, w *wiring.Wiring, k azureid.Key) {
	w.Denies = r.deniesOf(ctx, w.Vault.Value.ID)
	if !w.Identity.OK() {
		return
	}
	w.Assignments = r.assignmentsOf(ctx, w.Vault.Value.ID, k, w.Identity.Value.PrincipalID)
	if w.Assignments.OK() {
		w.Definitions = r.roles(ctx, w.Assignments.Value)
	}
}

// deniesOf reads the deny assignments of a vault and all of its keys.
func (r *Run) deniesOf(ctx context.Context, vault azureid.Resource) wiring.Fact[[]wiring.DenyAssignment] {
	return r.denies.once(vault.Key(), func() wiring.Fact[[]wiring.DenyAssignment] { return r.src.Grants.Denies(ctx, vault.String()) })
}

func (r *Run) assignmentsOf(ctx context.Context, vault azureid.Resource, k azureid.Key, principal string) wiring.Fact[[]wiring.RoleAssignment] {
	return r.assignments.once(k.ID()+"|"+principal, func() wiring.Fact[[]wiring.RoleAssignment] {
		return r.src.Grants.Assignments(ctx, vault.String()+"/keys/"+k.Name, principal)
	})
}

// roles reads the assignments' role definitions, each once in a run.
func (r *Run) roles(ctx context.Context, assignments []wiring.RoleAssignment) wiring.Fact[map[string]wiring.RoleDefinition] {
	out := wiring.Read(map[string]wiring.RoleDefinition{}, "arm GET roleDefinitions: none is named", r.now())
	for _, a := range assignments {
		f := r.definitions.once(a.RoleID, func() wiring.Fact[wiring.RoleDefinition] {
			f := r.src.Grants.Definitions(ctx, []string{a.RoleID})
			if !f.OK() {
				return wiring.Failed[wiring.RoleDefinition](f.Call, f.At, f.Why)
			}
			d, ok := f.Value[a.RoleID]
			if !ok {
				return wiring.NotThere[wiring.RoleDefinition](f.Call, f.At, "the role definition is gone")
			}
			return wiring.Read(d, f.Call, f.At)
		})
		switch f.State {
		case wiring.Known:
			out.Value[a.RoleID], out.Call = f.Value, f.Call
			if f.At.Before(out.At) { // the fact is as old as its oldest part
				out.At = f.At
			}
		case wiring.Absent: // left out: the judge then says that it was not read
		default:
			return wiring.Failed[map[string]wiring.RoleDefinition](f.Call, f.At, f.Why)
		}
	}
	return out
}
