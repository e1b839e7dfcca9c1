package survey

import (
	"context"
	"slices"
	"strings"

	"cmkguard/internal/azureid"
	"cmkguard/internal/wiring"
)

// Rows reads whole lists of Resource Graph in place of one GET each.
type Rows interface {
	// Clusters hands over page after page; a row that cannot be read as a cluster
	// is an unreadable fact.
	Clusters(ctx context.Context, subscriptions []string, page func([]Listed) error) error
	Vaults(ctx context.Context, subscriptions []string) (map[string]wiring.Vault, error)        // by host
	Identities(ctx context.Context, subscriptions []string) (map[string]wiring.Identity, error) // by lower-case id
}

// Listed is a cluster as a list shows it.
type Listed struct {
	ID   azureid.Resource
	Fact wiring.Fact[wiring.Cluster]
}

// The calls of the facts that lists give. What they show may be some minutes
// old ([doc]: Resource Graph promises no freshness).
const (
	listPrefix     = "graph list: "
	clusterList    = listPrefix + "clusters"
	vaultList      = listPrefix + "vaults"
	identityList   = listPrefix + "identities"
	assignmentList = listPrefix + "role assignments"
)

// FromList reports whether the call is a list that stands in for a read of the
// thing itself: what it shows broken deserves that read before people are told.
func FromList(call string) bool { return strings.HasPrefix(call, listPrefix) }

// lists is what a run remembers of them.
type lists struct {
	vaults     memo[wiring.Fact[map[string]wiring.Vault]]
	identities memo[wiring.Fact[map[string]wiring.Identity]]
	grants     memo[wiring.Fact[grantIndex]]
	roles      memo[wiring.Fact[map[string]wiring.RoleDefinition]]
}

// Pages hands over the clusters, page after page. What the run remembers of
// single clusters goes with their page.
func (r *Run) Pages(ctx context.Context, page func([]Listed) error) error {
	return r.src.Rows.Clusters(ctx, r.subscriptions, func(l []Listed) error {
		err := page(l)
		for _, c := range l {
			r.clusters.forget(c.ID.Key())
			r.around.bases.forget(c.ID.Key())
		}
		return err
	})
}

// Listed reads the cluster's chain at the cost of lists, three calls per key and
// one per vault. What a list lacks is read by itself, so the facts are those of
// Wiring, some minutes older.
func (r *Run) Listed(ctx context.Context, c Listed) wiring.Wiring {
	w := wiring.Wiring{ID: c.ID, At: r.now().UTC(), Cluster: c.Fact}
	if !w.Cluster.OK() {
		w.Cluster = r.cluster(ctx, c.ID)
	}
	if !w.Cluster.OK() || w.Cluster.Value.CMK == nil {
		return w
	}
	if id := w.Cluster.Value.CMK.IdentityID; !id.IsZero() {
		w.Identity = r.listedIdentity(ctx, id)
	}
	k := w.Key()
	if k.IsZero() {
		return w
	}
	r.readListedKey(ctx, &w, k)
	w.Vault = r.listedVault(ctx, k.Host)
	if w.Vault.OK() && w.Vault.Value.RBAC {
		r.readListedGrants(ctx, &w, k)
	}
	return w
}

func (r *Run) listedIdentity(ctx context.Context, id azureid.Resource) wiring.Fact[wiring.Identity] {
	all := listed(r, &r.lists.identities, identityList, func() (map[string]wiring.Identity, error) {
		return r.src.Rows.Identities(ctx, r.subscriptions)
	}, certain)
	if i, ok := all.Value[id.Key()]; ok {
		return wiring.Read(i, all.Call, all.At)
	}
	return r.identity(ctx, id)
}

func (r *Run) listedVault(ctx context.Context, host string) wiring.Fact[wiring.Vault] {
	all := listed(r, &r.lists.vaults, vaultList, func() (map[string]wiring.Vault, error) {
		return r.src.Rows.Vaults(ctx, r.subscriptions)
	}, certain)
	if v, ok := all.Value[host]; ok {
		return wiring.Read(v, all.Call, all.At)
	}
	return r.vault(ctx, host)
}

// certain: a row that is there is there, whatever may be hidden.
func certain() string { return "" }

