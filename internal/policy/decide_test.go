package policy

import (
	"strings"
	"testing"

	"cmkguard/internal/azureid"
)

const sub = "aaaaaaaa-0000-0000-0000-000000000000"

func target() Target {
	return Target{
		Subscription: sub, ResourceGroup: "RG-Orders", ClusterName: "redis-orders",
		Cluster: "/subscriptions/" + sub + "/resourceGroups/RG-Orders/providers/Microsoft.Cache/redisEnterprise/redis-orders",
		Key:     azureid.Key{Host: "kv-orders.vault.azure.net", Name: "orders-kek"},
		Tags:    map[string]string{"Team": "payments", "env": "prod"},
	}
}

// rule returns a policy with one rule for rotate above a default.
func rule(mode, match, fallback string) string {
	return "version: 1\nremedies: {rotate: " + fallback + "}\nrules:\n- name: one\n  match: " + match + "\n  remedies: {rotate: " + mode + "}\n"
}

func TestMatching(t *testing.T) {
	for match, want := range map[string]bool{
		`{subscriptions: [AAAAAAAA-0000-0000-0000-000000000000]}`: true, `{subscriptions: [b]}`: false,
		`{resourceGroups: [rg-*]}`: true, `{resourceGroups: [orders]}`: false, `{resourceGroups: ["*"]}`: true,
		`{clusters: [REDIS-ORDERS]}`: true, `{clusters: [redis]}`: false, `{clusters: ["*-orders"]}`: true,
		`{clusters: ["/SUBSCRIPTIONS/*/resourcegroups/rg-orders/*"]}`: true, `{clusters: ["/subscriptions/b/*"]}`: false,
		`{keys: [kv-orders/*]}`: true, `{keys: [kv-orders]}`: true, `{keys: ["*/ORDERS-kek"]}`: true, `{keys: [kv-order/*]}`: false,
		`{keys: [kv-orders/orders]}`: false, `{tags: {team: PAYMENTS}}`: true, `{tags: {TEAM: "pay*"}}`: true, `{tags: {team: x}}`: false,
		`{tags: {team: payments, env: dev}}`: false, `{tags: {other: "*"}}`: false,
		`{keys: [x, kv-orders/*], clusters: [redis-orders]}`: true, `{keys: [kv-orders/*], clusters: [other]}`: false,
	} {
		mode, why := parse(t, rule("off", match, "auto")).ModeFor("rotate", target())
		if got := mode == Off; got != want {
			t.Errorf("%s: %s (%s)", match, mode, why)
		}
	}
}

func TestUnknownFactsMatchNothing(t *testing.T) {
	for _, match := range []string{`{clusters: ["*"]}`, `{resourceGroups: ["*"]}`, `{keys: ["*"]}`, `{tags: {a: "*"}}`, `{subscriptions: [a]}`} {
		if mode, why := parse(t, rule("auto", match, "off")).ModeFor("rotate", Target{}); mode != Off {
			t.Errorf("%s: %s (%s)", match, mode, why)
		}
	}
}

func TestTheFirstMatchPerRemedyWins(t *testing.T) {
	p := parse(t, `version: 1
remedies: {rotate: dry-run, rewire: auto}
rules:
  - name: first
    match: {keys: [kv-orders/*]}
    remedies: {rotate: approve}
  - name: second
    match: {clusters: ["redis-*"]}
    remedies: {rotate: auto, rewire: off}
`)
	other := target()
	other.Key = azureid.Key{}
	for _, c := range []struct {
		remedy string
		to     Target
		mode   Mode
		why    string
	}{
		{"rotate", target(), Approve, "policy.yaml:4 rule first"},
		{"rewire", target(), Off, "policy.yaml:7 rule second"},
		{"rotate", other, Auto, "policy.yaml:7 rule second"},
		{"rotate", Target{}, DryRun, "policy.yaml:2 remedies.rotate"},
		{"rewire", Target{}, Auto, "policy.yaml:2 remedies.rewire"},
		{"restore-grant", target(), DryRun, "policy.yaml does not name restore-grant"},
		{"recover-vault", target(), Off, "compiled ceiling off"},
		{"nonsense", target(), DryRun, "policy.yaml does not name nonsense"},
	} {
		if mode, why := p.ModeFor(c.remedy, c.to); mode != c.mode || why != c.why {
			t.Errorf("%s: got %s (%s), want %s (%s)", c.remedy, mode, why, c.mode, c.why)
		}
	}
	if mode, why := Default().ModeFor("rotate", target()); mode != DryRun || !strings.Contains(why, "built-in policy") {
		t.Errorf("default: %s (%s)", mode, why)
	}
}

func TestTagsOnlyTighten(t *testing.T) {
	const byTag = `{tags: {team: payments}}`
	for _, c := range []struct{ rule, fallback, want Mode }{
		{Auto, DryRun, DryRun}, {Auto, Off, Off}, {Approve, Auto, Approve}, {Off, Auto, Off}, {Approve, Approve, Approve},
	} {
		if got, why := parse(t, rule(string(c.rule), byTag, string(c.fallback))).ModeFor("rotate", target()); got != c.want {
			t.Errorf("rule %s over %s: got %s (%s)", c.rule, c.fallback, got, why)
		}
	}
	p := parse(t, rule("auto", byTag, "off")+"- name: two\n  match: {keys: [kv-orders]}\n  remedies: {rotate: approve}\n")
	if got, why := p.ModeFor("rotate", target()); got != Approve || !strings.Contains(why, "rule two; policy.yaml:4 rule one matches by tags") {
		t.Errorf("a later rule: got %s (%s)", got, why)
	}
}

func TestImported(t *testing.T) {
	p := parse(t, "version: 1\nimportedMaterial: [\"kv-byok/*\", kv-hsm, \"*/imported-*\"]\n")
	for id, want := range map[string]bool{
		"kv-byok/a": true, "KV-BYOK/b": true, "kv-hsm/x": true, "kv-orders/imported-1": true, "kv-byok2/a": false, "kv-orders/orders-kek": false,
	} {
		vault, name, _ := strings.Cut(id, "/")
		got, why := p.Imported(azureid.Key{Host: strings.ToLower(vault) + ".vault.azure.net", Name: name, Version: "ab"})
		if got != want || got && !strings.HasPrefix(why, "policy.yaml:2 importedMaterial ") {
			t.Errorf("%s: %v (%s)", id, got, why)
		}
	}
}

func TestScope(t *testing.T) {
	p := parse(t, "version: 1\nscope:\n  subscriptions: ["+strings.ToUpper(sub)+"]\n  exclude: [\"lab-*\", \"*/resourceGroups/rg-old/*\"]\n")
	lab, old, away := target(), target(), target()
	lab.ClusterName, away.Subscription = "LAB-1", "b"
	old.Cluster = strings.Replace(old.Cluster, "RG-Orders", "RG-old", 1)
	for name, c := range map[string]struct {
		to   Target
		want string
	}{
		"in": {target(), ""}, "excluded": {lab, "scope.exclude lab-*"}, "group": {old, "rg-old"}, "other subscription": {away, `does not list "b"`},
		"unknown": {Target{}, `does not list ""`},
	} {
		in, why := p.InScope(c.to)
		if in != (c.want == "") || !strings.Contains(why, c.want) {
			t.Errorf("%s: %v (%s)", name, in, why)
		}
	}
	if in, _ := Default().InScope(Target{}); !in {
		t.Error("the default has no scope to be outside of")
	}
}
