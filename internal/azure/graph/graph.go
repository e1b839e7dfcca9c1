// Package graph finds things by Azure Resource Graph: which clusters there
// are, which key each names, which vault a host belongs to. Resource Graph is
// eventually consistent and leaves out, without a word, what the caller may
// not read: what it says is where to look, and Sight tells whether what it
// does not say means anything.
package graph

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resourcegraph/armresourcegraph"

	"cmkguard/internal/azure/azfault"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
)

const (
	pageSize = 1000 // the service's maximum
	maxPages = 1000
	perQuery = 100 // subscriptions in one query
)

// Client queries Resource Graph. It is safe for concurrent use.
type Client struct {
	cloud azureid.Cloud
	graph *armresourcegraph.Client
	arm   *arm.Client
}

// Row is one cluster as Resource Graph shows it.
type Row struct {
	ID     azureid.Resource
	KeyURL string      // as given; "" for a Microsoft-managed key
	Key    azureid.Key // zero when KeyURL is empty or cannot be parsed
}

// New returns a client that acts as cred.
func New(p cloud.Profile, cred azcore.TokenCredential) (*Client, error) {
	const op = "graph.New"
	if cred == nil {
		return nil, fault.New(fault.Invalid, op, "a credential is needed")
	}
	g, err := armresourcegraph.NewClient(cred, p.ARMOptions(cloud.ReadRetry()))
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, op, err)
	}
	a, err := arm.NewClient("cmkguard/graph", "v1.0.0", cred, p.ARMOptions(cloud.ReadRetry()))
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, op, err)
	}
	return &Client{cloud: p.Cloud, graph: g, arm: a}, nil
}

const clustersQuery = `resources | where type =~ 'microsoft.cache/redisenterprise'` +
	` | extend kekUrl = tostring(properties.encryption.customerManagedKeyEncryption.keyEncryptionKeyUrl)` +
	` | project id, kekUrl | order by id asc`

// Clusters lists the clusters of the subscriptions, ordered by id.
func (c *Client) Clusters(ctx context.Context, subscriptions []string) ([]Row, error) {
	raw, err := query[struct {
		ID     string `json:"id"`
		KEKURL string `json:"kekUrl"`
	}](ctx, c, subscriptions, clustersQuery)
	if err != nil {
		return nil, err
	}
	out := make([]Row, 0, len(raw))
	for _, r := range raw {
		id, err := azureid.ParseResource(r.ID)
		if err != nil {
			return nil, err
		}
		row := Row{ID: id, KeyURL: r.KEKURL}
		if k, err := azureid.ParseKey(r.KEKURL, c.cloud); err == nil {
			row.Key = k
		}
		out = append(out, row)
	}
	return out, nil
}

// ClustersByKey lists the clusters that name the key, in whatever version.
func (c *Client) ClustersByKey(ctx context.Context, subscriptions []string, key azureid.Key) ([]Row, error) {
	all, err := c.Clusters(ctx, subscriptions)
	if err != nil {
		return nil, err
	}
	var out []Row
	for _, r := range all {
		if !r.Key.IsZero() && r.Key.SameKey(key) {
			out = append(out, r)
		}
	}
	return out, nil
}

const vaultsQuery = `resources | where type =~ 'microsoft.keyvault/vaults'` +
	` | extend vaultUri = tostring(properties.vaultUri), vaultHost = tolower(tostring(split(tostring(properties.vaultUri),'/')[2]))`

// vaultQuery: host is one that the cloud's suffixes were checked against.
func vaultQuery(host string) string {
	return vaultsQuery + ` | where vaultHost == '` + host + `' | project id, vaultHost | order by id asc`
}

// VaultByHost finds the vault resource of a host; false when the subscriptions
// show none, which may mean that it lies elsewhere or may not be read.
func (c *Client) VaultByHost(ctx context.Context, subscriptions []string, host string) (azureid.Resource, bool, error) {
	host = strings.ToLower(host)
	if err := c.cloud.CheckVaultHost(host); err != nil { // also keeps the query free of quotes
		return azureid.Resource{}, false, err
	}
	rows, err := query[struct {
		ID        string `json:"id"`
		VaultHost string `json:"vaultHost"`
	}](ctx, c, subscriptions, vaultQuery(host))
	if err != nil {
		return azureid.Resource{}, false, err
	}
	for _, r := range rows {
		if strings.EqualFold(r.VaultHost, host) {
			id, err := azureid.ParseResource(r.ID)
			return id, err == nil, err
		}
	}
	return azureid.Resource{}, false, nil
}

// query runs a query over all subscriptions and pages.
func query[T any](ctx context.Context, c *Client, subscriptions []string, text string) ([]T, error) {
	var out []T
	err := visit(ctx, c, subscriptions, text, func(rows []T) error {
		out = append(out, rows...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// visit runs a query over all subscriptions and hands over page after page. An
// error of take ends it.
func visit[T any](ctx context.Context, c *Client, subscriptions []string, text string, take func([]T) error) error {
	if len(subscriptions) == 0 { // an empty list would mean every subscription that the caller can see
		return fault.New(fault.Invalid, "graph.Query", "no subscription is configured")
	}
	for rest := subscriptions; len(rest) > 0; {
		n := min(perQuery, len(rest))
		if err := pages(ctx, c, rest[:n], text, take); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

func pages[T any](ctx context.Context, c *Client, subscriptions []string, text string, take func([]T) error) error {
	const op = "graph.Query"
	subs := make([]*string, len(subscriptions))
	for i := range subscriptions {
		subs[i] = &subscriptions[i]
	}
	top, format := int32(pageSize), armresourcegraph.ResultFormatObjectArray
	o := &armresourcegraph.QueryRequestOptions{Top: &top, ResultFormat: &format, AuthorizationScopeFilter: scopeFilter(text)}
	for range maxPages {
		resp, err := c.graph.Resources(ctx, armresourcegraph.QueryRequest{Query: &text, Subscriptions: subs, Options: o}, nil)
		if err != nil {
			return azfault.Read(op, err)
		}
		rows, err := decode[T](resp.Data)
		if err != nil {
			return fault.New(fault.Invalid, op, "rows: %w", err)
		}
		if err := take(rows); err != nil {
			return err
		}
		switch next := resp.SkipToken; {
		case next != nil && *next != "":
			o.SkipToken = next
		case resp.ResultTruncated != nil && *resp.ResultTruncated == armresourcegraph.ResultTruncatedTrue:
			return fault.New(fault.Invalid, op, "the result is cut off and names no next page")
		default:
			return nil
		}
	}
	return fault.New(fault.Invalid, op, "the result does not end")
}

func decode[T any](data any) ([]T, error) {
	raw, err := json.Marshal(data)
	if err != nil {
		return nil, err
	}
	var out []T
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, err
	}
	return out, nil
}
