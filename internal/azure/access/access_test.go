package access_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azure/access"
	"cmkguard/internal/azure/azuretest"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/azureid"
	"cmkguard/internal/wiring"
)

const (
	vaultID   = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg-cache-prod/providers/Microsoft.KeyVault/vaults/kv-orders-cmk"
	scope     = vaultID + "/keys/redis-kek"
	principal = "22222222-2222-2222-2222-222222222222"
	roleID    = "/subscriptions/11111111-1111-1111-1111-111111111111/providers/Microsoft.Authorization/roleDefinitions/e147488a-f6f5-4113-8e2d-b22465e65bf6"
)

func serve(t *testing.T, h http.HandlerFunc) (*access.Client, *azuretest.Azure) {
	t.Helper()
	a := azuretest.Serve(t, h)
	p, err := cloud.Load(a.Profile)
	if err != nil {
		t.Fatal(err)
	}
	cred, err := p.Credential("")
	if err != nil {
		t.Fatal(err)
	}
	c, err := access.New(p, cred, func() time.Time { return time.Unix(1790000000, 0) })
	if err != nil {
		t.Fatal(err)
	}
	return c, a
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { azuretest.JSON(w, status, body) }
}

func TestVault(t *testing.T) {
	t.Parallel()
	c, a := serve(t, answer(200, azuretest.Payload(t, "vault-get-accesspolicy.json")))
	f := c.Vault(context.Background(), azureid.MustResource(vaultID))
	v := f.Value
	if !f.OK() || v.RBAC || !v.PurgeProtection || !v.SoftDelete || v.Host != "kv-orders-cmk.vault.azure.net" || v.Bypass != "AzureServices" ||
		v.RetentionDays != 90 || len(v.Policies) != 1 || strings.Join(v.Policies[0].Keys, " ") != "get wrapKey unwrapKey" {
		t.Errorf("%+v", f)
	}
	if q := a.Calls()[0].Query; q != "api-version=2026-02-01" {
		t.Errorf("older control-plane versions retire: %s", q)
	}
}

func TestVaultSettingsThatAreLeftOutAreOff(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, answer(200, `{"properties":{"tenantId":"t","vaultUri":"https://kv-orders-cmk.vault.azure.net/"}}`))
	if v := c.Vault(context.Background(), azureid.MustResource(vaultID)).Value; v.RBAC || v.PurgeProtection || !v.SoftDelete {
		t.Errorf("%+v", v)
	}
}

func TestAbsentIsTheServicesWord(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]wiring.State{
		`{"error":{"code":"ResourceNotFound","message":"x"}}`:     wiring.Absent,
		`{"error":{"code":"SubscriptionNotFound","message":"x"}}`: wiring.Unreadable,
		`<html>`: wiring.Unreadable,
	} {
		c, _ := serve(t, answer(404, body))
		if f := c.Vault(context.Background(), azureid.MustResource(vaultID)); f.State != want || f.Why == "" {
			t.Errorf("%s: %+v", body, f)
		}
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	id := azureid.MustResource(strings.Replace(vaultID, "Microsoft.KeyVault/vaults", "Microsoft.ManagedIdentity/userAssignedIdentities", 1))
	c, _ := serve(t, answer(200, `{"properties":{"principalId":"`+principal+`","clientId":"c","tenantId":"t"}}`))
	if f := c.Identity(context.Background(), id); !f.OK() || f.Value.PrincipalID != principal || f.Value.TenantID != "t" {
		t.Errorf("%+v", f)
	}
	c, _ = serve(t, answer(200, `{"properties":{}}`))
	if f := c.Identity(context.Background(), id); f.State != wiring.Unreadable {
		t.Errorf("no principal: %+v", f)
	}
}

