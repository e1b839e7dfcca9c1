package posture_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cmkguard/internal/azure/azuretest"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/azure/posture"
	"cmkguard/internal/azureid"
	"cmkguard/internal/wiring"
)

const (
	sub     = "11111111-1111-1111-1111-111111111111"
	rg      = "/subscriptions/" + sub + "/resourceGroups/rg-cache-prod"
	vaultID = rg + "/providers/Microsoft.KeyVault/vaults/kv-orders-cmk"
	cluster = rg + "/providers/Microsoft.Cache/redisEnterprise/orders-cache"
)

func serve(t *testing.T, h http.HandlerFunc) (*posture.Client, *azuretest.Azure) {
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
	c, err := posture.New(p, cred, func() time.Time { return time.Unix(1790000000, 0) })
	if err != nil {
		t.Fatal(err)
	}
	return c, a
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { azuretest.JSON(w, status, body) }
}

func vault() azureid.Resource { return azureid.MustResource(vaultID) }

func TestNewWantsACredential(t *testing.T) {
	t.Parallel()
	if _, err := posture.New(cloud.Profile{}, nil, time.Now); err == nil {
		t.Error("a client without a credential")
	}
}

func TestAListIsReadWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	const one = `{"name":"a","properties":{"level":"CanNotDelete"},"id":"` + rg + `/providers/Microsoft.Authorization/locks/a"}`
	for name, r := range map[string]struct {
		pages []string
		state wiring.State
		n     int
	}{
		"two pages":      {[]string{`{"value":[` + one + `],"nextLink":"https://management.azure.com/subscriptions/x/next?api-version=1"}`, `{"value":[` + one + `]}`}, wiring.Known, 2},
		"another host":   {[]string{`{"value":[` + one + `],"nextLink":"https://evil.example/next"}`}, wiring.Unreadable, 0},
		"no longer TLS":  {[]string{`{"value":[` + one + `],"nextLink":"http://management.azure.com/next"}`}, wiring.Unreadable, 0},
		"bad link":       {[]string{`{"value":[` + one + `],"nextLink":"https://%zz"}`}, wiring.Unreadable, 0},
		"no list":        {[]string{`{}`}, wiring.Unreadable, 0},
		"an empty list":  {[]string{`{"value":[]}`}, wiring.Known, 0},
		"null":           {[]string{`{"value":null}`}, wiring.Unreadable, 0},
		"not JSON":       {[]string{`<html>`}, wiring.Unreadable, 0},
		"second refused": {[]string{`{"value":[` + one + `],"nextLink":"https://management.azure.com/next?a=1"}`, ""}, wiring.Unreadable, 0},
	} {
		n := 0
		c, a := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			page := r.pages[min(n, len(r.pages)-1)]
			if n++; page == "" {
				azuretest.JSON(w, 403, `{"error":{"code":"AuthorizationFailed","message":"x"}}`)
				return
			}
			azuretest.JSON(w, 200, page)
		})
		f := c.Locks(context.Background(), sub)
		if f.State != r.state || len(f.Value) != r.n || f.Call == "" || strings.Contains(f.Call, "?") || (f.State != wiring.Known) == (f.Why == "") {
			t.Errorf("%s: %+v", name, f)
		}
		if name == "another host" && len(a.Calls()) != 1 {
			t.Errorf("the token went to %v", a.Calls())
		}
	}
}

func TestAListThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, answer(200, `{"value":[],"nextLink":"https://management.azure.com/again?api-version=1"}`))
	if f := c.Locks(context.Background(), sub); f.State != wiring.Unreadable || !strings.Contains(f.Why, "does not end") {
		t.Errorf("%+v", f)
	}
}

func TestStatesOfARead(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]wiring.State{
		`{"error":{"code":"ResourceNotFound","message":"x"}}`:    wiring.Absent,
		`{"error":{"code":"AuthorizationFailed","message":"x"}}`: wiring.Unreadable,
	} {
		status := 404
		if want == wiring.Unreadable {
			status = 403
		}
		c, _ := serve(t, answer(status, body))
		if f := c.Defender(context.Background(), sub); f.State != want || f.Why == "" {
			t.Errorf("%s: %+v", body, f)
		}
	}
}

func TestDiagnosticsKeepWhatIsSent(t *testing.T) {
	t.Parallel()
	c, a := serve(t, answer(200, `{"value":[
		{"name":"w","properties":{"workspaceId":"/w","logs":[{"category":"AuditEvent","enabled":true},{"category":"AzurePolicyEvaluationDetails","enabled":false}]}},
		{"name":"h","properties":{"eventHubAuthorizationRuleId":"/h","logs":[{"categoryGroup":"allLogs","enabled":true}]}},
		{"name":"n","properties":{"logs":[]}}]}`))
	want := []wiring.DiagnosticSetting{{Name: "w", Logs: []string{"AuditEvent"}, Destinations: []string{"/w"}}, {Name: "h", Logs: []string{"allLogs"}, Destinations: []string{"/h"}}, {Name: "n", Destinations: []string{}}}
	if diff := cmp.Diff(want, c.Diagnostics(context.Background(), vault()).Value); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if p := a.Calls()[0].Path; p != vaultID+"/providers/Microsoft.Insights/diagnosticSettings" {
		t.Error(p)
	}
}

