package graph_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azure/azuretest"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/azure/graph"
	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
)

const sub = "11111111-1111-1111-1111-111111111111"

func serve(t *testing.T, h http.HandlerFunc) (*graph.Client, *azuretest.Azure) {
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
	c, err := graph.New(p, cred)
	if err != nil {
		t.Fatal(err)
	}
	return c, a
}

func row(name, key string) string {
	return `{"id":"/subscriptions/` + sub + `/resourceGroups/rg/providers/Microsoft.Cache/redisEnterprise/` + name + `","kekUrl":"` + key + `"}`
}

func TestClustersFollowSkipTokens(t *testing.T) {
	t.Parallel()
	n := 0
	c, a := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if n++; n == 1 {
			azuretest.JSON(w, 200, `{"count":1,"resultTruncated":"false","$skipToken":"next","data":[`+row("a", "https://kv.vault.azure.net/keys/k/aa")+`]}`)
			return
		}
		azuretest.JSON(w, 200, `{"count":2,"resultTruncated":"false","data":[`+row("b", "")+`,`+row("c", "https://evil.example/keys/k/aa")+`]}`)
	})
	rows, err := c.Clusters(context.Background(), []string{sub})
	if err != nil || len(rows) != 3 || rows[0].Key.Name != "k" || rows[1].KeyURL != "" || !rows[2].Key.IsZero() || rows[2].KeyURL == "" {
		t.Fatalf("%+v, %v", rows, err)
	}
	if !strings.Contains(a.Calls()[1].Body, `"next"`) {
		t.Errorf("the token was not sent: %s", a.Calls()[1].Body)
	}
}

func TestAQueryIsNeverSilentlyShort(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status int
		body   string
		kind   fault.Kind
	}{
		"cut off":   {200, `{"count":1,"resultTruncated":"true","data":[]}`, fault.Invalid},
		"throttled": {429, `{"error":{"code":"RateLimiting","message":"x"}}`, fault.Transient},
		"refused":   {403, `{"error":{"code":"AuthorizationFailed","message":"x"}}`, fault.Denied},
		"not rows":  {200, `{"count":1,"resultTruncated":"false","data":"x"}`, fault.Invalid},
	} {
		c, a := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("x-ms-user-quota-resets-after", "00:00:05")
			azuretest.JSON(w, tc.status, tc.body)
		})
		rows, err := c.Clusters(context.Background(), []string{sub})
		if !fault.Is(err, tc.kind) || rows != nil || len(a.Calls()) != 1 {
			t.Errorf("%s: %v, %v, %d calls", name, rows, err, len(a.Calls()))
		}
		if tc.status == 429 && fault.RetryAfter(err) != 5*time.Second {
			t.Errorf("retry after %s", fault.RetryAfter(err))
		}
	}
	c, a := serve(t, nil)
	if _, err := c.Clusters(context.Background(), nil); !fault.Is(err, fault.Invalid) || len(a.Calls()) != 0 {
		t.Errorf("no subscription would mean all of them: %v", err)
	}
}

func TestSubscriptionsGoInGroups(t *testing.T) {
	t.Parallel()
	c, a := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		azuretest.JSON(w, 200, `{"count":0,"resultTruncated":"false","data":[]}`)
	})
	subs := make([]string, 205)
	for i := range subs {
		subs[i] = fmt.Sprintf("s%d", i)
	}
	if _, err := c.Clusters(context.Background(), subs); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, call := range a.Calls() {
		var q struct{ Subscriptions []string }
		if err := json.Unmarshal([]byte(call.Body), &q); err != nil {
			t.Fatal(err)
		}
		seen += len(q.Subscriptions)
	}
	if len(a.Calls()) != 3 || seen != 205 {
		t.Errorf("%d subscriptions in %d calls", seen, len(a.Calls()))
	}
}

func TestVaultByHost(t *testing.T) {
	t.Parallel()
	c, a := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		azuretest.JSON(w, 200, `{"count":1,"resultTruncated":"false","data":[{"id":"/subscriptions/`+sub+`/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/kv","vaultHost":"kv.vault.azure.net"}]}`)
	})
	id, ok, err := c.VaultByHost(context.Background(), []string{sub}, "KV.vault.azure.net")
	if err != nil || !ok || id.Type() != azureid.TypeVault {
		t.Errorf("%v %v %v", id, ok, err)
	}
	if _, ok, err := c.VaultByHost(context.Background(), []string{sub}, "other.vault.azure.net"); ok || err != nil {
		t.Errorf("a row of another host was taken: %v", err)
	}
	if _, _, err := c.VaultByHost(context.Background(), []string{sub}, "x' or '1'=='1"); !fault.Is(err, fault.Invalid) || len(a.Calls()) != 2 {
		t.Errorf("a quote went into the query: %v", err)
	}
}

func TestSight(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		sub         int
		permissions string
		lack        string // what may hide clusters
		untold      bool   // it could not be told
	}{
		"reader":         {200, `[{"actions":["*/read"],"notActions":[]}]`, "", false},
		"exact":          {200, `[{"actions":["microsoft.cache/redisenterprise/read"],"notActions":[]}]`, "", false},
		"second block":   {200, `[{"actions":["*"],"notActions":["Microsoft.Cache/*"]},{"actions":["Microsoft.Cache/*/read"]}]`, "", false},
		"taken away":     {200, `[{"actions":["*"],"notActions":["Microsoft.Cache/*"]}]`, "do not hold Microsoft.Cache/redisEnterprise/read", false},
		"others only":    {200, `[{"actions":["Microsoft.Cache/redis/read","*/write"],"notActions":[]}]`, "do not hold", false},
		"none":           {200, `[]`, "do not hold", false},
		"not there":      {404, `[{"actions":["*"]}]`, "it could not be read", false},
		"refused":        {403, `[{"actions":["*"]}]`, "HTTP 403", false},
		"throttled":      {429, `[{"actions":["*"]}]`, "", true},
		"not verifiable": {200, `nonsense`, "", true},
	} {
		c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/permissions") {
				azuretest.JSON(w, 200, `{"value":`+tc.permissions+`}`)
				return
			}
			azuretest.JSON(w, tc.sub, `{"state":"Enabled"}`)
		})
		lack, err := c.Sight(context.Background(), sub)
		if (err != nil) != tc.untold || (lack != "") != (tc.lack != "") || !strings.Contains(lack, tc.lack) {
			t.Errorf("%s: %q %v", name, lack, err)
		}
	}
}
