package posture

import (
	"context"
	"strings"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/wiring"
)

// Databases lists the cluster's databases.
func (c *Client) Databases(ctx context.Context, cluster azureid.Resource) wiring.Fact[[]wiring.Database] {
	path := cluster.String() + "/databases" + cacheAPI
	return read(c, path, func() ([]wiring.Database, error) {
		rows, err := list[struct {
			Name       string `json:"name"`
			Properties struct {
				Persistence struct {
					AOF bool `json:"aofEnabled"`
					RDB bool `json:"rdbEnabled"`
				} `json:"persistence"`
				Geo struct {
					Group  string `json:"groupNickname"`
					Linked []struct {
						ID string `json:"id"`
					} `json:"linkedDatabases"`
				} `json:"geoReplication"`
			} `json:"properties"`
		}](ctx, c, path)
		out := make([]wiring.Database, 0, len(rows))
		for _, r := range rows {
			p := r.Properties
			d := wiring.Database{Name: r.Name, AOF: p.Persistence.AOF, RDB: p.Persistence.RDB, GeoGroup: p.Geo.Group}
			for _, l := range p.Geo.Linked {
				id, err := clusterOf(l.ID)
				if err != nil {
					return nil, err
				}
				d.Linked = append(d.Linked, id)
			}
			out = append(out, d)
		}
		return out, err
	})
}

// clusterOf returns the cluster of a database's id.
func clusterOf(database string) (azureid.Resource, error) {
	at := strings.LastIndex(strings.ToLower(database), "/databases/")
	return azureid.ParseResource(database[:max(at, 0)])
}

// Locks lists every lock of a subscription, whatever it hangs on.
func (c *Client) Locks(ctx context.Context, subscription string) wiring.Fact[[]wiring.Lock] {
	path := "/subscriptions/" + subscription + "/providers/Microsoft.Authorization/locks" + lockAPI
	return read(c, path, func() ([]wiring.Lock, error) {
		rows, err := list[struct {
			ID         string `json:"id"`
			Properties struct {
				Level string `json:"level"`
			} `json:"properties"`
		}](ctx, c, path)
		out := make([]wiring.Lock, 0, len(rows))
		for _, r := range rows {
			scope := strings.ToLower(r.ID)
			if at := strings.LastIndex(scope, "/providers/microsoft.authorization/locks/"); at >= 0 {
				out = append(out, wiring.Lock{ID: r.ID, Scope: scope[:at], Level: r.Properties.Level})
			}
		}
		return out, err
	})
}

// DeletedVaults lists the subscription's soft-deleted vaults.
func (c *Client) DeletedVaults(ctx context.Context, subscription string) wiring.Fact[[]wiring.DeletedVault] {
	path := "/subscriptions/" + subscription + "/providers/Microsoft.KeyVault/deletedVaults" + vaultAPI
	return read(c, path, func() ([]wiring.DeletedVault, error) {
		rows, err := list[struct {
			Properties struct {
				VaultID   string    `json:"vaultId"`
				Location  string    `json:"location"`
				Deleted   time.Time `json:"deletionDate"`
				Purge     time.Time `json:"scheduledPurgeDate"`
				Protected bool      `json:"purgeProtectionEnabled"`
			} `json:"properties"`
		}](ctx, c, path)
		out := make([]wiring.DeletedVault, 0, len(rows))
		for _, r := range rows {
			p := r.Properties
			id, err := azureid.ParseResource(p.VaultID)
			if err != nil {
				return nil, err
			}
			out = append(out, wiring.DeletedVault{ID: id, Location: p.Location, DeletedAt: p.Deleted, PurgeAt: p.Purge, Protected: p.Protected})
		}
		return out, err
	})
}

// Defender reports whether Defender for Key Vault is on in the subscription.
func (c *Client) Defender(ctx context.Context, subscription string) wiring.Fact[bool] {
	path := "/subscriptions/" + subscription + "/providers/Microsoft.Security/pricings/KeyVaults" + planAPI
	return read(c, path, func() (bool, error) {
		var plan struct {
			Properties struct {
				Tier string `json:"pricingTier"`
			} `json:"properties"`
		}
		err := c.get(ctx, path, &plan)
		if err == nil && plan.Properties.Tier == "" {
			err = fault.New(fault.Invalid, "posture.Defender", "the answer names no plan")
		}
		return strings.EqualFold(plan.Properties.Tier, "Standard"), err
	})
}
