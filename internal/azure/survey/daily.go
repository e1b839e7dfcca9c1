package survey

import (
	"context"
	"slices"
	"strings"

	"cmkguard/internal/azure/graph"
	"cmkguard/internal/azureid"
	"cmkguard/internal/wiring"
)

// readDatabases reads the cluster's databases and, where they are geo-replicated,
// the other members with their vaults' locations.
func (r *Run) readDatabases(ctx context.Context, w *wiring.Wiring) {
	w.Posture.Databases = r.databases(ctx, w.ID)
	w.Posture.Peers = r.Peers(ctx, w.ID)
	for i, p := range w.Posture.Peers.Value {
		if c := p.Cluster.Value.CMK; p.Cluster.OK() && c != nil && !c.Key.IsZero() {
			w.Posture.Peers.Value[i].VaultLocation = part(r.vault(ctx, c.Key.Host), func(v wiring.Vault) string { return v.Location })
		}
	}
}

func (r *Run) databases(ctx context.Context, cluster azureid.Resource) wiring.Fact[[]wiring.Database] {
	return r.around.bases.once(cluster.Key(), func() wiring.Fact[[]wiring.Database] { return r.src.Around.Parts.Databases(ctx, cluster) })
}

// Peers reads the other members of the cluster's geo-replication groups, each by a
// GET of its own. A cluster that is not geo-replicated has none; where its
// databases cannot be read the list is unreadable, never empty.
func (r *Run) Peers(ctx context.Context, cluster azureid.Resource) wiring.Fact[[]wiring.Peer] {
	const call = "arm GET databases, then GET of the linked clusters"
	if r.src.Around == nil {
		return wiring.Failed[[]wiring.Peer](call, r.now(), "this survey does not read databases")
	}
	all := r.databases(ctx, cluster)
	if !all.OK() {
		return wiring.Failed[[]wiring.Peer](all.Call, all.At, all.Why)
	}
	peers := []wiring.Peer{}
	for _, d := range all.Value {
		for _, id := range d.Linked {
			if id.Equal(cluster) || slices.ContainsFunc(peers, func(p wiring.Peer) bool { return p.ID.Equal(id) }) {
				continue
			}
			peers = append(peers, wiring.Peer{ID: id, Cluster: r.cluster(ctx, id)})
		}
	}
	return wiring.Read(peers, call, r.now())
}

func (r *Run) readPolicy(ctx context.Context, w *wiring.Wiring) {
	all := listed(r, &r.around.policy, "graph policy states", func() (map[string]wiring.PolicyState, error) {
		return r.src.Around.Lists.PolicyStates(ctx, r.subscriptions)
	}, r.holds(ctx, "Microsoft.PolicyInsights/policyStates/queryResults/read"))
	state, ok := all.Value[w.ID.Key()]
	if all.OK() && !ok {
		w.Posture.Policy = wiring.NotThere[wiring.PolicyState](all.Call, all.At, "no state of the cluster under the policy")
		return
	}
	w.Posture.Policy = part(all, func(map[string]wiring.PolicyState) wiring.PolicyState { return state })
}

func (r *Run) readVault(ctx context.Context, w *wiring.Wiring, o Options) {
	id, p, src := w.Vault.Value.ID, &w.Posture, r.src.Around
	p.VaultLocks = r.locksOf(ctx, id)
	p.Contents = r.around.contents.once(id.Key(), func() wiring.Fact[wiring.Contents] { return r.contents(ctx, w.Vault.Value) })
	p.Diagnostics = r.diagnostics(ctx, id)
	p.Metrics = r.around.metrics.once(id.Key(), func() wiring.Fact[wiring.VaultMetrics] { return src.Vaults.Metrics(ctx, id) })
	p.Defender = r.around.defender.once(id.Subscription(), func() wiring.Fact[bool] { return src.Estate.Defender(ctx, id.Subscription()) })
	p.Events = r.around.events.once(id.Key(), func() wiring.Fact[[]wiring.EventSubscription] { return r.events(ctx, id) })
	rules := listed(r, &r.around.rules, "graph activity log alerts", func() ([]graph.ScopedRule, error) {
		return src.Extras.AlertRules(ctx, r.subscriptions)
	}, r.holds(ctx, "Microsoft.Insights/activityLogAlerts/read"))
	p.Alerting = part(rules, func(all []graph.ScopedRule) wiring.Alerting {
		out := wiring.Alerting{Own: o.OwnAlerts}
		for _, s := range all {
			if slices.ContainsFunc(s.Scopes, func(scope string) bool { return reaches(scope, id.Key()) }) {
				out.Rules = append(out.Rules, s.Rule)
			}
		}
		return out
	})
}

