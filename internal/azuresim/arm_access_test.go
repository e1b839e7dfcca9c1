package azuresim_test

import (
	"context"
	"slices"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/authorization/armauthorization/v2"
	"github.com/google/go-cmp/cmp"

	"cmkguard/internal/azuresim"
)

// listed returns the scopes of the assignments that a list shows, sorted.
func (w armWorld) listed(t *testing.T, scope, filter string) []string {
	t.Helper()
	c := must(armauthorization.NewRoleAssignmentsClient(sub, token("observer"), w.options()))(t)
	o := &armauthorization.RoleAssignmentsClientListForScopeOptions{}
	if filter != "" {
		o.Filter = &filter
	}
	out := []string{}
	for _, a := range must(c.NewListForScopePager(scope[1:], o).NextPage(context.Background()))(t).Value {
		out = append(out, *a.Properties.Scope)
	}
	slices.Sort(out)
	return out
}

func TestFiltersOfRoleAssignments(t *testing.T) {
	t.Parallel()
	w := newARMWorld(t, azuresim.Options{}, "v2")
	subscription, key := "/subscriptions/"+sub, vaultID+"/keys/redis-kek"
	w.Assign(subscription, azuresim.RoleReader, principal)
	w.Assign(key, azuresim.RoleCryptoUser, principal)
	w.Assign(vaultID, azuresim.RoleReader, "other")
	w.Assign(vaultID+"-neighbour", azuresim.RoleReader, principal)
	for name, tc := range map[string]struct {
		scope, filter string
		want          []string
	}{
		"atScope is at and above":           {vaultID, "atScope()", []string{subscription, vaultID, vaultID}},
		"principalId is also below":         {vaultID, "principalId eq '" + principal + "'", []string{subscription, vaultID, key}},
		"assignedTo is also below":          {group, "assignedTo('" + principal + "')", []string{subscription, vaultID, vaultID + "-neighbour", key}},
		"joined":                            {vaultID, "atScope() and assignedTo('" + principal + "')", []string{subscription, vaultID}},
		"at a key, everything above counts": {key, "assignedTo('" + principal + "')", []string{subscription, vaultID, key}},
		"nobody":                            {vaultID, "assignedTo('nobody')", []string{}},
	} {
		slices.Sort(tc.want)
		if d := cmp.Diff(tc.want, w.listed(t, tc.scope, tc.filter)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	c, filter := must(armauthorization.NewRoleAssignmentsClient(sub, token("observer"), w.options()))(t), "principalName eq 'x'"
	_, err := c.NewListForScopePager(vaultID[1:], &armauthorization.RoleAssignmentsClientListForScopeOptions{Filter: &filter}).NextPage(context.Background())
	refused(t, err, 400, "BadRequestFormat")
}

func TestDefinitionsAndDenies(t *testing.T) {
	t.Parallel()
	w, ctx := newARMWorld(t, azuresim.Options{}, "v2"), context.Background()
	defs := must(armauthorization.NewRoleDefinitionsClient(token("observer"), w.options()))(t)
	id := "providers/Microsoft.Authorization/roleDefinitions/" + azuresim.RoleCryptoServiceEncryptionUser
	if d := must(defs.GetByID(ctx, id, nil))(t); *d.Properties.RoleName != "Key Vault Crypto Service Encryption User" || len(d.Properties.Permissions[0].DataActions) != 3 {
		t.Errorf("%+v", d.Properties)
	}
	_, err := defs.GetByID(ctx, "providers/Microsoft.Authorization/roleDefinitions/"+principal, nil)
	refused(t, err, 404, "RoleDefinitionDoesNotExist")
	if page := must(defs.NewListPager(vaultID[1:], nil).NextPage(ctx))(t); len(page.Value) < 4 {
		t.Errorf("%d roles", len(page.Value))
	}
	w.Deny(azuresim.DenyAssignment{Scope: vaultID, DataActions: []string{"Microsoft.KeyVault/vaults/keys/*"}, Exclude: []string{"friend"}})
	denies := must(armauthorization.NewDenyAssignmentsClient(sub, token("observer"), w.options()))(t)
	filter := "atScope()"
	for scope, want := range map[string]int{vaultID: 1, vaultID + "/keys/redis-kek": 1, group: 0} {
		page := must(denies.NewListForScopePager(scope[1:], &armauthorization.DenyAssignmentsClientListForScopeOptions{Filter: &filter}).NextPage(ctx))(t)
		if len(page.Value) != want {
			t.Errorf("%s: %d denies, want %d", scope, len(page.Value), want)
		}
		if want == 1 && (*page.Value[0].Properties.Principals[0].Type != "SystemDefined" || *page.Value[0].Properties.ExcludePrincipals[0].ID != "friend") {
			t.Errorf("%+v", page.Value[0].Properties)
		}
	}
}

func TestOnlyOwnersChangeAssignments(t *testing.T) {
	t.Parallel()
	w, ctx := newARMWorld(t, azuresim.Options{}, "v2"), context.Background()
	w.Unassign(principal)
	who, role := principal, "/subscriptions/"+sub+"/providers/Microsoft.Authorization/roleDefinitions/"+azuresim.RoleCryptoServiceEncryptionUser
	params := armauthorization.RoleAssignmentCreateParameters{Properties: &armauthorization.RoleAssignmentProperties{PrincipalID: &who, RoleDefinitionID: &role}}
	const name = "05c5a614-a7d6-4502-b150-c2fb455033ff"
	for _, caller := range []string{"observer", "remediator"} {
		c := must(armauthorization.NewRoleAssignmentsClient(sub, token(caller), w.options()))(t)
		_, err := c.Create(ctx, vaultID[1:], name, params, nil)
		refused(t, err, 403, "AuthorizationFailed")
	}
	c := must(armauthorization.NewRoleAssignmentsClient(sub, token("owner"), w.options()))(t)
	must(c.Create(ctx, vaultID[1:], name, params, nil))(t)
	_, err := c.Create(ctx, vaultID[1:], principal, params, nil)
	refused(t, err, 409, "RoleAssignmentExists")
	if got := w.listed(t, vaultID, "assignedTo('"+principal+"')"); len(got) != 1 {
		t.Errorf("%v", got)
	}
	must(c.Delete(ctx, vaultID[1:], name, nil))(t)
	must(c.Delete(ctx, vaultID[1:], name, nil))(t) // gone already: 204
	if got := w.listed(t, vaultID, "assignedTo('"+principal+"')"); len(got) != 0 {
		t.Errorf("%v", got)
	}
}
