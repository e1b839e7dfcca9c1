package survey

import (
	"context"
	"strings"

	"cmkguard/internal/azure/graph"
	"cmkguard/internal/azureid"
	"cmkguard/internal/wiring"
)

// Vaults reads what a vault holds, logs and measures.
type Vaults interface {
	Contents(ctx context.Context, vault azureid.Resource) wiring.Fact[wiring.Contents]
	Diagnostics(ctx context.Context, vault azureid.Resource) wiring.Fact[[]wiring.DiagnosticSetting]
	Metrics(ctx context.Context, vault azureid.Resource) wiring.Fact[wiring.VaultMetrics]
}

// Estate reads what belongs to a subscription.
type Estate interface {
	Locks(ctx context.Context, subscription string) wiring.Fact[[]wiring.Lock]
	DeletedVaults(ctx context.Context, subscription string) wiring.Fact[[]wiring.DeletedVault]
	Defender(ctx context.Context, subscription string) wiring.Fact[bool]
}

// Parts reads what hangs below a cluster and a system topic.
type Parts interface {
	Databases(ctx context.Context, cluster azureid.Resource) wiring.Fact[[]wiring.Database]
	EventSubscriptions(ctx context.Context, topic azureid.Resource) wiring.Fact[[]wiring.EventSubscription]
}

// Lists reads whole lists at once.
type Lists interface {
	IdentityUses(ctx context.Context, subscriptions []string) (map[string][]wiring.IdentityUse, error)
	Topics(ctx context.Context, subscriptions []string) (map[string]azureid.Resource, error)
	PolicyStates(ctx context.Context, subscriptions []string) (map[string]wiring.PolicyState, error)
}

// Holders reads who holds which role, and whether we may see them all.
type Holders interface {
	Assignments(ctx context.Context, subscriptions []string) ([]wiring.RoleAssignment, error)
	Roles(ctx context.Context, subscriptions []string) (map[string]wiring.RoleDefinition, error)
	Rights(ctx context.Context, subscription string) (r graph.Rights, why string)
}

// Extras reads alert rules and the caches that cannot have a key.
type Extras interface {
	AlertRules(ctx context.Context, subscriptions []string) ([]graph.ScopedRule, error)
	Classic(ctx context.Context, subscriptions []string) ([]wiring.Cluster, error)
}

// Surroundings are the sources of wiring.Posture; all are required.
type Surroundings struct {
	Vaults  Vaults
	Estate  Estate
	Parts   Parts
	Topics  Topics
	Lists   Lists
	Holders Holders
	Extras  Extras
}

// Depth says how far a run reads around a chain.
type Depth int

// The depths. DepthSweep costs lists that a run reads once; DepthDaily also one
// call per cluster (and one per member of a geo-replication group), five per
// vault and two per subscription.
const (
	DepthSignal Depth = iota // the chain alone
	DepthSweep
	DepthDaily
)

// Options say what Around reads.
type Options struct {
	Depth     Depth
	OwnAlerts []string // topics that this installation sends to a channel: wiring.Alerting.Own
}

// around is what a run remembers of the surroundings.
type around struct {
	uses     memo[wiring.Fact[map[string][]wiring.IdentityUse]]
	gone     memo[wiring.Fact[[]wiring.DeletedVault]]
	locks    memo[wiring.Fact[[]wiring.Lock]]
	defender memo[wiring.Fact[bool]]
	contents memo[wiring.Fact[wiring.Contents]]
	logs     memo[wiring.Fact[[]wiring.DiagnosticSetting]]
	metrics  memo[wiring.Fact[wiring.VaultMetrics]]
	topics   memo[wiring.Fact[map[string]azureid.Resource]]
	rows     memo[topicRows]
	events   memo[wiring.Fact[[]wiring.EventSubscription]]
	policy   memo[wiring.Fact[map[string]wiring.PolicyState]]
	rules    memo[wiring.Fact[[]graph.ScopedRule]]
	bases    memo[wiring.Fact[[]wiring.Database]] // by cluster
}

// Around returns the wiring with the posture that the depth asks for. Without
// Sources.Around, or where the chain does not lead that far, a fact stays NotRead.
// The identity's groups need Microsoft Graph, and what logs say comes from logs:
// neither is read here.
func (r *Run) Around(ctx context.Context, w wiring.Wiring, o Options) wiring.Wiring {
	if r.src.Around == nil || o.Depth == DepthSignal || !w.Cluster.OK() {
		return w
	}
	if k := w.Key(); !k.IsZero() {
		r.sweepAround(ctx, &w, k)
	}
	if o.Depth < DepthDaily {
		return w
	}
	r.readDatabases(ctx, &w)
	r.readPolicy(ctx, &w)
	if w.Key().IsZero() {
		return w
	}
	if id := w.Cluster.Value.CMK.IdentityID; !id.IsZero() {
		w.Posture.IdentityLocks = r.locksOf(ctx, id)
	}
	if w.Vault.OK() {
		r.readVault(ctx, &w, o)
		r.readHolders(ctx, &w)
	}
	return w
}