func (r *Run) diagnostics(ctx context.Context, vault azureid.Resource) wiring.Fact[[]wiring.DiagnosticSetting] {
	return r.around.logs.once(vault.Key(), func() wiring.Fact[[]wiring.DiagnosticSetting] {
		return r.src.Around.Vaults.Diagnostics(ctx, vault)
	})
}

// Ears adds to the chain what would tell us of its vault: the diagnostic settings
// and the event subscriptions. It costs two calls per vault and run, and where topic
// is zero or not there also one query and one call per watched subscription.
//
// topic is the system topic that the vault should have: it is read first, because
// Resource Graph may not show it yet.
func (r *Run) Ears(ctx context.Context, w wiring.Wiring, topic azureid.Resource) wiring.Wiring {
	if r.src.Around == nil || !w.Vault.OK() {
		return w
	}
	id := w.Vault.Value.ID
	w.Posture.Diagnostics = r.diagnostics(ctx, id)
	w.Posture.Events = r.around.events.once(id.Key(), func() wiring.Fact[[]wiring.EventSubscription] {
		if !topic.IsZero() {
			if f := r.src.Around.Parts.EventSubscriptions(ctx, topic); f.State != wiring.Absent {
				return f
			}
		}
		return r.events(ctx, id)
	})
	return w
}

// contents adds which of the keys clusters are seen to use. Where clusters may be
// hidden from us, a key that looks foreign may be theirs: unreadable.
func (r *Run) contents(ctx context.Context, v wiring.Vault) wiring.Fact[wiring.Contents] {
	f := r.src.Around.Vaults.Contents(ctx, v.ID)
	all := r.all(ctx)
	switch {
	case !f.OK():
		return f
	case !all.complete:
		return wiring.Failed[wiring.Contents](f.Call, f.At, "which keys are clusters' is not known: "+all.why)
	}
	for _, row := range all.rows {
		if strings.EqualFold(row.Key.Host, v.Host) && !slices.Contains(f.Value.ByRedis, row.Key.Name) {
			f.Value.ByRedis = append(f.Value.ByRedis, row.Key.Name)
		}
	}
	return f
}

// events reads the subscriptions of the vault's system topic; no topic, none.
func (r *Run) events(ctx context.Context, vault azureid.Resource) wiring.Fact[[]wiring.EventSubscription] {
	all := listed(r, &r.around.topics, "graph system topics", func() (map[string]azureid.Resource, error) {
		return r.src.Around.Lists.Topics(ctx, r.subscriptions)
	}, r.holds(ctx, "Microsoft.EventGrid/systemTopics/read"))
	topic, ok := all.Value[vault.Key()]
	if !ok {
		return part(all, func(map[string]azureid.Resource) []wiring.EventSubscription { return []wiring.EventSubscription{} })
	}
	return r.src.Around.Parts.EventSubscriptions(ctx, topic)
}

func (r *Run) locksOf(ctx context.Context, id azureid.Resource) wiring.Fact[[]wiring.Lock] {
	all := r.around.locks.once(id.Subscription(), func() wiring.Fact[[]wiring.Lock] { return r.src.Around.Estate.Locks(ctx, id.Subscription()) })
	return part(all, func(list []wiring.Lock) []wiring.Lock {
		var out []wiring.Lock
		for _, l := range list {
			if reaches(l.Scope, id.Key()) {
				out = append(out, l)
			}
		}
		return out
	})
}

func (r *Run) readHolders(ctx context.Context, w *wiring.Wiring) {
	grants := r.grants(ctx)
	w.Posture.Holders = part(grants, func(all grantIndex) []wiring.RoleAssignment {
		return all.above(w.Vault.Value.ID.Key()+"/keys/"+w.Key().Name, w.ID.Key())
	})
	w.Posture.HolderRoles = r.roleList(ctx)
}

const managementGroups = "/providers/microsoft.management/managementgroups/"

// reaches reports whether something at the scope applies to the id, both in lower
// case. Of management groups only those above a watched subscription are listed.
func reaches(scope, id string) bool {
	scope = strings.TrimRight(strings.ToLower(scope), "/")
	return scope == "" || scope == id || strings.HasPrefix(id, scope+"/") || strings.HasPrefix(scope, managementGroups)
}
