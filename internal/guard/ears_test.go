package guard_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/plan"
	"cmkguard/internal/policy"
)

const settingPath = "/providers/Microsoft.Insights/diagnosticSettings/cmkguard"

func entry(kind, name string, enabled bool) map[string]any {
	return map[string]any{kind: name, "enabled": enabled}
}

// What a diagnostic setting holds beside the audit log stays; another setting is not
// touched; what cannot be is said.
func TestADiagnosticSettingKeepsWhatItHolds(t *testing.T) {
	t.Parallel()
	const policies = "AzurePolicyEvaluationDetails"
	for name, c := range map[string]struct {
		have map[string]map[string]any
		want string // the setting afterwards; "" : nothing changed
		says string
	}{
		"switched off": {map[string]map[string]any{"cmkguard": {"workspaceId": workspace, "metrics": "kept",
			"logs": []any{entry("category", policies, true), entry("category", "AuditEvent", false)}}},
			"map[eventHubAuthorizationRuleId:" + hubRule + " eventHubName:logs logs:[map[category:" + policies + " enabled:true] map[category:AuditEvent enabled:true]] metrics:kept workspaceId:" + workspace + "]", ""},
		"in groups": {map[string]map[string]any{"cmkguard": {"storageAccountId": "/s", "logs": []any{entry("categoryGroup", "other", true)}}},
			"map[eventHubAuthorizationRuleId:" + hubRule + " eventHubName:logs logs:[map[categoryGroup:other enabled:true] map[categoryGroup:audit enabled:true]] storageAccountId:/s workspaceId:" + workspace + "]", ""},
		"to another place": {map[string]map[string]any{"theirs": {"storageAccountId": "/s", "logs": []any{entry("categoryGroup", "allLogs", true)}}},
			"map[eventHubAuthorizationRuleId:" + hubRule + " eventHubName:logs logs:[map[category:AuditEvent enabled:true]] workspaceId:" + workspace + "]", ""},
		"its place is taken": {map[string]map[string]any{"theirs": {"workspaceId": workspace, "logs": []any{entry("category", policies, true)}}}, "", "already used in diagnostic setting 'theirs'"},
		"all is well": {map[string]map[string]any{"one": {"workspaceId": strings.ToUpper(workspace), "logs": []any{entry("category", "AuditEvent", true)}},
			"two": {"eventHubAuthorizationRuleId": hubRule, "logs": []any{entry("categoryGroup", "audit", true)}}}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := young(t, plan.RestoreDiagnostics, nil)
			w.g.Policy.Limits.Risk.AuditTargets = w.g.Policy.Declared.Diagnostics.Destinations()
			w.sim.SetDiagnostics(host, c.have)
			before := fmt.Sprint(w.sim.Diagnostics(host))
			w.look()
			w.run(1)
			after, got := fmt.Sprint(w.sim.Diagnostics(host)), ""
			for _, s := range w.sim.Diagnostics(host) {
				if s["name"] == "cmkguard" {
					got = fmt.Sprint(s["properties"])
				}
			}
			if c.want == "" && after != before || c.want != "" && got != c.want {
				t.Fatalf("%s\nwant %s", got, c.want)
			}
			if w.told.has("", "Stopped: restore-diagnostics") != (c.says != "") || c.says != "" && !w.told.has("", c.says) {
				t.Fatalf("people were not told %q", c.says)
			}
		})
	}
}

