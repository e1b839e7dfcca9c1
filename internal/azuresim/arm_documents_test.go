package azuresim_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
)

func TestDocumentsAnswerByPathAndRights(t *testing.T) {
	t.Parallel()
	const rg = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg"
	s := azuresim.New(azuresim.Options{})
	vault := azureid.MustResource(rg + "/providers/Microsoft.KeyVault/vaults/kv")
	s.AddVault(azuresim.Vault{ID: vault})
	s.AddKey("kv.vault.azure.net", "Redis-KEK", azuresim.KeyOptions{Bits: 64})
	s.AddCaller(azuresim.Caller{Token: "reader", Reads: true})
	s.AddCaller(azuresim.Caller{Token: "stranger"})
	s.SetDocument(vault.String()+"/Providers/Microsoft.Insights/diagnosticSettings", map[string]any{"value": []any{"set"}})
	get := func(token, path string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://management.azure.com"+path+"?api-version=2025-01-01", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := s.Transport().RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	for path, want := range map[string]string{
		vault.String() + "/providers/microsoft.insights/DIAGNOSTICSETTINGS": `"set"`,
		vault.String() + "/keys":                             `"name":"Redis-KEK"`,
		vault.String() + "/secrets":                          `{"value":[]}`,
		rg + "/providers/Microsoft.Authorization/locks":      `{"value":[]}`,
		vault.String() + "/providers/x.y/eventSubscriptions": `{"value":[]}`,
	} {
		if code, body := get("reader", path); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, code, body)
		}
		if code, body := get("stranger", path); code != http.StatusForbidden {
			t.Errorf("somebody without rights got %s: %d %s", path, code, body)
		}
	}
	if code, _ := get("reader", rg+"/providers/Microsoft.KeyVault/vaults/other/keys"); code == http.StatusOK {
		if _, body := get("reader", rg+"/providers/Microsoft.KeyVault/vaults/other/keys"); strings.Contains(body, "Redis") {
			t.Errorf("another vault's keys: %s", body)
		}
	}
}
