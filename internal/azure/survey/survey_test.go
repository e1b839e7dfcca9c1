package survey_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azure/azuretest"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/azure/survey"
	"cmkguard/internal/azureid"
	"cmkguard/internal/wiring"
)

const (
	sub  = "11111111-1111-1111-1111-111111111111"
	base = "/subscriptions/" + sub + "/resourceGroups/rg-cache-prod/providers/"
	kek  = "https://kv-orders-cmk.vault.azure.net/keys/redis-kek/562a4bb76b524a1493a6afe8e536ee78"
)

// world answers with the documented bodies; a test replaces some by path.
type world struct {
	bodies map[string]string // by a part of the path
	status map[string]int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	get := func(name string) string { return azuretest.Payload(t, name) }
	orders := get("cluster-get-cmk.json")
	second := strings.ReplaceAll(orders, "redisEnterprise/orders-cache", "redisEnterprise/second-cache")
	list := func(s string) string { return `{"value":[` + s + `]}` }
	return &world{status: map[string]int{"/deletedkeys/": 404}, bodies: map[string]string{
		"redisEnterprise/orders-cache": orders, "redisEnterprise/second-cache": second,
		"/deletedkeys/":                     `{"error":{"code":"KeyNotFound","message":"x"}}`,
		"/keys/redis-kek/versions":          get("key-versions.json"),
		"/keys/redis-kek/562a":              get("key-bundle.json"),
		"/keys/redis-kek/rotationpolicy":    get("rotation-policy.json"),
		"userAssignedIdentities/":           `{"properties":{"principalId":"22222222-2222-2222-2222-222222222222","clientId":"c","tenantId":"44444444-4444-4444-4444-444444444444"}}`,
		"vaults/kv-orders-cmk":              get("vault-get-rbac.json"),
		"Microsoft.Authorization/roleAssig": list(get("role-assignment.json")),
		"Microsoft.Authorization/roleDefin": `{"id":"/x","properties":{"roleName":"Key Vault Crypto Service Encryption User","permissions":[{"dataActions":["Microsoft.KeyVault/vaults/keys/read","Microsoft.KeyVault/vaults/keys/wrap/action","Microsoft.KeyVault/vaults/keys/unwrap/action"],"notDataActions":[]}]}}`,
		"Microsoft.Authorization/denyAssig": list(""),
		"Microsoft.Authorization/permissio": list(`{"actions":["*/read"]}`),
		"/subscriptions/" + sub:             `{"state":"Enabled"}`,
		"clusters query": `[{"id":"` + base + `Microsoft.Cache/redisEnterprise/orders-cache","kekUrl":"` + kek + `"},
			{"id":"` + base + `Microsoft.Cache/redisEnterprise/second-cache","kekUrl":"` + kek + `"},
			{"id":"` + base + `Microsoft.Cache/redisEnterprise/plain","kekUrl":""},
			{"id":"` + base + `Microsoft.Cache/redisEnterprise/other","kekUrl":"https://kv-other.vault.azure.net/keys/k/aa"}]`,
		"vaults query": `[{"id":"` + base + `Microsoft.KeyVault/vaults/kv-orders-cmk","vaultHost":"kv-orders-cmk.vault.azure.net"}]`,
	}}
}

// ServeHTTP answers by the part that the path holds farthest to the right, so that /providers/Microsoft.Authorization/... wins over the
// resource that it hangs on.
func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/Microsoft.ResourceGraph/resources") {
		w.graph(rw, r)
		return
	}
	best, at := "", -1
	for part := range w.bodies {
		if i := strings.LastIndex(strings.ToLower(r.URL.Path), strings.ToLower(part)); i > at {
			best, at = part, i
		}
	}
	if best == "" {
		azuretest.JSON(rw, 500, `{"error":{"code":"Test","message":"no answer for `+r.URL.Path+`"}}`)
		return
	}
	status := w.status[best]
	if status == 0 {
		status = 200
	}
	azuretest.JSON(rw, status, w.bodies[best])
}

func (w *world) graph(rw http.ResponseWriter, r *http.Request) {
	name := "clusters query"
	if r.Header.Get("X-Test-Body") == "vaults" {
		name = "vaults query"
	}
	azuretest.JSON(rw, max(w.status[name], 200), `{"count":1,"resultTruncated":"false","data":`+w.bodies[name]+`}`)
}

func run(t *testing.T, w *world) (*survey.Run, *azuretest.Azure) {
	t.Helper()
	var a *azuretest.Azure
	a = azuretest.Serve(t, func(rw http.ResponseWriter, r *http.Request) {
		calls := a.Calls()
		if strings.Contains(calls[len(calls)-1].Body, "microsoft.keyvault/vaults") {
			r.Header.Set("X-Test-Body", "vaults")
		}
		w.ServeHTTP(rw, r)
	})
	p, err := cloud.Load(a.Profile)
	if err != nil {
		t.Fatal(err)
	}
	cred, err := p.Credential("")
	if err != nil {
		t.Fatal(err)
	}
	s, err := survey.Connect(p, cred, []string{sub}, func() time.Time { return time.Unix(1790000000, 0) })
	if err != nil {
		t.Fatal(err)
	}
	return s.Run(), a
}