// Without a target in the policy there is no plan, and people are told which field
// to set; a target in it is held by the same gates as everything else.
func TestEarsAreNotGuessed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		remedy string
		change func(*world)
		says   string
	}{
		"nothing declared":  {"", func(*world) {}, "set diagnostics"},
		"held by the vault": {plan.RestoreDiagnostics, func(w *world) { w.tagVault("cmkguard-hold") }, "the tag cmkguard-hold is on vault kv-a"},
		"another out of scope": {plan.RestoreDiagnostics, func(w *world) {
			w.addKey("zzz")
			w.g.Policy.Scope.Exclude = []string{"cache-zzz"}
		}, "cache-zzz uses the key too and is out of scope"},
		"off for one key": {plan.RestoreDiagnostics, func(w *world) {
			w.addKey("zzz")
			w.g.Policy.Rules = []policy.Rule{{Name: "no", Match: policy.Match{Keys: []string{"kv-a/zzz"}}, Remedies: map[string]policy.Mode{plan.RestoreDiagnostics: policy.Off}}}
		}, "off (cache-zzz"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := young(t, c.remedy, nil)
			c.change(w)
			w.take(w.sim.ResourceDeleted("Microsoft.Insights/diagnosticSettings/delete", root+"Microsoft.KeyVault/vaults/kv-a"+settingPath))
			w.run(1)
			w.look()
			w.run(1)
			if n := w.sim.Count(http.MethodPut, settingPath); n != 0 {
				t.Fatalf("%d settings were written", n)
			}
			if !w.told.has("CMK-040", c.says) && !w.told.asks(c.says) {
				t.Fatalf("people were not told %q", c.says)
			}
		})
	}
}

func (w *world) tagVault(name string) {
	w.sim.ChangeVault(host, func(v *azuresim.Vault) { v.Tags = map[string]string{name: ""} })
}

// The facts about our ears cost a look at most one call each per vault, and a signal
// about the chain none.
func TestEarsCostTwoCallsALook(t *testing.T) {
	t.Parallel()
	w := young(t, "", nil)
	for n := range 5 {
		w.sim.AddCluster(azuresim.Cluster{ID: clusterNamed(fmt.Sprint("more-", n)), Kind: "v2", SKU: "Balanced_B10", Location: "West Europe",
			CMK: &azuresim.CMK{IdentityType: "userAssignedIdentity", KeyURL: w.key.String()}})
	}
	reads := func() int {
		return w.sim.Count(http.MethodGet, "/diagnosticSettings") + w.sim.Count(http.MethodGet, "/eventSubscriptions")
	}
	w.hint()
	w.run(1)
	if n := reads(); n != 0 {
		t.Fatalf("%d reads by a signal about the chain", n)
	}
	w.g.Reconcile = time.Hour
	must(t, w.g.Sweep(ctx))
	w.turn(&worker{g: w.g, b: w.b})
	if n := reads(); n > 2 {
		t.Fatalf("%d reads by one look at one key of six clusters", n)
	}
}

func leads(to, state string, types ...string) map[string]any {
	out := map[string]any{"provisioningState": state, "destination": map[string]any{"endpointType": "AzureFunction", "properties": map[string]any{"resourceId": to}}}
	if len(types) > 0 {
		out["filter"] = map[string]any{"includedEventTypes": types}
	}
	return out
}

func expired(to, at string) map[string]any {
	out := leads(to, "Succeeded")
	out["expirationTimeUtc"] = at
	return out
}

