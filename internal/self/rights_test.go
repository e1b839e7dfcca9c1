package self_test

import (
	"strings"
	"testing"
	"time"

	"cmkguard/internal/risk"
	"cmkguard/internal/self"
	"cmkguard/internal/wiring"
)

const keys = "Microsoft.KeyVault/vaults/keys/"

func needs() self.Needs {
	return self.Needs{
		Actions: []string{"Microsoft.Cache/redisEnterprise/read"}, DataActions: []string{keys + "read"}, Permissions: []string{"get"},
		House: map[string]string{"ba92f5b4-2d11-453d-a403-e96b0029c9fe": "microsoft.storage/storageaccounts"},
	}
}

// given is an identity with one role.
func given(role string, p wiring.Permission) wiring.OwnIdentity {
	return wiring.OwnIdentity{
		Role: role, Object: wiring.Read("oid", "claim", now),
		Grants: wiring.Read([]wiring.OwnGrant{{
			Assignment: wiring.RoleAssignment{ID: "/a", RoleID: "/providers/x/r", Scope: "/subscriptions/s"},
			Role:       wiring.Read(wiring.RoleDefinition{Name: "R", Permissions: []wiring.Permission{p}}, "arm", now),
		}}, "arm GET roleAssignments", now),
		Policies: wiring.Read([]wiring.OwnPolicy{}, "graph", now),
	}
}

func TestRights(t *testing.T) {
	t.Parallel()
	actions := func(a ...string) wiring.Permission { return wiring.Permission{Actions: a} }
	data := func(a ...string) wiring.Permission { return wiring.Permission{DataActions: a} }
	for name, c := range map[string]struct {
		role     string
		given    wiring.Permission
		severity risk.Severity // "": nothing beyond
	}{
		"what it needs":                       {"observer", wiring.Permission{Actions: []string{"microsoft.cache/REDISENTERPRISE/read"}, DataActions: []string{keys + "read"}}, ""},
		"reads more":                          {"observer", actions("*/read"), risk.Low},
		"reads secrets":                       {"observer", data("Microsoft.KeyVault/vaults/secrets/getSecret/action"), risk.Medium},
		"everything":                          {"observer", actions("*"), risk.Critical},
		"everything but what is grave":        {"remediator", wiring.Permission{Actions: []string{"*"}, NotActions: []string{"*/delete", "*/write", "*/purge/action"}}, risk.Medium},
		"nothing, for all is taken out":       {"remediator", wiring.Permission{Actions: []string{"Microsoft.Web/sites/write"}, NotActions: []string{"Microsoft.Web/*"}}, ""},
		"the observer rotates":                {"observer", data(keys + "rotate/action"), risk.Critical},
		"the observer writes clusters":        {"observer", actions("Microsoft.Cache/redisEnterprise/write"), risk.Critical},
		"the remediator rotates":              {"remediator", data(keys + "rotate/action"), risk.Medium},
		"the remediator may grant":            {"remediator", actions("Microsoft.Authorization/roleAssignments/write"), risk.Critical},
		"the remediator purges":               {"remediator", data(keys + "purge/action"), risk.Critical},
		"the remediator may all with keys":    {"remediator", data(keys + "*"), risk.Critical},
		"the remediator deletes vaults":       {"remediator", actions("Microsoft.KeyVault/*"), risk.Critical},
		"an action is no data action":         {"observer", data("Microsoft.Cache/redisEnterprise/read"), risk.Low},
		"the observer sets rotation policies": {"observer", data("Microsoft.KeyVault/vaults/keyrotationpolicies/*"), risk.Critical},
	} {
		h := self.Hold(given(c.role, c.given), needs())
		v := self.JudgeRights(h, false, now)
		if c.severity == "" {
			if v.Answer != risk.OK {
				t.Errorf("%s: %s %s", name, v.Answer, v.Why)
			}
			continue
		}
		if v.Answer != risk.Broken || v.Severity != c.severity || !strings.Contains(v.Why, "at /subscriptions/s") {
			t.Errorf("%s: %s %s: %s, want %s", name, v.Answer, v.Severity, v.Why, c.severity)
		}
	}
}