func orders() azureid.Resource {
	return azureid.MustResource(base + "Microsoft.Cache/redisEnterprise/orders-cache")
}

func second() azureid.Resource {
	return azureid.MustResource(base + "Microsoft.Cache/redisEnterprise/second-cache")
}

func TestWiringReadsTheWholeChainAndSharesIt(t *testing.T) {
	t.Parallel()
	r, a := run(t, newWorld(t))
	w := r.Wiring(context.Background(), orders())
	for name, s := range map[string]wiring.Fact[bool]{
		"cluster": {State: w.Cluster.State, Why: w.Cluster.Why}, "identity": {State: w.Identity.State, Why: w.Identity.Why},
		"vault": {State: w.Vault.State, Why: w.Vault.Why}, "versions": {State: w.Versions.State, Why: w.Versions.Why},
		"bundle": {State: w.InUse.State, Why: w.InUse.Why}, "rotation": {State: w.Rotation.State, Why: w.Rotation.Why},
		"assignments": {State: w.Assignments.State, Why: w.Assignments.Why}, "definitions": {State: w.Definitions.State, Why: w.Definitions.Why},
		"denies": {State: w.Denies.State, Why: w.Denies.Why},
	} {
		if !s.OK() {
			t.Errorf("%s: %q %s", name, s.State, s.Why)
		}
	}
	if w.Deleted.State != wiring.Absent {
		t.Errorf("deleted: %+v", w.Deleted)
	}
	before := len(a.Calls())
	if again := r.Wiring(context.Background(), second()); !again.Versions.OK() || len(a.Calls()) != before+1 {
		t.Errorf("a second cluster of the same key took %d calls, want 1", len(a.Calls())-before)
	}
}

func TestABrokenLinkLeavesTheRestReadOrSaysWhy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.status["/keys/redis-kek/versions"], w.bodies["/keys/redis-kek/versions"] = 403, `{"error":{"code":"Forbidden","message":"x","innererror":{"code":"ForbiddenByFirewall"}}}`
	w.bodies["vaults query"] = `[]`
	r, _ := run(t, w)
	got := r.Wiring(context.Background(), orders())
	if got.Versions.State != wiring.Unreadable || !strings.Contains(got.Versions.Why, "ForbiddenByFirewall") {
		t.Errorf("%+v", got.Versions)
	}
	if got.Vault.State != wiring.Unreadable { // not to be seen is not absent
		t.Errorf("%+v", got.Vault)
	}
	if got.Assignments.State != wiring.NotRead || !got.Identity.OK() || !got.InUse.OK() {
		t.Errorf("%+v", got)
	}
}

func TestConsumersAreReadAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.bodies["redisEnterprise/second-cache"] = strings.ReplaceAll(w.bodies["redisEnterprise/second-cache"], "keys/redis-kek", "keys/moved-away")
	r, _ := run(t, w)
	key := azureid.Key{Host: "kv-orders-cmk.vault.azure.net", Name: "REDIS-KEK", Version: "aa"}
	c := r.Consumers(context.Background(), key)
	if !c.Complete || len(c.Clusters) != 1 || !c.Clusters[0].ID.Equal(orders()) {
		t.Errorf("%+v", c)
	}
	list, complete, why := r.ClustersOfVault(context.Background(), azureid.MustResource(base+"Microsoft.KeyVault/vaults/KV-orders-cmk"))
	if len(list) != 2 || !complete {
		t.Errorf("%d clusters, %v %s", len(list), complete, why)
	}
	if ids, complete, _ := r.All(context.Background()); len(ids) != 4 || !complete {
		t.Errorf("%v", ids)
	}
}

func TestWhatCannotBeSeenMakesConsumersIncomplete(t *testing.T) {
	t.Parallel()
	for name, break_ := range map[string]func(*world){
		"no right":   func(w *world) { w.bodies["Microsoft.Authorization/permissio"] = `{"value":[]}` },
		"no answer":  func(w *world) { w.status["Microsoft.Authorization/permissio"] = 403 },
		"no list":    func(w *world) { w.status["clusters query"] = 429 },
		"one hidden": func(w *world) { w.status["redisEnterprise/second-cache"] = 403 },
		"unknown host": func(w *world) {
			w.bodies["clusters query"] = strings.Replace(w.bodies["clusters query"], "kv-other.vault.azure.net", "kv.evil.example", 1)
		},
	} {
		w := newWorld(t)
		break_(w)
		r, _ := run(t, w)
		c := r.Consumers(context.Background(), azureid.Key{Host: "kv-orders-cmk.vault.azure.net", Name: "redis-kek"})
		if c.Complete || c.Why == "" {
			t.Errorf("%s: %+v", name, c)
		}
	}
}
