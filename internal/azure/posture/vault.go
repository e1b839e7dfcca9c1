package posture

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/wiring"
)

// The API versions that are spoken.
const (
	vaultAPI  = "?api-version=2026-02-01"
	cacheAPI  = "?api-version=2025-07-01"
	diagAPI   = "?api-version=2021-05-01-preview"
	metricAPI = "?api-version=2023-10-01"
	lockAPI   = "?api-version=2020-05-01"
	planAPI   = "?api-version=2024-01-01"
	eventAPI  = "?api-version=2025-02-15"
)

// Contents lists the names of the vault's keys and secrets by the control plane,
// which shows no values and needs no right on the data plane. ByRedis is left to
// the caller.
func (c *Client) Contents(ctx context.Context, vault azureid.Resource) wiring.Fact[wiring.Contents] {
	path := vault.String() + "/keys" + vaultAPI
	return read(c, path, func() (wiring.Contents, error) {
		keys, err := c.names(ctx, path)
		if err != nil {
			return wiring.Contents{}, err
		}
		secrets, err := c.names(ctx, vault.String()+"/secrets"+vaultAPI)
		return wiring.Contents{Keys: keys, Secrets: secrets}, err
	})
}

func (c *Client) names(ctx context.Context, path string) ([]string, error) {
	rows, err := list[struct {
		Name string `json:"name"`
	}](ctx, c, path)
	out := make([]string, 0, len(rows))
	for _, r := range rows {
		out = append(out, r.Name)
	}
	return out, err
}

// Diagnostics lists the vault's diagnostic settings with what they send.
func (c *Client) Diagnostics(ctx context.Context, vault azureid.Resource) wiring.Fact[[]wiring.DiagnosticSetting] {
	type entry struct {
		Category string `json:"category"`
		Group    string `json:"categoryGroup"`
		Enabled  bool   `json:"enabled"`
	}
	path := vault.String() + "/providers/Microsoft.Insights/diagnosticSettings" + diagAPI
	return read(c, path, func() ([]wiring.DiagnosticSetting, error) {
		rows, err := list[struct {
			Name       string `json:"name"`
			Properties struct {
				Logs      []entry `json:"logs"`
				Workspace string  `json:"workspaceId"`
				Hub       string  `json:"eventHubAuthorizationRuleId"`
				Storage   string  `json:"storageAccountId"`
				Partner   string  `json:"marketplacePartnerId"`
			} `json:"properties"`
		}](ctx, c, path)
		out := make([]wiring.DiagnosticSetting, 0, len(rows))
		for _, r := range rows {
			p := r.Properties
			d := wiring.DiagnosticSetting{Name: r.Name, Destinations: set(p.Workspace, p.Hub, p.Storage, p.Partner)}
			for _, l := range p.Logs {
				if l.Enabled {
					d.Logs = append(d.Logs, first(l.Category, l.Group))
				}
			}
			out = append(out, d)
		}
		return out, err
	})
}

// set keeps what is not empty.
func set(list ...string) []string {
	return slices.DeleteFunc(list, func(s string) bool { return s == "" })
}

func first(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

// Metrics reads the last hour's availability and saturation. A vault without a
// data point is unreadable, not healthy.
func (c *Client) Metrics(ctx context.Context, vault azureid.Resource) wiring.Fact[wiring.VaultMetrics] {
	now := c.now().UTC()
	q := url.Values{"metricnames": {"Availability,SaturationShoebox"}, "aggregation": {"Average,Maximum"}, "interval": {"PT1H"},
		"timespan": {now.Add(-time.Hour).Format(time.RFC3339) + "/" + now.Format(time.RFC3339)}}
	path := vault.String() + "/providers/Microsoft.Insights/metrics" + metricAPI + "&" + q.Encode()
	return read(c, path, func() (wiring.VaultMetrics, error) {
		rows, err := list[metric](ctx, c, path)
		if err != nil {
			return wiring.VaultMetrics{}, err
		}
		var out wiring.VaultMetrics
		seen := 0
		for _, m := range rows {
			p, ok := m.last()
			switch {
			case ok && strings.EqualFold(m.Name.Value, "Availability") && p.Average != nil:
				out.Availability, seen = *p.Average, seen+1
			case ok && strings.EqualFold(m.Name.Value, "SaturationShoebox") && p.Maximum != nil:
				out.Saturation, seen = *p.Maximum, seen+1
			}
		}
		if seen < 2 {
			return out, fault.New(fault.Invalid, "posture.Metrics", "the vault has no data point of the last hour")
		}
		return out, nil
	})
}

type metric struct {
	Name struct {
		Value string `json:"value"`
	} `json:"name"`
	Series []struct {
		Data []point `json:"data"`
	} `json:"timeseries"`
}

type point struct {
	Average *float64 `json:"average"`
	Maximum *float64 `json:"maximum"`
}

func (m metric) last() (point, bool) {
	for _, s := range m.Series {
		if n := len(s.Data); n > 0 {
			return s.Data[n-1], true
		}
	}
	return point{}, false
}
