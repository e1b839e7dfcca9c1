package cloud_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"cmkguard/internal/azure/azuretest"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/fault"
)

func write(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cloud.json")
	if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBuiltInClouds(t *testing.T) {
	t.Parallel()
	for name, arm := range map[string]string{
		"": "https://management.azure.com", "public": "https://management.azure.com",
		"usgov": "https://management.usgovcloudapi.net", "china": "https://management.chinacloudapi.cn",
	} {
		if p, err := cloud.Load(name); err != nil || p.ARM != arm || p.Token != "" {
			t.Errorf("%q: %+v, %v", name, p, err)
		}
	}
}

func TestLoadReportsEveryProblemAtOnce(t *testing.T) {
	t.Parallel()
	_, err := cloud.Load(write(t, `{"name":"x","authority":"http://a","arm":"","armAudience":"https://a","vaultAudience":"https://v",
		"gridAudience":"https://g","vaultSuffixes":["vault.x"],"dial":{"nohost":"127.0.0.1:1"},"caFile":"missing.pem"}`))
	if !fault.Is(err, fault.Invalid) {
		t.Fatal(err)
	}
	for _, want := range []string{"authority:", "arm:", `suffix "vault.x"`, `"nohost"`, "caFile:"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}

func TestLoadRefusesUnknownFieldsAndMissingFiles(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{write(t, `{"name":"public","tokn":"x"}`), write(t, `{"name":"public"} {}`), write(t, `[]`), "/no/such/file", "Publik"} {
		if _, err := cloud.Load(setting); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", setting, err)
		}
	}
}

const allLocal = `"management.azure.com:443":"127.0.0.1:1","login.microsoftonline.com:443":"[::1]:1","*.vault.azure.net:443":"localhost:1","*.managedhsm.azure.net:443":"127.0.0.1:1"`

func TestTokenAndClockOnlyWhereEverythingIsLocal(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		body string
		ok   bool
	}{
		"all local":           {`{"name":"public","token":"t","clock":"http://127.0.0.1:9/clock","dial":{` + allLocal + `}}`, true},
		"nothing dialled":     {`{"name":"public","token":"t"}`, false},
		"one vault elsewhere": {`{"name":"public","token":"t","dial":{` + allLocal + `,"kv.vault.azure.net:443":"10.0.0.1:443"}}`, false},
		"clock elsewhere":     {`{"name":"public","clock":"http://time.example/","dial":{` + allLocal + `}}`, false},
		"a name for loopback": {`{"name":"public","token":"t","dial":{` + strings.Replace(allLocal, "[::1]:1", "loopback.example:1", 1) + `}}`, false},
		"hsm left out":        {`{"name":"public","token":"t","dial":{` + strings.Split(allLocal, `,"*.managed`)[0] + `}}`, false},
	} {
		if _, err := cloud.Load(write(t, tc.body)); (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOnlyHostsOfTheCloudAreCalled(t *testing.T) {
	t.Parallel()
	p, err := cloud.Load("public")
	if err != nil {
		t.Fatal(err)
	}
	for raw, ok := range map[string]bool{
		"https://management.azure.com/x": true, "https://kv.vault.azure.net/keys": true, "https://h.managedhsm.azure.net/": true,
		"https://t.westeurope-1.eventgrid.azure.net/api/events": true,
		"http://management.azure.com/":                          false, "https://management.azure.com:8443/": false,
		"https://management.azure.com.evil.example/": false, "https://evil.example/": false,
		"https://kv.vault.azure.net:8443/": false, "https://u:p@kv.vault.azure.net/": false, "https://eventgrid.azure.net.evil.example/": false,
		"https://kv.vault.usgovcloudapi.net/": false,
	} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.CheckHost(u); (got == nil) != ok {
			t.Errorf("%s: %v", raw, got)
		}
	}
}

func TestTheTestTokenStaysOnThisMachine(t *testing.T) {
	t.Parallel()
	p, err := cloud.Load(write(t, `{"name":"public","token":"t","dial":{`+allLocal+`}}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.CheckHost(&url.URL{Scheme: "https", Host: "t.eventgrid.azure.net"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("an Event Grid topic that is not dialled: %v", err)
	}
}

func TestCredentialKnowsItsAudiences(t *testing.T) {
	t.Parallel()
	p, err := cloud.Load(write(t, `{"name":"public","token":"t","dial":{`+allLocal+`}}`))
	if err != nil {
		t.Fatal(err)
	}
	c, err := p.Credential("any")
	if err != nil {
		t.Fatal(err)
	}
	for scope, ok := range map[string]bool{
		"https://management.core.windows.net//.default": true, "https://vault.azure.net/.default": true,
		"https://managedhsm.azure.net/.default": true, "https://eventgrid.azure.net/.default": true,
		"https://graph.microsoft.com/.default": false, "https://vault.usgovcloudapi.net/.default": false, "": false,
	} {
		_, err := c.GetToken(context.Background(), policy.TokenRequestOptions{Scopes: []string{scope}})
		if (err == nil) != ok || err != nil && !fault.Is(err, fault.Denied) {
			t.Errorf("%q: %v", scope, err)
		}
	}
	if _, err := c.GetToken(context.Background(), policy.TokenRequestOptions{}); !fault.Is(err, fault.Denied) {
		t.Errorf("no scope: %v", err)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	a := azuretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://kv.vault.azure.net/stolen", http.StatusTemporaryRedirect)
	})
	p, err := cloud.Load(a.Profile)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, "https://management.azure.com/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+azuretest.Token)
	resp, err := p.HTTPClient().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusTemporaryRedirect || len(a.Calls()) != 1 {
		t.Errorf("%d after %v", resp.StatusCode, a.Calls())
	}
}

func TestClockGoesOnWhenItsSourceDoesNot(t *testing.T) {
	t.Parallel()
	at := time.Date(2031, 1, 2, 3, 4, 5, 0, time.UTC)
	body := at.Format(time.RFC3339Nano)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }))
	p, err := cloud.Load(write(t, `{"name":"public","clock":"`+srv.URL+`","dial":{`+allLocal+`}}`))
	if err != nil {
		t.Fatal(err)
	}
	now := p.Clock()
	for _, form := range []string{at.Format(time.RFC3339), `"` + at.Format(time.RFC3339) + `"`, `{"now":"` + at.Format(time.RFC3339) + `"}`} {
		body = form
		if got := now(); !got.Equal(at) {
			t.Errorf("%s: %s", form, got)
		}
	}
	srv.Close()
	if got := now(); got.Before(at) || got.Sub(at) > time.Minute {
		t.Errorf("after the source ended: %s", got)
	}
}

func TestObjectIDOfOurOwnToken(t *testing.T) {
	t.Parallel()
	jwt := func(claims string) string {
		return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".sig"
	}
	for token, want := range map[string]string{
		jwt(`{"oid":"ABC-1","sub":"x"}`): "abc-1", jwt(`{"sub":"x"}`): "", jwt("nonsense"): "", "a.%%%.c": "", "token": "",
	} {
		p, err := cloud.Load("public")
		if err != nil {
			t.Fatal(err)
		}
		p.Token = token
		cred, err := p.Credential("")
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.ObjectID(context.Background(), cred)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q %v", token, got, err)
		}
	}
}
