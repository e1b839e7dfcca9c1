package graph

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resourcegraph/armresourcegraph"

	"cmkguard/internal/fault"
	"cmkguard/internal/wiring"
)

const assignmentsQuery = `authorizationresources | where type =~ 'microsoft.authorization/roleassignments'` +
	` | extend principalId = tostring(properties.principalId), principalType = tostring(properties.principalType), roleId = tolower(tostring(properties.roleDefinitionId)),` +
	` scope = tolower(tostring(properties.scope)), condition = tostring(properties.condition),` +
	` createdOn = tostring(properties.createdOn), updatedOn = tostring(properties.updatedOn)` +
	` | project id, principalId, principalType, roleId, scope, condition, createdOn, updatedOn | order by id asc`

// Assignments lists everybody's active role assignments in and above the
// subscriptions. It knows no eligible ones, no deny assignments, and of a
// management group only that it is above one of the subscriptions asked about.
func (c *Client) Assignments(ctx context.Context, subscriptions []string) ([]wiring.RoleAssignment, error) {
	rows, err := query[struct{ ID, PrincipalID, PrincipalType, RoleID, Scope, Condition, CreatedOn, UpdatedOn string }](ctx, c, subscriptions, assignmentsQuery)
	out := make([]wiring.RoleAssignment, 0, len(rows))
	for _, r := range rows {
		out = append(out, wiring.RoleAssignment{ID: r.ID, PrincipalID: r.PrincipalID, PrincipalType: r.PrincipalType,
			RoleID: r.RoleID, Scope: r.Scope, Condition: r.Condition, CreatedOn: moment(r.CreatedOn), UpdatedOn: moment(r.UpdatedOn)})
	}
	return out, err
}

// moment reads a time; what is none is the zero time, long ago.
func moment(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

const rolesQuery = `authorizationresources | where type =~ 'microsoft.authorization/roledefinitions'` +
	` | extend roleName = tostring(properties.roleName), permissions = tostring(properties.permissions)` +
	` | project id, roleName, permissions | order by id asc`

// Roles lists the role definitions by their id in lower case.
func (c *Client) Roles(ctx context.Context, subscriptions []string) (map[string]wiring.RoleDefinition, error) {
	rows, err := query[struct{ ID, RoleName, Permissions string }](ctx, c, subscriptions, rolesQuery)
	out := map[string]wiring.RoleDefinition{}
	for _, r := range rows {
		d := wiring.RoleDefinition{ID: strings.ToLower(r.ID), Name: r.RoleName}
		if err := json.Unmarshal([]byte(orNull(r.Permissions)), &d.Permissions); err != nil {
			return nil, fault.New(fault.Invalid, "graph.Roles", "permissions of %s: %w", r.ID, err)
		}
		out[d.ID] = d
	}
	return out, err
}

// scopeFilter: assignments and policies of management groups are above the
// subscriptions, and the service leaves them out unless asked.
func scopeFilter(text string) *armresourcegraph.AuthorizationScopeFilter {
	if strings.HasPrefix(text, "resources") {
		return nil
	}
	f := armresourcegraph.AuthorizationScopeFilterAtScopeAboveAndBelow
	return &f
}

// Rights are our own permissions in one subscription.
type Rights struct{ blocks []permission }

// Hold reports whether the rights hold the action.
func (r Rights) Hold(action string) bool { return allowed(r.blocks, action) }

// Rights reads our own permissions in the subscription, or says why it cannot:
// without the right to read something, rows that are missing prove nothing.
func (c *Client) Rights(ctx context.Context, subscription string) (r Rights, why string) {
	blocks, err := c.permissions(ctx, subscription)
	if err != nil {
		return r, "our permissions could not be read: " + err.Error()
	}
	return Rights{blocks}, ""
}