func TestContentsAreNamesOfBothLists(t *testing.T) {
	t.Parallel()
	c, a := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/secrets") {
			azuretest.JSON(w, 200, `{"value":[{"name":"db"}]}`)
			return
		}
		azuretest.JSON(w, 200, `{"value":[{"name":"redis-kek"},{"name":"sql"}]}`)
	})
	f := c.Contents(context.Background(), vault())
	if diff := cmp.Diff(wiring.Contents{Keys: []string{"redis-kek", "sql"}, Secrets: []string{"db"}}, f.Value); diff != "" || !f.OK() {
		t.Errorf("%s %s", diff, f.Why)
	}
	for _, call := range a.Calls() {
		if call.Host != "management.azure.com" {
			t.Errorf("the data plane was asked: %s", call)
		}
	}
}

func TestMetricsWithoutAPointAreUnreadable(t *testing.T) {
	t.Parallel()
	const av = `{"name":{"value":"Availability"},"timeseries":[{"data":[{"average":10},{"average":99.5}]}]}`
	for name, r := range map[string]struct {
		body string
		want wiring.Fact[wiring.VaultMetrics]
	}{
		"both":     {`{"value":[` + av + `,{"name":{"value":"saturationshoebox"},"timeseries":[{"data":[{"maximum":76}]}]}]}`, wiring.Read(wiring.VaultMetrics{Availability: 99.5, Saturation: 76}, "", time.Time{})},
		"one":      {`{"value":[` + av + `]}`, wiring.Fact[wiring.VaultMetrics]{State: wiring.Unreadable}},
		"no point": {`{"value":[` + av + `,{"name":{"value":"SaturationShoebox"},"timeseries":[{"data":[{"timeStamp":"x"}]}]}]}`, wiring.Fact[wiring.VaultMetrics]{State: wiring.Unreadable}},
		"none":     {`{"value":[]}`, wiring.Fact[wiring.VaultMetrics]{State: wiring.Unreadable}},
	} {
		c, _ := serve(t, answer(200, r.body))
		f := c.Metrics(context.Background(), vault())
		if f.State != r.want.State || f.Value != r.want.Value {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestDatabases(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, answer(200, `{"value":[`+azuretest.Payload(t, "database-get.json")+`,{"name":"geo","properties":{"persistence":{"aofEnabled":true},
		"geoReplication":{"groupNickname":"orders","linkedDatabases":[{"id":"`+cluster+`/databases/default"},{"id":"`+cluster+`-2/DATABASES/default"}]}}}]}`))
	want := []wiring.Database{{Name: "default", RDB: true}, {Name: "geo", AOF: true, GeoGroup: "orders",
		Linked: []azureid.Resource{azureid.MustResource(cluster), azureid.MustResource(cluster + "-2")}}}
	got := c.Databases(context.Background(), azureid.MustResource(cluster))
	if diff := cmp.Diff(want, got.Value, cmp.Comparer(func(a, b azureid.Resource) bool { return a.Equal(b) })); diff != "" {
		t.Errorf("(-want +got):\n%s%s", diff, got.Why)
	}
	c, _ = serve(t, answer(200, `{"value":[{"name":"geo","properties":{"geoReplication":{"linkedDatabases":[{"id":"nonsense"}]}}}]}`))
	if f := c.Databases(context.Background(), azureid.MustResource(cluster)); f.State != wiring.Unreadable {
		t.Errorf("a member that cannot be told: %+v", f)
	}
}

func TestDeletedVaultsAndPlan(t *testing.T) {
	t.Parallel()
	c, a := serve(t, answer(200, `{"value":[`+azuretest.Payload(t, "deleted-vault-get.json")+`]}`))
	f := c.DeletedVaults(context.Background(), sub)
	if len(f.Value) != 1 || f.Value[0].ID.Name() != "sample-vault" || !f.Value[0].Protected || f.Value[0].PurgeAt.IsZero() {
		t.Errorf("%+v", f)
	}
	if q := a.Calls()[0].Query; q != "api-version=2026-02-01" {
		t.Errorf("older control-plane versions retire: %s", q)
	}
	for tier, want := range map[string]bool{"Standard": true, "standard": true, "Free": false} {
		c, _ := serve(t, answer(200, `{"properties":{"pricingTier":"`+tier+`"}}`))
		if f := c.Defender(context.Background(), sub); !f.OK() || f.Value != want {
			t.Errorf("%s: %+v", tier, f)
		}
	}
	c, _ = serve(t, answer(200, `{"properties":{}}`))
	if f := c.Defender(context.Background(), sub); f.OK() {
		t.Errorf("an answer without a plan: %+v", f)
	}
}
