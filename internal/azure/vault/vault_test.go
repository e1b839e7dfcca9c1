package vault_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cmkguard/internal/azure/azuretest"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/azure/vault"
	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/wiring"
)

const (
	oldVersion = "562a4bb76b524a1493a6afe8e536ee78"
	newVersion = "9c1f0e7d3b7a4f0c8a2d6e5b4c3a2f10"
)

func start() time.Time { return time.Date(2026, 9, 20, 10, 0, 0, 0, time.UTC) }

func theKey() azureid.Key {
	return azureid.Key{Host: "kv-orders-cmk.vault.azure.net", Name: "redis-kek", Version: oldVersion}
}

func serve(t *testing.T, h http.HandlerFunc) (*vault.Client, *azuretest.Azure) {
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
	c, err := vault.New(p, cred, start)
	if err != nil {
		t.Fatal(err)
	}
	return c, a
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { azuretest.JSON(w, status, body) }
}

func TestRotateIsSentOnceWhateverTheAnswer(t *testing.T) {
	t.Parallel()
	const forbidden = `{"error":{"code":"Forbidden","message":"Caller is not authorized","innererror":{"code":"ForbiddenByRbac"}}}`
	cases := map[string]struct {
		status int
		body   string
		kind   fault.Kind
		code   string
	}{
		"unavailable":   {503, `{"error":{"code":"ServiceUnavailable","message":"x"}}`, fault.Unknown, "ServiceUnavailable"},
		"internal":      {500, `not json`, fault.Unknown, ""},
		"throttled":     {429, `{"error":{"code":"Throttled","message":"x"}}`, fault.Transient, "Throttled"},
		"refused":       {403, forbidden, fault.Denied, "ForbiddenByRbac"},
		"gone":          {404, `{"error":{"code":"KeyNotFound","message":"x"}}`, fault.Invalid, "KeyNotFound"},
		"deleted":       {409, `{"error":{"code":"Conflict","message":"x","innerError":{"code":"ObjectIsDeletedButRecoverable"}}}`, fault.Conflict, "ObjectIsDeletedButRecoverable"},
		"unusable":      {200, `{"key":`, fault.Unknown, ""},
		"other key":     {200, `{"key":{"kid":"https://kv-orders-cmk.vault.azure.net/keys/other/` + newVersion + `"}}`, fault.Unknown, ""},
		"no version":    {200, `{"key":{"kid":"https://kv-orders-cmk.vault.azure.net/keys/redis-kek"}}`, fault.Unknown, ""},
		"foreign vault": {200, `{"key":{"kid":"https://kv.evil.example/keys/redis-kek/` + newVersion + `"}}`, fault.Unknown, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, a := serve(t, answer(tc.status, tc.body))
			_, err := c.Rotate(context.Background(), theKey(), "id-1")
			if fault.KindOf(err) != tc.kind || fault.CodeOf(err) != tc.code {
				t.Errorf("got %v %q (%v), want %v %q", fault.KindOf(err), fault.CodeOf(err), err, tc.kind, tc.code)
			}
			if n := len(a.Calls()); n != 1 {
				t.Errorf("%d requests were sent, want 1", n)
			}
		})
	}
}

func TestRotateNamesItsRequestAndReturnsTheVersion(t *testing.T) {
	t.Parallel()
	c, a := serve(t, answer(200, `{"key":{"kid":"https://kv-orders-cmk.vault.azure.net/keys/redis-kek/`+newVersion+`","kty":"RSA"},"attributes":{"enabled":true}}`))
	got, err := c.Rotate(context.Background(), theKey(), "id-1")
	if err != nil || !got.Equal(theKey().At(newVersion)) {
		t.Fatalf("got %v, %v", got, err)
	}
	call := a.Calls()[0]
	if call.String() != "POST kv-orders-cmk.vault.azure.net/keys/redis-kek/rotate" {
		t.Errorf("call %s", call)
	}
	if call.Header.Get("x-ms-client-request-id") != "id-1" {
		t.Errorf("request id %q", call.Header.Get("x-ms-client-request-id"))
	}
	for _, h := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		if _, ok := call.Header[h]; ok {
			t.Errorf("%s was sent: Go would replay the POST", h)
		}
	}
}

func TestRotateTimedOutIsUnknown(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	c, a := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel() // the request has arrived: its effect may happen
		<-r.Context().Done()
	})
	_, err := c.Rotate(ctx, theKey(), "id-1")
	if fault.KindOf(err) != fault.Unknown || len(a.Calls()) != 1 {
		t.Fatalf("got %v (%v) after %d calls", fault.KindOf(err), err, len(a.Calls()))
	}
}

