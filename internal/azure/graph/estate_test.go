package graph_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cmkguard/internal/azure/azuretest"
	"cmkguard/internal/fault"
	"cmkguard/internal/wiring"
)

const group = "/subscriptions/" + sub + "/resourceGroups/rg/providers/"

func rows(list string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		azuretest.JSON(w, 200, `{"count":1,"resultTruncated":"false","data":[`+list+`]}`)
	}
}

func TestIdentityUsesGoByTheIdentity(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, rows(`{"id":"`+group+`Microsoft.Cache/redisEnterprise/a","kekUrl":"https://kv.vault.azure.net/keys/k/aa","uamis":"{\"/X/One\":{},\"/x/two\":{}}"},
		{"id":"`+group+`Microsoft.Web/sites/b","kekUrl":"","uamis":"{\"/x/ONE\":{}}"}`))
	got, err := c.IdentityUses(context.Background(), []string{sub})
	if err != nil || len(got["/x/one"]) != 2 || len(got["/x/two"]) != 1 || got["/x/one"][0].Key.Name != "k" || !got["/x/one"][1].Key.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	c, _ = serve(t, rows(`{"id":"`+group+`Microsoft.Web/sites/b","uamis":"[1]"}`))
	if _, err := c.IdentityUses(context.Background(), []string{sub}); !fault.Is(err, fault.Invalid) {
		t.Errorf("identities that cannot be read: %v", err)
	}
}

func TestRolesKeepTheirBlocks(t *testing.T) {
	t.Parallel()
	c, a := serve(t, rows(`{"id":"/Providers/X/R1","roleName":"wide","permissions":"[{\"actions\":[\"*\"],\"notActions\":[\"x/write\"],\"dataActions\":[\"d\"],\"notDataActions\":[]}]"}`))
	got, err := c.Roles(context.Background(), []string{sub})
	want := map[string]wiring.RoleDefinition{"/providers/x/r1": {ID: "/providers/x/r1", Name: "wide", Permissions: []wiring.Permission{
		{Actions: []string{"*"}, NotActions: []string{"x/write"}, DataActions: []string{"d"}, NotDataActions: []string{}}}}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%s, %v", diff, err)
	}
	if !strings.Contains(a.Calls()[0].Body, "AtScopeAboveAndBelow") {
		t.Errorf("what management groups give would be left out: %s", a.Calls()[0].Body)
	}
}

func TestAssignmentsAreEverybodys(t *testing.T) {
	t.Parallel()
	c, a := serve(t, rows(`{"id":"/a","principalId":"p","principalType":"User","roleId":"/r","scope":"/subscriptions/x","condition":"c"}`))
	got, err := c.Assignments(context.Background(), []string{sub})
	want := []wiring.RoleAssignment{{ID: "/a", PrincipalID: "p", PrincipalType: "User", RoleID: "/r", Scope: "/subscriptions/x", Condition: "c"}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil || !strings.Contains(a.Calls()[0].Body, "AtScopeAboveAndBelow") {
		t.Errorf("%s, %v", diff, err)
	}
}

func TestPolicyStatesTakeTheWorst(t *testing.T) {
	t.Parallel()
	row := func(state string) string {
		return `{"id":"/s","resourceId":"/c","compliance":"` + state + `","assignment":"/p"}`
	}
	for _, list := range []string{row("Compliant") + "," + row("NonCompliant"), row("NonCompliant") + "," + row("Compliant")} {
		c, _ := serve(t, rows(list))
		got, err := c.PolicyStates(context.Background(), []string{sub})
		if err != nil || got["/c"].Compliance != "NonCompliant" {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

func TestAlertRules(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, rows(`{"id":"/r1","enabled":"true","scopes":"[\"/Subscriptions/X\"]","condition":"{\"allOf\":[{\"field\":\"category\",\"equals\":\"Administrative\"},{\"field\":\"operationName\",\"equals\":\"Microsoft.KeyVault/vaults/write\"}]}"},
		{"id":"/r2","enabled":"false","scopes":"","condition":""}`))
	got, err := c.AlertRules(context.Background(), []string{sub})
	if err != nil || len(got) != 2 || !got[0].Rule.Enabled || got[1].Rule.Enabled || got[0].Scopes[0] != "/subscriptions/x" ||
		strings.Join(got[0].Rule.Operations, " ") != "Microsoft.KeyVault/vaults/write" {
		t.Errorf("%+v, %v", got, err)
	}
	c, _ = serve(t, rows(`{"id":"/r1","scopes":"{}","condition":""}`))
	if _, err := c.AlertRules(context.Background(), []string{sub}); !fault.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
}

func TestClassicAndTopics(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, rows(`{"id":"`+group+`Microsoft.Cache/Redis/old","location":"westeurope","sku":"Premium","labels":"{\"env\":\"prod\"}"},{"id":"`+group+`Microsoft.Cache/Redis/bare","labels":""}`))
	got, err := c.Classic(context.Background(), []string{sub})
	if err != nil || len(got) != 2 || got[0].Tags["env"] != "prod" || got[0].SKU != "Premium" || got[1].Tags != nil {
		t.Errorf("%+v, %v", got, err)
	}
	c, _ = serve(t, rows(`{"id":"`+group+`Microsoft.EventGrid/systemTopics/t","sourceId":"/kv"}`))
	topics, err := c.Topics(context.Background(), []string{sub})
	if err != nil || topics["/kv"].Name() != "t" {
		t.Errorf("%+v, %v", topics, err)
	}
}

func TestRightsHoldWhatNoBlockTakesBack(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		azuretest.JSON(w, 200, `{"value":[{"actions":["Microsoft.A/*"],"notActions":["Microsoft.A/secret/read"]}]}`)
	})
	r, why := c.Rights(context.Background(), sub)
	if why != "" {
		t.Fatal(why)
	}
	for action, want := range map[string]bool{"Microsoft.A/x/read": true, "Microsoft.B/read": false, "Microsoft.A/secret/read": false} {
		if r.Hold(action) != want {
			t.Errorf("%s: %t", action, !want)
		}
	}
	c, _ = serve(t, func(w http.ResponseWriter, _ *http.Request) {
		azuretest.JSON(w, 403, `{"error":{"code":"AuthorizationFailed"}}`)
	})
	if r, why := c.Rights(context.Background(), sub); why == "" || r.Hold("Microsoft.A/x/read") {
		t.Errorf("refused: %+v %q", r, why)
	}
}
