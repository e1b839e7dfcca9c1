package cluster_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cmkguard/internal/azure/azuretest"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/azure/cluster"
	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/wiring"
)

const (
	clusterID  = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg-cache-prod/providers/Microsoft.Cache/redisEnterprise/orders-cache"
	newVersion = "9c1f0e7d3b7a4f0c8a2d6e5b4c3a2f10"
	operation  = "https://management.azure.com/subscriptions/11111111-1111-1111-1111-111111111111/providers/Microsoft.Cache/locations/westeurope/operationsStatus/op?api-version=2025-07-01"
)

func serve(t *testing.T, h http.HandlerFunc) (*cluster.Client, *azuretest.Azure) {
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
	c, err := cluster.New(p, cred, func() time.Time { return time.Unix(1790000000, 0) })
	if err != nil {
		t.Fatal(err)
	}
	return c, a
}

// azure answers GET with the documented cluster, PATCH by patch and the
// operation by status.
func azure(get string, patch http.HandlerFunc, status string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPatch:
			patch(w, r)
		case strings.Contains(r.URL.Path, "operationsStatus"):
			azuretest.JSON(w, 200, status)
		default:
			azuretest.JSON(w, 200, get)
		}
	}
}

func accepted(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Azure-AsyncOperation", operation)
	azuretest.JSON(w, 202, `{}`)
}

func read(t *testing.T, c *cluster.Client) wiring.Cluster {
	t.Helper()
	f := c.Get(context.Background(), azureid.MustResource(clusterID))
	if !f.OK() {
		t.Fatal(f.Why)
	}
	return f.Value
}

func TestGet(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, azure(azuretest.Payload(t, "cluster-get-cmk.json"), nil, ""))
	got := read(t, c)
	if got.Kind != "v2" || got.SKU != "Balanced_B10" || !got.Running() || got.IdentityType != "UserAssigned" || len(got.Identities) != 1 ||
		got.Identities[0].PrincipalID != "22222222-2222-2222-2222-222222222222" || got.CMK == nil ||
		got.CMK.Key.String() != "https://kv-orders-cmk.vault.azure.net/keys/redis-kek/562a4bb76b524a1493a6afe8e536ee78" {
		t.Errorf("%+v", got)
	}
}

func TestGetWithoutCustomerManagedKey(t *testing.T) {
	t.Parallel()
	for _, encryption := range []string{``, `,"encryption":{}`, `,"encryption":{"customerManagedKeyEncryption":{}}`} {
		c, _ := serve(t, azure(`{"id":"`+clusterID+`","kind":"v2","properties":{"provisioningState":"Succeeded"`+encryption+`}}`, nil, ""))
		if got := read(t, c); got.CMK != nil {
			t.Errorf("%q: %+v", encryption, got.CMK)
		}
	}
}

func TestGetKeepsAKeyURLThatItCannotParse(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, azure(`{"id":"`+clusterID+`","properties":{"encryption":{"customerManagedKeyEncryption":{"keyEncryptionKeyUrl":"https://kv.evil.example/keys/k/1"}}}}`, nil, ""))
	got := read(t, c)
	if got.CMK == nil || !got.CMK.Key.IsZero() || got.CMK.KeyProblem == "" || got.CMK.KeyURL != "https://kv.evil.example/keys/k/1" {
		t.Errorf("%+v", got.CMK)
	}
}

func TestGetOfAnotherResourceIsUnreadable(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, azure(strings.ReplaceAll(azuretest.Payload(t, "cluster-get-cmk.json"), "redisEnterprise/orders-cache", "redisEnterprise/other"), nil, ""))
	if f := c.Get(context.Background(), azureid.MustResource(clusterID)); f.State != wiring.Unreadable {
		t.Errorf("%+v", f)
	}
}

func TestRewireSendsTheDocumentedPatchOnceAndFollowsIt(t *testing.T) {
	t.Parallel()
	c, a := serve(t, azure(azuretest.Payload(t, "cluster-get-cmk.json"), accepted, azuretest.Payload(t, "operation-status.json")))
	cl := read(t, c)
	token, err := c.Rewire(context.Background(), cl, cl.CMK.Key.At(newVersion), "id-2")
	if err != nil || token == "" {
		t.Fatalf("token %q, %v", token, err)
	}
	sent := a.Calls()[1]
	var got, want any
	if err := json.Unmarshal([]byte(sent.Body), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(azuretest.Payload(t, "cluster-patch-cmk-version.request.json")), &want); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if sent.Header.Get("x-ms-client-request-id") != "id-2" || sent.Query != "api-version=2025-07-01" {
		t.Errorf("%+v", sent)
	}
	if done, err := c.Poll(context.Background(), token); done || err != nil {
		t.Errorf("an operation that is Updating: %v, %v", done, err)
	}
}