func TestRightsByAccessPolicy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		role, permission string
		want             risk.Severity
	}{
		{"observer", "GET", ""}, {"observer", "list", risk.Low}, {"observer", "unwrapKey", risk.Medium}, {"observer", "rotate", risk.Critical},
		{"remediator", "rotate", risk.Medium}, {"remediator", "Purge", risk.Critical}, {"remediator", "all", risk.Critical},
	} {
		i := given(c.role, wiring.Permission{})
		i.Policies.Value = []wiring.OwnPolicy{{Vault: "/v", Keys: []string{c.permission}}}
		v := self.JudgeRights(self.Hold(i, needs()), false, now)
		if got := v.Severity; c.want == "" && v.Answer != risk.OK || c.want != "" && (v.Answer != risk.Broken || got != c.want) {
			t.Errorf("%s %s: %s %s", c.role, c.permission, v.Answer, got)
		}
	}
}

// Unknown is never ok, an excess that is seen is told all the same, and our own house is
// no excess.
func TestRightsThatAreNotAllKnown(t *testing.T) {
	t.Parallel()
	plain := func() wiring.OwnIdentity { return given("observer", wiring.Permission{}) }
	for name, change := range map[string]func(*wiring.OwnIdentity){
		"object": func(i *wiring.OwnIdentity) { i.Object = wiring.Failed[string]("c", now, "403") },
		"grants": func(i *wiring.OwnIdentity) { i.Grants = wiring.Failed[[]wiring.OwnGrant]("c", now, "403") },
		"role": func(i *wiring.OwnIdentity) {
			i.Grants.Value[0].Role = wiring.Failed[wiring.RoleDefinition]("c", now, "403")
		},
		"policies": func(i *wiring.OwnIdentity) { i.Policies = wiring.Failed[[]wiring.OwnPolicy]("c", now, "403") },
		"nothing":  func(i *wiring.OwnIdentity) { *i = wiring.OwnIdentity{Role: "observer"} },
	} {
		i := plain()
		change(&i)
		if v := self.JudgeRights(self.Hold(i, needs()), false, now); v.Answer != risk.Unknown {
			t.Errorf("%s unread: %s %s", name, v.Answer, v.Why)
		}
	}
	both := given("observer", wiring.Permission{Actions: []string{"*"}})
	both.Policies = wiring.Failed[[]wiring.OwnPolicy]("c", now, "403")
	if v := self.JudgeRights(self.Hold(both, needs()), false, now); v.Answer != risk.Broken {
		t.Errorf("an excess beside something unread: %s", v.Answer)
	}
	house := given("observer", wiring.Permission{DataActions: []string{"Microsoft.Storage/storageAccounts/blobServices/*"}})
	a := &house.Grants.Value[0].Assignment
	a.RoleID, a.Scope = "/subscriptions/s/providers/Microsoft.Authorization/roleDefinitions/BA92F5B4-2D11-453D-A403-E96B0029C9FE", "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/state"
	if v := self.JudgeRights(self.Hold(house, needs()), false, now); v.Answer != risk.OK {
		t.Errorf("our own state: %s %s", v.Answer, v.Why)
	}
	a.Scope = "/subscriptions/s"
	if v := self.JudgeRights(self.Hold(house, needs()), false, now); v.Answer != risk.Broken {
		t.Errorf("everybody's state: %s", v.Answer)
	}
	if v := self.JudgeRights(self.Hold(plain(), needs()), true, now); v.Answer != risk.Broken || v.Severity != risk.Critical || v.Check != self.Observes {
		t.Errorf("one identity for both: %+v", v)
	}
	many := make([]string, 20)
	for i := range many {
		many[i] = "Microsoft.Web/" + strings.Repeat("x", i+1) + "/write"
	}
	if v := self.JudgeRights(self.Hold(given("remediator", wiring.Permission{Actions: many}), needs()), false, now.Add(time.Hour)); !strings.Contains(v.Why, "and 12 more") || v.Check != self.Remediates {
		t.Errorf("%s", v.Why)
	}
}
