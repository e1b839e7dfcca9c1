package graph

import (
	"context"
	"encoding/json"
	"strings"

	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/wiring"
)

const documentColumns = ` | project id, name, type, location, kind, sku, tags, identity, properties | order by id asc`

const (
	clusterDocuments = `resources | where type =~ 'microsoft.cache/redisenterprise'` + documentColumns
	vaultDocuments   = `resources | where type =~ 'microsoft.keyvault/vaults'` + documentColumns
)

// ClusterDocuments hands over the clusters' whole JSON, page after page, each
// ordered by id. An error of take ends it and is returned.
func (c *Client) ClusterDocuments(ctx context.Context, subscriptions []string, take func([]json.RawMessage) error) error {
	return visit(ctx, c, subscriptions, clusterDocuments, take)
}

// VaultDocuments hands over the vaults' whole JSON, as ClusterDocuments does.
func (c *Client) VaultDocuments(ctx context.Context, subscriptions []string, take func([]json.RawMessage) error) error {
	return visit(ctx, c, subscriptions, vaultDocuments, take)
}

const identitiesQuery = `resources | where type =~ 'microsoft.managedidentity/userassignedidentities'` +
	` | extend principalId = tostring(properties.principalId), clientId = tostring(properties.clientId), homeTenant = tostring(properties.tenantId)` +
	` | project id, principalId, clientId, homeTenant | order by id asc`

// Identities lists the user-assigned identities by their id in lower case. One
// without a principal is an Invalid fault: it would look like one without rights.
func (c *Client) Identities(ctx context.Context, subscriptions []string) (map[string]wiring.Identity, error) {
	rows, err := query[struct{ ID, PrincipalID, ClientID, HomeTenant string }](ctx, c, subscriptions, identitiesQuery)
	if err != nil {
		return nil, err
	}
	out := make(map[string]wiring.Identity, len(rows))
	for _, r := range rows {
		id, err := azureid.ParseResource(r.ID)
		if err != nil {
			return nil, err
		}
		if r.PrincipalID == "" {
			return nil, fault.New(fault.Invalid, "graph.Identities", "%s has no principal id", r.ID)
		}
		out[strings.ToLower(r.ID)] = wiring.Identity{ID: id, PrincipalID: r.PrincipalID, ClientID: r.ClientID, TenantID: r.HomeTenant}
	}
	return out, nil
}
