package survey

import (
	"context"
	"encoding/json"
	"time"

	"cmkguard/internal/azure/access"
	"cmkguard/internal/azure/cluster"
	"cmkguard/internal/azure/graph"
	"cmkguard/internal/azureid"
	"cmkguard/internal/wiring"
)

// rows reads the lists with the same parsers as the GETs.
type rows struct {
	*graph.Client
	cloud azureid.Cloud
	now   func() time.Time
}

// Clusters implements Rows.
func (r rows) Clusters(ctx context.Context, subscriptions []string, page func([]Listed) error) error {
	return r.ClusterDocuments(ctx, subscriptions, func(docs []json.RawMessage) error {
		at := r.now()
		out := make([]Listed, 0, len(docs))
		for _, doc := range docs {
			c, err := cluster.Parse(r.cloud, doc)
			if err == nil {
				out = append(out, Listed{c.ID, wiring.Read(c, clusterList, at)})
				continue
			}
			var named struct{ ID string }
			if json.Unmarshal(doc, &named) != nil {
				return err
			}
			id, unnamed := azureid.ParseResource(named.ID)
			if unnamed != nil {
				return err
			}
			out = append(out, Listed{id, wiring.Failed[wiring.Cluster](clusterList, at, err.Error())})
		}
		return page(out)
	})
}

// Vaults implements Rows. A row that cannot be read as a vault is left out: a
// vault that the list lacks is read by itself.
func (r rows) Vaults(ctx context.Context, subscriptions []string) (map[string]wiring.Vault, error) {
	out := map[string]wiring.Vault{}
	err := r.VaultDocuments(ctx, subscriptions, func(docs []json.RawMessage) error {
		for _, doc := range docs {
			if v, err := access.ParseVault(doc); err == nil {
				out[v.Host] = v
			}
		}
		return nil
	})
	return out, err
}
