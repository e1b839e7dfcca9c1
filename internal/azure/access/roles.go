package access

import (
	"context"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/authorization/armauthorization/v2"
	"github.com/google/uuid"

	"cmkguard/internal/azure/azfault"
	"cmkguard/internal/azureid"
	"cmkguard/internal/wiring"
)

// maxPages bounds a list whose answers keep naming a next page.
const maxPages = 200

// KeyScope returns the scope of a key for Azure RBAC: the vault's id,
// /keys/NAME. Roles can be assigned there, though it is no ARM resource.
func KeyScope(vault azureid.Resource, key azureid.Key) string {
	return vault.String() + "/keys/" + key.Name
}

// Assignments lists the principal's active role assignments at the scope and
// above, those of groups that it is a member of included: their PrincipalType
// is "Group" and their PrincipalID the group's.
func (c *Client) Assignments(ctx context.Context, keyScope, principalID string) wiring.Fact[[]wiring.RoleAssignment] {
	filter := "assignedTo('" + principalID + "')"
	call, at := "arm GET "+keyScope+"/providers/Microsoft.Authorization/roleAssignments?$filter="+filter, c.now()
	if _, err := uuid.Parse(principalID); err != nil { // it goes into the filter as it is
		return wiring.Failed[[]wiring.RoleAssignment](call, at, "the principal id is not a GUID")
	}
	out := []wiring.RoleAssignment{}
	pager := c.roles.NewListForScopePager(strings.TrimPrefix(keyScope, "/"), &armauthorization.RoleAssignmentsClientListForScopeOptions{Filter: &filter})
	why, err := each(ctx, pager, func(r armauthorization.RoleAssignmentsClientListForScopeResponse) string {
		for _, a := range r.Value {
			if a == nil || a.Properties == nil {
				return "an assignment has no properties"
			}
			p := a.Properties
			out = append(out, wiring.RoleAssignment{
				ID: deref(a.ID), PrincipalID: deref(p.PrincipalID), PrincipalType: string(deref(p.PrincipalType)),
				RoleID: strings.ToLower(deref(p.RoleDefinitionID)), Scope: strings.ToLower(deref(p.Scope)), Condition: deref(p.Condition),
				CreatedOn: deref(p.CreatedOn).UTC(), UpdatedOn: deref(p.UpdatedOn).UTC(),
			})
		}
		return ""
	})
	switch {
	case err != nil:
		return wiring.Failed[[]wiring.RoleAssignment](call, at, azfault.Read("arm", err).Error())
	case why != "":
		return wiring.Failed[[]wiring.RoleAssignment](call, at, why)
	}
	return wiring.Read(out, call, at)
}

// Definitions reads role definitions by ARM id, each once. One that is not
// there is left out of the map; any other failure makes the fact unreadable.
func (c *Client) Definitions(ctx context.Context, ids []string) wiring.Fact[map[string]wiring.RoleDefinition] {
	const call = "arm GET Microsoft.Authorization/roleDefinitions by id"
	at := c.now()
	out := make(map[string]wiring.RoleDefinition, len(ids))
	asked := map[string]bool{}
	for _, id := range ids {
		key := strings.ToLower(id)
		if asked[key] {
			continue
		}
		asked[key] = true
		r, err := azureid.ParseResource(id)
		if err != nil || r.Type() != azureid.TypeRoleDefinition {
			return wiring.Failed[map[string]wiring.RoleDefinition](call, at, "not a role definition's id: "+id)
		}
		resp, err := c.defs.GetByID(ctx, strings.TrimPrefix(r.String(), "/"), nil)
		if azfault.NotFound(err) {
			continue
		}
		if err != nil {
			return wiring.Failed[map[string]wiring.RoleDefinition](call, at, azfault.Read("arm", err).Error())
		}
		if resp.Properties == nil { // taken as it is, it would be a role that gives nothing
			return wiring.Failed[map[string]wiring.RoleDefinition](call, at, "role definition "+id+" has no properties")
		}
		d := wiring.RoleDefinition{ID: key, Name: deref(resp.Properties.RoleName)}
		for _, b := range resp.Properties.Permissions {
			if b != nil {
				d.Permissions = append(d.Permissions, wiring.Permission{DataActions: texts(b.DataActions), NotDataActions: texts(b.NotDataActions),
					Actions: texts(b.Actions), NotActions: texts(b.NotActions)})
			}
		}
		out[key] = d
	}
	return wiring.Read(out, call, at)
}

// Denies lists the deny assignments at the scope, above and below it, whoever
// they are for: one call at a vault is enough for all of its keys (without
// $filter=atScope() the list goes below the scope; learn.microsoft.com
// role-based-access-control/deny-assignments-rest). A condition on one is
// ignored: it then denies more, never less.
func (c *Client) Denies(ctx context.Context, scope string) wiring.Fact[[]wiring.DenyAssignment] {
	call, at := "arm GET "+scope+"/providers/Microsoft.Authorization/denyAssignments", c.now()
	out := []wiring.DenyAssignment{}
	pager := c.deny.NewListForScopePager(strings.TrimPrefix(scope, "/"), nil)
	why, err := each(ctx, pager, func(r armauthorization.DenyAssignmentsClientListForScopeResponse) string {
		for _, d := range r.Value {
			if d == nil || d.Properties == nil {
				return "a deny assignment has no properties"
			}
			out = append(out, denyOf(d))
		}
		return ""
	})
	switch {
	case err != nil:
		return wiring.Failed[[]wiring.DenyAssignment](call, at, azfault.Read("arm", err).Error())
	case why != "":
		return wiring.Failed[[]wiring.DenyAssignment](call, at, why)
	}
	return wiring.Read(out, call, at)
}

func denyOf(d *armauthorization.DenyAssignment) wiring.DenyAssignment {
	p := d.Properties
	out := wiring.DenyAssignment{
		ID: deref(d.ID), Scope: strings.ToLower(deref(p.Scope)), NotForChildScopes: deref(p.DoNotApplyToChildScopes),
		Principals: principals(p.Principals), ExcludedPrincipals: principals(p.ExcludePrincipals),
	}
	for _, b := range p.Permissions {
		if b != nil {
			out.Permissions = append(out.Permissions, wiring.Permission{DataActions: texts(b.DataActions), NotDataActions: texts(b.NotDataActions)})
		}
	}
	return out
}

func principals(list []*armauthorization.Principal) []wiring.Principal {
	out := make([]wiring.Principal, 0, len(list))
	for _, p := range list {
		if p != nil {
			out = append(out, wiring.Principal{ID: deref(p.ID), Type: deref(p.Type)})
		}
	}
	return out
}

// each calls take for every page until it gives a reason to stop.
func each[T any](ctx context.Context, pager *runtime.Pager[T], take func(T) string) (string, error) {
	for page := 0; pager.More(); page++ {
		if page == maxPages {
			return "the list does not end", nil
		}
		resp, err := pager.NextPage(ctx)
		if err != nil {
			return "", err
		}
		if why := take(resp); why != "" {
			return why, nil
		}
	}
	return "", nil
}