func TestNothingIsSentOutsideTheCloud(t *testing.T) {
	t.Parallel()
	c, a := serve(t, answer(200, `{}`))
	for _, host := range []string{"kv.evil.example", "kv.vault.azure.net.evil.example", "a.b.vault.azure.net", ".vault.azure.net", ""} {
		k := azureid.Key{Host: host, Name: "redis-kek", Version: oldVersion}
		if _, err := c.Rotate(context.Background(), k, "id-1"); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", host, err)
		}
		if f := c.Versions(context.Background(), k); f.State != wiring.Unreadable {
			t.Errorf("%q: versions %q", host, f.State)
		}
	}
	if len(a.Calls()) != 0 {
		t.Errorf("calls: %v", a.Calls())
	}
}

func TestVersionsFollowPagesAndKeepTheirOrder(t *testing.T) {
	t.Parallel()
	one := azuretest.Payload(t, "key-versions.json")
	c, a := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.RawQuery, "skip") {
			azuretest.JSON(w, 200, one)
			return
		}
		azuretest.JSON(w, 200, `{"value":[{"kid":"https://kv-orders-cmk.vault.azure.net/keys/redis-kek/aa","attributes":{"enabled":false,"created":1900000000}}],
			"nextLink":"https://kv-orders-cmk.vault.azure.net/keys/redis-kek/versions?api-version=2025-07-01&$skiptoken=skip"}`)
	})
	f := c.Versions(context.Background(), theKey())
	if !f.OK() || len(a.Calls()) != 2 {
		t.Fatalf("%+v after %d calls", f, len(a.Calls()))
	}
	var got []string
	for _, v := range f.Value {
		got = append(got, v.Key.Version)
	}
	if d := cmp.Diff([]string{oldVersion, newVersion, "aa"}, got); d != "" {
		t.Error(d)
	}
	if f.Value[2].Enabled || !f.Value[0].Enabled || f.Value[0].RetentionDays != 90 || f.At != start() {
		t.Errorf("%+v", f)
	}
}

func TestAPageOfAnotherHostIsNotAsked(t *testing.T) {
	t.Parallel()
	c, a := serve(t, answer(200, `{"value":[],"nextLink":"https://kv.evil.example/keys/redis-kek/versions"}`))
	f := c.Versions(context.Background(), theKey())
	if f.State != wiring.Unreadable || len(a.Calls()) != 1 {
		t.Fatalf("%+v after %d calls", f, len(a.Calls()))
	}
}

func TestBundle(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, answer(200, azuretest.Payload(t, "key-bundle.json")))
	f := c.Bundle(context.Background(), theKey())
	want := wiring.KeyBundle{Key: theKey(), Type: "RSA-HSM", Bits: 2048, Ops: []string{"wrapKey", "unwrapKey"}, Enabled: true}
	if d := cmp.Diff(want, f.Value); d != "" || !f.OK() {
		t.Errorf("%s %s", f.Why, d)
	}
	if other := c.Bundle(context.Background(), theKey().At(newVersion)); other.State != wiring.Unreadable {
		t.Errorf("an answer about another version was taken: %+v", other)
	}
}

func TestDeletedIsAbsentOnlyWhenTheVaultSaysSo(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status int
		body   string
		want   wiring.State
	}{
		"not deleted":   {404, `{"error":{"code":"KeyNotFound","message":"x"}}`, wiring.Absent},
		"a proxy's 404": {404, `<html>`, wiring.Unreadable},
		"refused":       {403, `{"error":{"code":"Forbidden","message":"x"}}`, wiring.Unreadable},
		"throttled":     {429, `{"error":{"code":"Throttled","message":"x"}}`, wiring.Unreadable},
	} {
		c, _ := serve(t, answer(tc.status, tc.body))
		if f := c.Deleted(context.Background(), theKey()); f.State != tc.want {
			t.Errorf("%s: %q (%s), want %q", name, f.State, f.Why, tc.want)
		}
	}
}

func TestDeletedAndRotationPolicy(t *testing.T) {
	t.Parallel()
	deleted, policy := azuretest.Payload(t, "deleted-key.json"), azuretest.Payload(t, "rotation-policy.json")
	c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/deletedkeys/") {
			azuretest.JSON(w, 200, deleted)
			return
		}
		azuretest.JSON(w, 200, policy)
	})
	d := c.Deleted(context.Background(), theKey())
	if !d.OK() || d.Value.DeletedAt != time.Unix(1782928000, 0).UTC() || d.Value.PurgeAt != time.Unix(1790704000, 0).UTC() {
		t.Errorf("%+v", d)
	}
	want := wiring.RotationPolicy{ExpiryTime: "P2Y", Actions: []wiring.RotationAction{
		{Type: "Rotate", TimeAfterCreate: "P90D"}, {Type: "Notify", TimeBeforeExpiry: "P30D"},
	}}
	if diff := cmp.Diff(want, c.Rotation(context.Background(), theKey()).Value); diff != "" {
		t.Error(diff)
	}
}
