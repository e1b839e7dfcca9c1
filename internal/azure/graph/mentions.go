package graph

import (
	"context"
	"strings"

	"cmkguard/internal/azureid"
)

// Mention is a resource whose settings name a vault.
type Mention struct {
	ID   azureid.Resource
	text string // its properties as JSON, lower case
}

// NamesKey reports whether the settings name the key: in a key URL, or as a key
// name of its own beside the vault's, as storage accounts have it.
func (m Mention) NamesKey(name string) bool {
	name = strings.ToLower(name)
	for _, form := range []string{"/keys/" + name + `"`, "/keys/" + name + "/", `"keyname":"` + name + `"`} {
		if strings.Contains(m.text, form) {
			return true
		}
	}
	return false
}

func mentionsQuery(host string) string {
	return `resources | where type !~ 'microsoft.cache/redisenterprise' and type !~ 'microsoft.keyvault/vaults'` +
		` | extend body = tolower(tostring(properties)) | where body contains '` + host + `' | project id, body | order by id asc`
}

// Mentions lists the resources whose properties name the vault's host, Redis
// clusters and vaults left out.
func (c *Client) Mentions(ctx context.Context, subscriptions []string, host string) ([]Mention, error) {
	host = strings.ToLower(host)
	if err := c.cloud.CheckVaultHost(host); err != nil { // also keeps the query free of quotes
		return nil, err
	}
	rows, err := query[struct{ ID, Body string }](ctx, c, subscriptions, mentionsQuery(host))
	out := make([]Mention, 0, len(rows))
	for _, r := range rows {
		id, err := azureid.ParseResource(r.ID)
		if err != nil {
			return nil, err
		}
		out = append(out, Mention{id, r.Body})
	}
	return out, err
}