// readListedKey is readKey without the look among deleted keys where the key
// answers: a name is either deleted or in use, never both (learn.microsoft.com
// key-vault/general/soft-delete-overview).
func (r *Run) readListedKey(ctx context.Context, w *wiring.Wiring, k azureid.Key) {
	w.Versions = r.versionsOf(ctx, k.Base())
	if w.Versions.OK() && len(w.Versions.Value) > 0 {
		w.Deleted = wiring.NotThere[wiring.DeletedKey](w.Versions.Call, w.Versions.At, "the key answers, so it is not deleted")
	}
	r.readKey(ctx, w, k)
}

// readListedGrants reads the principal's assignments from the list of all of
// them. A list knows no group's members: where a group's role could reach into
// the key, the principal's own list is read, which does.
func (r *Run) readListedGrants(ctx context.Context, w *wiring.Wiring, k azureid.Key) {
	w.Denies = r.deniesOf(ctx, w.Vault.Value.ID)
	if !w.Identity.OK() {
		return
	}
	all, roles := r.grants(ctx), r.roleList(ctx)
	if !all.OK() || !roles.OK() {
		r.readGrants(ctx, w, k)
		return
	}
	mine, definitions := []wiring.RoleAssignment{}, map[string]wiring.RoleDefinition{}
	for _, a := range all.Value.above(w.Vault.Value.ID.Key() + "/keys/" + k.Name) {
		group, own := strings.EqualFold(a.PrincipalType, "Group"), strings.EqualFold(a.PrincipalID, w.Identity.Value.PrincipalID)
		if !group && !own {
			continue
		}
		d, known := roleOf(roles.Value, a.RoleID)
		if !known || group && slices.ContainsFunc(d.Permissions, func(p wiring.Permission) bool { return len(p.DataActions) > 0 }) {
			r.readGrants(ctx, w, k)
			return
		}
		if own {
			mine, definitions[a.RoleID] = append(mine, a), d
		}
	}
	w.Assignments = wiring.Read(mine, assignmentList, all.At)
	w.Definitions = wiring.Read(definitions, roles.Call, roles.At)
}

// roleOf finds a definition by its GUID: an assignment names it below its own
// subscription, the list as the role's creator did.
func roleOf(all map[string]wiring.RoleDefinition, id string) (wiring.RoleDefinition, bool) {
	d, ok := all[id]
	if !ok {
		d, ok = all["/providers/microsoft.authorization/roledefinitions/"+id[strings.LastIndexByte(id, '/')+1:]]
	}
	d.ID = id
	return d, ok
}

func (r *Run) roleList(ctx context.Context) wiring.Fact[map[string]wiring.RoleDefinition] {
	return listed(r, &r.lists.roles, "graph role definitions", func() (map[string]wiring.RoleDefinition, error) {
		return r.src.Around.Holders.Roles(ctx, r.subscriptions)
	}, r.holds(ctx, "Microsoft.Authorization/roleDefinitions/read"))
}

func (r *Run) grants(ctx context.Context) wiring.Fact[grantIndex] {
	return listed(r, &r.lists.grants, "graph role assignments", func() (grantIndex, error) {
		all, err := r.src.Around.Holders.Assignments(ctx, r.subscriptions)
		return indexGrants(all), err
	}, r.holds(ctx, "Microsoft.Authorization/roleAssignments/read"))
}

// grantIndex is everybody's assignments by scope, in lower case.
type grantIndex map[string][]wiring.RoleAssignment

func indexGrants(all []wiring.RoleAssignment) grantIndex {
	out := grantIndex{}
	for _, a := range all {
		scope := strings.TrimRight(strings.ToLower(a.Scope), "/")
		if strings.HasPrefix(scope, managementGroups) { // only those above a watched subscription are listed
			scope = ""
		}
		out[scope] = append(out[scope], a)
	}
	return out
}

// above lists the assignments that reach any of the ids, at them or above, each
// once.
func (g grantIndex) above(ids ...string) []wiring.RoleAssignment {
	var scopes []string
	for _, id := range ids {
		for s := strings.ToLower(id); ; {
			if !slices.Contains(scopes, s) {
				scopes = append(scopes, s)
			}
			if s == "" {
				break
			}
			s = s[:strings.LastIndexByte(s, '/')]
		}
	}
	var out []wiring.RoleAssignment
	for _, s := range scopes {
		out = append(out, g[s]...)
	}
	return out
}
