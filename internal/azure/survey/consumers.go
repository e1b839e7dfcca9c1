package survey

import (
	"context"
	"strings"

	"cmkguard/internal/azure/graph"
	"cmkguard/internal/azureid"
	"cmkguard/internal/wiring"
)

// found is what Resource Graph showed in this run.
type found struct {
	rows     []graph.Row
	sharers  map[string]int // clusters by the key that they name: azureid.Key.ID without a version
	complete bool
	why      string
}

const consumersCall = "graph clusters, then arm GET each"

// all lists the clusters once per run. An incomplete list still has its rows.
func (r *Run) all(ctx context.Context) found {
	return r.found.once("", func() found {
		f := found{sharers: map[string]int{}}
		rows, err := r.src.Map.Clusters(ctx, r.subscriptions)
		if err != nil {
			f.why = "the clusters could not be listed: " + err.Error()
			return f
		}
		f.rows = rows
		for _, row := range rows {
			if !row.Key.IsZero() {
				f.sharers[row.Key.Base().ID()]++
			}
		}
		f.complete, f.why = r.visible(ctx)
		return f
	})
}

// visible reports whether every cluster of the subscriptions is one that we can
// see, or why that is not so or not known.
func (r *Run) visible(ctx context.Context) (complete bool, why string) {
	if len(r.subscriptions) == 0 {
		return false, "no subscription is configured"
	}
	for _, s := range r.subscriptions {
		if one := r.sight(ctx, s); !one.Whole() {
			return false, "subscription " + s + ": " + one.Lack + one.Why
		}
	}
	return true, ""
}

func (r *Run) sight(ctx context.Context, subscription string) wiring.Sight {
	return r.sights.once(subscription, func() wiring.Sight {
		out := wiring.Sight{Subscription: subscription, At: r.now().UTC(), Call: "arm GET subscription " + subscription + " and our permissions in it"}
		lack, err := r.src.Map.Sight(ctx, subscription)
		if out.Lack = lack; err != nil {
			out.Why = err.Error()
		}
		return out
	})
}

// Sights says, for each watched subscription, whether its clusters could all be
// seen, and how many were. It costs two calls per subscription, once in a run.
func (r *Run) Sights(ctx context.Context) []wiring.Sight {
	count := map[string]int{}
	for _, row := range r.all(ctx).rows {
		count[strings.ToLower(row.ID.Subscription())]++
	}
	out := make([]wiring.Sight, 0, len(r.subscriptions))
	for _, s := range r.subscriptions {
		one := r.sight(ctx, s)
		one.Clusters = count[strings.ToLower(s)]
		out = append(out, one)
	}
	return out
}

// All lists the ids of every cluster that can be seen; complete as in
// wiring.Consumers.
func (r *Run) All(ctx context.Context) (ids []azureid.Resource, complete bool, why string) {
	f := r.all(ctx)
	for _, row := range f.rows {
		ids = append(ids, row.ID)
	}
	return ids, f.complete, f.why
}

// Keyed lists the clusters that have a key of their own as Resource Graph shows
// them, not read again: only their id and their key are set. A key that cannot be
// told makes the list incomplete; its cluster is in it all the same.
func (r *Run) Keyed(ctx context.Context) (clusters []wiring.Cluster, complete bool, why string) {
	f := r.all(ctx)
	var gaps []string
	for _, row := range f.rows {
		if row.KeyURL == "" {
			continue
		}
		if row.Key.IsZero() {
			gaps = append(gaps, row.ID.Name()+" names a key that cannot be told: "+row.KeyURL)
		}
		clusters = append(clusters, wiring.Cluster{ID: row.ID, Name: row.ID.Name(), CMK: &wiring.CMK{KeyURL: row.KeyURL, Key: row.Key}})
	}
	if !f.complete {
		gaps = append(gaps, f.why)
	}
	return clusters, len(gaps) == 0, strings.Join(gaps, "; ")
}

// Consumers lists the clusters that use the key, in whatever version: found by
// Resource Graph, each read again, those dropped that turn out to use another
// key. One that cannot be read makes the list incomplete.
func (r *Run) Consumers(ctx context.Context, key azureid.Key) wiring.Consumers {
	out := wiring.Consumers{Key: key.Base(), Call: consumersCall, At: r.now().UTC()}
	out.Clusters, out.Complete, out.Why = r.confirmed(ctx, func(k azureid.Key) bool { return k.SameKey(key) })
	return out
}

// ClustersOfVault lists the clusters whose key lies in the vault; complete as
// in wiring.Consumers. The vault itself is not read: a deleted one has them too.
func (r *Run) ClustersOfVault(ctx context.Context, vault azureid.Resource) ([]wiring.Cluster, bool, string) {
	return r.confirmed(ctx, func(k azureid.Key) bool {
		return strings.EqualFold(k.VaultName(), vault.Name()) && !r.cloud.IsHSM(k.Host)
	})
}

// ClustersOfHost lists the clusters that name a key at the host, as
// ClustersOfVault does, for a vault of which nothing but the host is known.
func (r *Run) ClustersOfHost(ctx context.Context, host string) ([]wiring.Cluster, bool, string) {
	return r.confirmed(ctx, func(k azureid.Key) bool { return strings.EqualFold(k.Host, host) })
}

// confirmed re-reads the clusters whose row matches and keeps those whose own
// key does. A row whose key URL cannot be parsed could be anybody's.
func (r *Run) confirmed(ctx context.Context, match func(azureid.Key) bool) (clusters []wiring.Cluster, complete bool, why string) {
	f := r.all(ctx)
	var gaps []string
	for _, row := range f.rows {
		switch {
		case row.Key.IsZero() && row.KeyURL == "":
			continue
		case row.Key.IsZero():
			gaps = append(gaps, row.ID.Name()+" names a key that cannot be told: "+row.KeyURL)
			continue
		case !match(row.Key):
			continue
		}
		c := r.cluster(ctx, row.ID)
		switch {
		case c.State == wiring.Absent: // deleted since the listing
		case !c.OK():
			gaps = append(gaps, row.ID.Name()+" could not be read: "+c.Why)
		case c.Value.CMK != nil && match(c.Value.CMK.Key):
			clusters = append(clusters, c.Value)
		}
	}
	if !f.complete {
		gaps = append(gaps, f.why)
	}
	return clusters, len(gaps) == 0, strings.Join(gaps, "; ")
}