func (r *Run) sweepAround(ctx context.Context, w *wiring.Wiring, k azureid.Key) {
	w.Posture.Sharers = wiring.Read(r.all(ctx).sharers[k.Base().ID()], "graph clusters", r.now())
	if !w.Vault.OK() && w.Posture.DeletedVault.State == wiring.NotRead && !r.cloud.IsHSM(k.Host) {
		w.Posture.DeletedVault = r.deletedVault(ctx, k)
	}
	if id := w.Cluster.Value.CMK.IdentityID; !id.IsZero() {
		w.Posture.IdentityUses = part(r.uses(ctx), func(m map[string][]wiring.IdentityUse) []wiring.IdentityUse { return m[id.Key()] })
	}
}

func (r *Run) uses(ctx context.Context) wiring.Fact[map[string][]wiring.IdentityUse] {
	return listed(r, &r.around.uses, "graph resources by identity", func() (map[string][]wiring.IdentityUse, error) {
		return r.src.Around.Lists.IdentityUses(ctx, r.subscriptions)
	}, r.holds(ctx, "Microsoft.Compute/virtualMachines/read", "Microsoft.Web/sites/read"))
}

// deletedVault looks for the key's vault among the deleted ones of every watched
// subscription.
func (r *Run) deletedVault(ctx context.Context, k azureid.Key) wiring.Fact[wiring.DeletedVault] {
	out := wiring.NotThere[wiring.DeletedVault]("arm GET deletedVaults", r.now(), "no deleted vault of this name in the watched subscriptions")
	for _, s := range r.subscriptions {
		f := r.around.gone.once(s, func() wiring.Fact[[]wiring.DeletedVault] { return r.src.Around.Estate.DeletedVaults(ctx, s) })
		if !f.OK() {
			out = wiring.Failed[wiring.DeletedVault](f.Call, f.At, f.Why)
			continue
		}
		for _, d := range f.Value {
			if strings.EqualFold(d.ID.Name(), k.VaultName()) {
				return wiring.Read(d, f.Call, f.At)
			}
		}
	}
	return out
}

// Classic lists the caches of tiers that cannot have a customer-managed key, as
// wirings of nothing but their cluster.
func (r *Run) Classic(ctx context.Context) ([]wiring.Wiring, error) {
	if r.src.Around == nil {
		return nil, nil
	}
	list, err := r.src.Around.Extras.Classic(ctx, r.subscriptions)
	out := make([]wiring.Wiring, 0, len(list))
	for _, c := range list {
		out = append(out, wiring.Wiring{ID: c.ID, At: r.now().UTC(), Cluster: wiring.Read(c, "graph Microsoft.Cache/redis", r.now())})
	}
	return out, err
}

// rights are our own in one subscription, or why they are not known.
type rights struct {
	graph.Rights
	why string
}

// holds says, when asked, why rows may be missing; "" when none can be.
func (r *Run) holds(ctx context.Context, actions ...string) func() string {
	return func() string {
		for _, s := range r.subscriptions {
			if why := r.lacks(ctx, s, actions...); why != "" {
				return why
			}
		}
		return ""
	}
}

// lacks says why rows of one subscription may be missing; "" when none can be.
func (r *Run) lacks(ctx context.Context, subscription string, actions ...string) string {
	own := r.rights.once(subscription, func() rights {
		got, why := r.src.Around.Holders.Rights(ctx, subscription)
		return rights{got, why}
	})
	if own.why != "" {
		return "subscription " + subscription + ": " + own.why
	}
	for _, a := range actions {
		if !own.Hold(a) {
			return "subscription " + subscription + ": our permissions do not hold " + a
		}
	}
	return ""
}

// listed reads a list of Resource Graph once in a run. Where rows may be hidden
// from us the list is unreadable: what it lacks would look absent.
func listed[T any](r *Run, m *memo[wiring.Fact[T]], call string, read func() (T, error), hidden func() string) wiring.Fact[T] {
	return m.once("", func() wiring.Fact[T] {
		v, err := read()
		if err != nil {
			return wiring.Failed[T](call, r.now(), err.Error())
		}
		if why := hidden(); why != "" {
			return wiring.Failed[T](call, r.now(), "rows may be hidden from us: "+why)
		}
		return wiring.Read(v, call, r.now())
	})
}

// part is a fact about one thing, out of a list of many.
func part[T, U any](f wiring.Fact[T], pick func(T) U) wiring.Fact[U] {
	if !f.OK() {
		return wiring.Fact[U]{State: f.State, Call: f.Call, At: f.At, Why: f.Why}
	}
	return wiring.Read(pick(f.Value), f.Call, f.At)
}