func TestPollTellsAnEndFromAnAnswerThatCouldNotBeHad(t *testing.T) {
	t.Parallel()
	get := azuretest.Payload(t, "cluster-get-cmk.json")
	for name, tc := range map[string]struct {
		status string
		done   bool
		kind   fault.Kind
		says   string
	}{
		"succeeded": {status: `{"status":"Succeeded"}`, done: true},
		"failed":    {status: `{"status":"Failed","error":{"code":"KeyUnreachable","message":"The key cannot be unwrapped."}}`, kind: fault.Conflict, says: "The key cannot be unwrapped."},
		"canceled":  {status: `{"status":"Canceled"}`, kind: fault.Conflict, says: "the operation failed"},
		"garbage":   {status: `{}`, kind: fault.Transient, says: "status"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := serve(t, azure(get, accepted, tc.status))
			cl := read(t, c)
			token, err := c.Rewire(context.Background(), cl, cl.CMK.Key.At(newVersion), "id-2")
			if err != nil {
				t.Fatal(err)
			}
			done, err := c.Poll(context.Background(), token)
			if done != tc.done {
				t.Errorf("done %v (%v)", done, err)
			}
			if tc.says != "" && (fault.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.says)) {
				t.Errorf("got %v: %v", fault.KindOf(err), err)
			}
		})
	}
}

func TestPollWithoutATokenSendsNothing(t *testing.T) {
	t.Parallel()
	c, a := serve(t, accepted)
	for _, token := range []string{"", "junk", `{"type":"other","token":{}}`} {
		if done, err := c.Poll(context.Background(), token); done || !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v, %v", token, done, err)
		}
	}
	if len(a.Calls()) != 0 {
		t.Errorf("%v", a.Calls())
	}
}

func TestAPollingURLOutsideTheCloudIsNotAsked(t *testing.T) {
	t.Parallel()
	c, a := serve(t, azure(azuretest.Payload(t, "cluster-get-cmk.json"), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Azure-AsyncOperation", "https://evil.example/op")
		azuretest.JSON(w, 202, `{}`)
	}, ""))
	cl := read(t, c)
	token, err := c.Rewire(context.Background(), cl, cl.CMK.Key.At(newVersion), "id-2")
	if err != nil {
		t.Fatal(err)
	}
	if done, err := c.Poll(context.Background(), token); done || !fault.Is(err, fault.Invalid) {
		t.Errorf("%v, %v", done, err)
	}
	if len(a.Calls()) != 2 {
		t.Errorf("%v", a.Calls())
	}
}

func TestRewireAnswersOnce(t *testing.T) {
	t.Parallel()
	get := azuretest.Payload(t, "cluster-get-cmk.json")
	for name, tc := range map[string]struct {
		status int
		kind   fault.Kind
	}{"unavailable": {503, fault.Unknown}, "busy": {409, fault.Conflict}, "refused": {403, fault.Denied}, "wrong": {400, fault.Invalid}, "throttled": {429, fault.Transient}} {
		c, a := serve(t, azure(get, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "17")
			azuretest.JSON(w, tc.status, `{"error":{"code":"Oops","message":"x"}}`)
		}, ""))
		cl := read(t, c)
		_, err := c.Rewire(context.Background(), cl, cl.CMK.Key.At(newVersion), "id-2")
		if fault.KindOf(err) != tc.kind || fault.RetryAfter(err) != 17*time.Second || len(a.Calls()) != 2 {
			t.Errorf("%s: %v after %s, %d calls: %v", name, fault.KindOf(err), fault.RetryAfter(err), len(a.Calls()), err)
		}
	}
}

func TestRewireRefusesWhatIsMoreThanAnotherVersion(t *testing.T) {
	t.Parallel()
	c, a := serve(t, azure(azuretest.Payload(t, "cluster-get-cmk.json"), accepted, ""))
	good := read(t, c)
	to := good.CMK.Key.At(newVersion)
	edit := func(f func(*wiring.Cluster)) wiring.Cluster {
		out, cmk := good, *good.CMK
		out.CMK = &cmk
		f(&out)
		return out
	}
	for name, tc := range map[string]struct {
		cl   wiring.Cluster
		to   azureid.Key
		kind fault.Kind
	}{
		"no key":            {edit(func(c *wiring.Cluster) { c.CMK = nil }), to, fault.Conflict},
		"no version":        {good, to.Base(), fault.Invalid},
		"another key":       {good, azureid.Key{Host: to.Host, Name: "other", Version: newVersion}, fault.Invalid},
		"another vault":     {good, azureid.Key{Host: "kv2.vault.azure.net", Name: to.Name, Version: newVersion}, fault.Invalid},
		"detached identity": {edit(func(c *wiring.Cluster) { c.Identities = nil }), to, fault.Conflict},
		"system identity":   {edit(func(c *wiring.Cluster) { c.CMK.IdentityType = "systemAssignedIdentity" }), to, fault.Conflict},
		"no cluster":        {edit(func(c *wiring.Cluster) { c.ID = azureid.Resource{} }), to, fault.Invalid},
	} {
		if _, err := c.Rewire(context.Background(), tc.cl, tc.to, "id-2"); !fault.Is(err, tc.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(a.Calls()) != 1 {
		t.Errorf("something was sent: %v", a.Calls())
	}
}

func TestABrokenAnswerIsNotAskedAgain(t *testing.T) {
	t.Parallel()
	get := azuretest.Payload(t, "cluster-get-cmk.json")
	for name, patch := range map[string]http.HandlerFunc{
		"unavailable": func(w http.ResponseWriter, _ *http.Request) { azuretest.JSON(w, 503, `{}`) },
		"cut":         func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		c, a := serve(t, azure(get, patch, ""))
		cl := read(t, c)
		token, err := c.Rewire(context.Background(), cl, cl.CMK.Key.At(newVersion), "id-2")
		if token != "" || fault.KindOf(err) != fault.Unknown || err == nil || len(a.Calls()) != 2 {
			t.Errorf("%s: %q, %v, %d calls", name, token, err, len(a.Calls()))
		}
	}
}