// An event subscription that is gone, fails or leads elsewhere is put in place; a
// topic that is there is left alone, and so is what others made.
func TestTheVaultsEventsLeadToUsAgain(t *testing.T) {
	t.Parallel()
	theirs := map[string]any{"provisioningState": "Succeeded", "destination": map[string]any{"endpointType": "WebHook", "properties": map[string]any{"endpointBaseUrl": "https://x.example"}}}
	for name, c := range map[string]struct {
		topic string
		have  map[string]map[string]any
		puts  int
		says  string // why it stopped
	}{
		"all is gone":            {"", nil, 2, ""},
		"the subscription":       {"cmkguard-kv-a", map[string]map[string]any{"theirs": theirs}, 1, ""},
		"it fails":               {"cmkguard-kv-a", map[string]map[string]any{"cmkguard": leads(function, "Failed"), "theirs": theirs}, 1, ""},
		"it leads elsewhere":     {"cmkguard-kv-a", map[string]map[string]any{"cmkguard": leads(root+"Microsoft.Web/sites/other/functions/f", "Succeeded")}, 1, ""},
		"it leaves out events":   {"cmkguard-kv-a", map[string]map[string]any{"cmkguard": leads(function, "Succeeded", "Microsoft.KeyVault.KeyNearExpiry")}, 1, ""},
		"it expired":             {"cmkguard-kv-a", map[string]map[string]any{"cmkguard": expired(function, "2026-10-31T00:00:00Z"), "theirs": theirs}, 1, ""},
		"it will expire":         {"cmkguard-kv-a", map[string]map[string]any{"cmkguard": expired(function, "2036-10-31T00:00:00Z")}, 0, ""},
		"another's leads to us":  {"their-topic", map[string]map[string]any{"theirs": leads(strings.ToUpper(function), "Succeeded")}, 0, ""},
		"another topic is there": {"their-topic", map[string]map[string]any{"theirs": theirs}, 1, "Only one system topic is allowed per source"},
		"all is well":            {"cmkguard-kv-a", map[string]map[string]any{"cmkguard": leads(function, "Succeeded")}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := young(t, plan.RecreateEvents, nil)
			w.g.Policy.Limits.Risk.EventTargets = []string{function}
			w.sim.SetEvents(host, c.topic, c.have)
			w.look()
			w.run(1)
			if n := w.changes(); n != c.puts {
				t.Fatalf("%d changes, want %d", n, c.puts)
			}
			_, list := w.sim.Events(host)
			kept := 0
			for _, s := range list {
				if s["name"] == "theirs" && fmt.Sprint(s["properties"]) == fmt.Sprint(c.have["theirs"]) {
					kept++
				}
			}
			if c.have["theirs"] != nil && kept != 1 {
				t.Fatalf("another's subscription was touched: %v", list)
			}
			if w.told.has("", "Stopped: recreate") != (c.says != "") || c.says != "" && !w.told.has("", c.says) {
				t.Fatalf("people were not told %q", c.says)
			}
			if c.says == "" && w.told.has("CMK-063", "") && !w.told.has("CMK-063", "Fixed") {
				t.Fatal("CMK-063 stays open")
			}
		})
	}
}

// A topic of the declared name that is another vault's is left alone; and what was
// just made is seen though Resource Graph does not show it yet.
func TestATopicIsJudgedByItself(t *testing.T) {
	t.Parallel()
	w := young(t, plan.RecreateEvents, func(o *setup) { o.azure.GraphLag = 3 * time.Hour })
	w.sim.Clock().Advance(4 * time.Hour)
	w.look()
	w.run(1)
	if !w.hears() || !w.told.has("CMK-063", "Fixed") {
		t.Fatal("what was made is not seen")
	}
	w = young(t, plan.RecreateEvents, nil)
	w.sim.AddVault(azuresim.Vault{ID: azureid.MustResource(root + "Microsoft.KeyVault/vaults/kv-b"), Location: "westeurope"})
	w.sim.SetEvents("kv-b.vault.azure.net", "cmkguard-kv-a", nil)
	w.look()
	w.run(1)
	if w.changes() != 0 || !w.told.has("", "the topic is of ") {
		t.Fatalf("%d changes to another vault's topic", w.changes())
	}
}

// Events may lead to a queue, which takes an identity.
func TestEventsLeadToAQueue(t *testing.T) {
	t.Parallel()
	w := young(t, plan.RecreateEvents, func(o *setup) {
		o.declare.Events.Function, o.declare.Events.Account, o.declare.Events.Queue = "", deadStore, "cmkguard-events"
	})
	w.look()
	w.run(1)
	_, list := w.sim.Events(host)
	if len(list) != 1 || !w.told.has("CMK-063", "Fixed") {
		t.Fatalf("%v", list)
	}
	got := fmt.Sprint(list[0]["properties"].(map[string]any)["deliveryWithResourceIdentity"])
	for _, part := range []string{"StorageQueue", "cmkguard-events", deadStore, delivery, "UserAssigned"} {
		if !strings.Contains(got, part) {
			t.Errorf("%s lacks %s", got, part)
		}
	}
}
