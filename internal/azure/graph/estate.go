package graph

import (
	"context"
	"encoding/json"
	"strings"

	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/wiring"
)

// cmkPolicy is the built-in policy that asks Redis Enterprise for a
// customer-managed key (Azure/azure-policy, Cache).
const cmkPolicy = "09aa11bb-87ec-409f-bf0b-49b7c1561a87"

const usesQuery = `resources | extend uamis = tostring(identity.userAssignedIdentities) | where isnotempty(uamis)` +
	` | extend kekUrl = tostring(properties.encryption.customerManagedKeyEncryption.keyEncryptionKeyUrl)` +
	` | project id, kekUrl, uamis | order by id asc`

// IdentityUses lists, by the identity's id in lower case, what each user-assigned
// identity is attached to.
func (c *Client) IdentityUses(ctx context.Context, subscriptions []string) (map[string][]wiring.IdentityUse, error) {
	rows, err := query[struct{ ID, KEKURL, UAMIs string }](ctx, c, subscriptions, usesQuery)
	out := map[string][]wiring.IdentityUse{}
	for _, r := range rows {
		id, err := azureid.ParseResource(r.ID)
		if err != nil {
			return nil, err
		}
		use := wiring.IdentityUse{ID: id}
		if k, err := azureid.ParseKey(r.KEKURL, c.cloud); err == nil {
			use.Key = k
		}
		var attached map[string]json.RawMessage
		if err := json.Unmarshal([]byte(r.UAMIs), &attached); err != nil {
			return nil, fault.New(fault.Invalid, "graph.IdentityUses", "identities of %s: %w", id, err)
		}
		for name := range attached {
			key := strings.ToLower(name)
			out[key] = append(out[key], use)
		}
	}
	return out, err
}

const topicsQuery = `resources | where type =~ 'microsoft.eventgrid/systemtopics'` +
	` | extend sourceId = tolower(tostring(properties.source)) | project id, sourceId | order by id asc`

// Topics lists the Event Grid system topics by their source's id in lower case.
func (c *Client) Topics(ctx context.Context, subscriptions []string) (map[string]azureid.Resource, error) {
	rows, err := query[struct{ ID, SourceID string }](ctx, c, subscriptions, topicsQuery)
	out := map[string]azureid.Resource{}
	for _, r := range rows {
		id, err := azureid.ParseResource(r.ID)
		if err != nil {
			return nil, err
		}
		out[r.SourceID] = id
	}
	return out, err
}

const alertsQuery = `resources | where type =~ 'microsoft.insights/activitylogalerts'` +
	` | extend enabled = tostring(properties.enabled), scopes = tostring(properties.scopes), condition = tostring(properties.condition)` +
	` | project id, enabled, scopes, condition | order by id asc`

// ScopedRule is an activity log alert and the scopes it watches, in lower case.
type ScopedRule struct {
	Rule   wiring.AlertRule
	Scopes []string
}

// AlertRules lists the activity log alerts.
func (c *Client) AlertRules(ctx context.Context, subscriptions []string) ([]ScopedRule, error) {
	rows, err := query[struct{ ID, Enabled, Scopes, Condition string }](ctx, c, subscriptions, alertsQuery)
	out := make([]ScopedRule, 0, len(rows))
	for _, r := range rows {
		rule := ScopedRule{Rule: wiring.AlertRule{ID: r.ID, Enabled: !strings.EqualFold(r.Enabled, "false")}}
		var condition struct {
			AllOf []struct{ Field, Equals string } `json:"allOf"`
		}
		if err := json.Unmarshal([]byte(strings.ToLower(orNull(r.Scopes))), &rule.Scopes); err != nil {
			return nil, fault.New(fault.Invalid, "graph.AlertRules", "%s: %w", r.ID, err)
		}
		if err := json.Unmarshal([]byte(orNull(r.Condition)), &condition); err != nil {
			return nil, fault.New(fault.Invalid, "graph.AlertRules", "%s: %w", r.ID, err)
		}
		for _, p := range condition.AllOf {
			if strings.EqualFold(p.Field, "operationName") {
				rule.Rule.Operations = append(rule.Rule.Operations, p.Equals)
			}
		}
		out = append(out, rule)
	}
	return out, err
}

func orNull(s string) string {
	if s == "" {
		return "null"
	}
	return s
}

const policyQuery = `policyresources | where type =~ 'microsoft.policyinsights/policystates'` +
	` | where properties.policyDefinitionName =~ '` + cmkPolicy + `'` +
	` | extend resourceId = tolower(tostring(properties.resourceId)), compliance = tostring(properties.complianceState), assignment = tostring(properties.policyAssignmentId)` +
	` | project id, resourceId, compliance, assignment | order by id asc`

// PolicyStates lists the clusters' states under the policy that asks for a
// customer-managed key, by the cluster's id in lower case. Of several assignments
// one that is not complied with wins.
func (c *Client) PolicyStates(ctx context.Context, subscriptions []string) (map[string]wiring.PolicyState, error) {
	rows, err := query[struct{ ID, ResourceID, Compliance, Assignment string }](ctx, c, subscriptions, policyQuery)
	out := map[string]wiring.PolicyState{}
	for _, r := range rows {
		if old, ok := out[r.ResourceID]; !ok || strings.EqualFold(old.Compliance, "Compliant") {
			out[r.ResourceID] = wiring.PolicyState{Compliance: r.Compliance, Assignment: r.Assignment}
		}
	}
	return out, err
}

const classicQuery = `resources | where type =~ 'microsoft.cache/redis'` +
	` | extend sku = tostring(properties.sku.name), labels = tostring(tags)` +
	` | project id, location, sku, labels | order by id asc`

// Classic lists the Basic, Standard and Premium caches, which cannot have a
// customer-managed key.
func (c *Client) Classic(ctx context.Context, subscriptions []string) ([]wiring.Cluster, error) {
	rows, err := query[struct{ ID, Location, SKU, Labels string }](ctx, c, subscriptions, classicQuery)
	out := make([]wiring.Cluster, 0, len(rows))
	for _, r := range rows {
		id, err := azureid.ParseResource(r.ID)
		if err != nil {
			return nil, err
		}
		one := wiring.Cluster{ID: id, Name: id.Name(), Location: r.Location, SKU: r.SKU}
		if err := json.Unmarshal([]byte(orNull(r.Labels)), &one.Tags); err != nil {
			return nil, fault.New(fault.Invalid, "graph.Classic", "tags of %s: %w", id, err)
		}
		out = append(out, one)
	}
	return out, err
}