func TestAssignmentsAreAskedAtTheKeysScope(t *testing.T) {
	t.Parallel()
	one := azuretest.Payload(t, "role-assignment.json")
	c, a := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.RawQuery, "page=2") {
			azuretest.JSON(w, 200, `{"value":[{"id":"g","properties":{"principalId":"group","principalType":"Group","roleDefinitionId":"`+roleID+`","scope":"/"}}]}`)
			return
		}
		azuretest.JSON(w, 200, `{"value":[`+one+`],"nextLink":"https://management.azure.com`+scope+`/providers/Microsoft.Authorization/roleAssignments?page=2"}`)
	})
	f := c.Assignments(context.Background(), scope, principal)
	if !f.OK() || len(f.Value) != 2 || f.Value[0].RoleID != strings.ToLower(roleID) || f.Value[1].PrincipalType != "Group" || f.Value[0].UpdatedOn.IsZero() {
		t.Fatalf("%+v", f)
	}
	first := a.Calls()[0]
	if first.Path != scope+"/providers/Microsoft.Authorization/roleAssignments" || !strings.Contains(first.Query, "assignedTo('"+principal+"')") {
		t.Errorf("%s?%s", first, first.Query)
	}
	if f := c.Assignments(context.Background(), scope, "x') or principalId eq '"); f.State != wiring.Unreadable || len(a.Calls()) != 2 {
		t.Errorf("a principal that is no GUID went into the filter: %+v", f)
	}
}

func TestAListThatFailsInTheMiddleIsNoList(t *testing.T) {
	t.Parallel()
	one := azuretest.Payload(t, "role-assignment.json")
	c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.RawQuery, "page=2") {
			azuretest.JSON(w, 403, `{"error":{"code":"AuthorizationFailed","message":"x"}}`)
			return
		}
		azuretest.JSON(w, 200, `{"value":[`+one+`],"nextLink":"https://management.azure.com/x?page=2"}`)
	})
	if f := c.Assignments(context.Background(), scope, principal); f.State != wiring.Unreadable || f.Value != nil || !strings.Contains(f.Why, "AuthorizationFailed") {
		t.Errorf("%+v", f)
	}
}

func TestDefinitions(t *testing.T) {
	t.Parallel()
	role := `{"id":"/x","properties":{"roleName":"Key Vault Crypto Service Encryption User","permissions":[{"dataActions":["Microsoft.KeyVault/vaults/keys/read","Microsoft.KeyVault/vaults/keys/wrap/action","Microsoft.KeyVault/vaults/keys/unwrap/action"],"notDataActions":[]}]}}`
	c, a := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "gone") {
			azuretest.JSON(w, 404, `{"error":{"code":"RoleDefinitionDoesNotExist","message":"x"}}`)
			return
		}
		azuretest.JSON(w, 200, role)
	})
	gone := strings.Replace(roleID, "e147488a-f6f5-4113-8e2d-b22465e65bf6", "gone", 1)
	f := c.Definitions(context.Background(), []string{roleID, strings.ToUpper(roleID), gone})
	d, ok := f.Value[strings.ToLower(roleID)]
	if !f.OK() || !ok || len(f.Value) != 1 || len(a.Calls()) != 2 || len(d.Permissions) == 0 || len(d.Permissions[0].DataActions) != 3 {
		t.Errorf("%+v after %d calls", f, len(a.Calls()))
	}
	hollow, _ := serve(t, answer(200, `{"id":"/x"}`))
	if f := hollow.Definitions(context.Background(), []string{roleID}); f.State != wiring.Unreadable {
		t.Errorf("a role without properties gives nothing only by mistake: %+v", f)
	}
	if f := c.Definitions(context.Background(), []string{vaultID}); f.State != wiring.Unreadable {
		t.Errorf("an id of something else: %+v", f)
	}
}

func TestDenies(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, answer(200, `{"value":[`+azuretest.Payload(t, "deny-assignment.json")+`]}`))
	f := c.Denies(context.Background(), scope)
	if !f.OK() || len(f.Value) != 1 || f.Value[0].Scope != strings.ToLower(vaultID) || f.Value[0].Principals[0].Type != "SystemDefined" ||
		f.Value[0].ExcludedPrincipals[0].ID != principal || f.Value[0].Permissions[0].DataActions[0] != "Microsoft.KeyVault/vaults/keys/*" {
		t.Errorf("%+v", f)
	}
}
