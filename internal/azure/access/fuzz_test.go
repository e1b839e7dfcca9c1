package access_test

import (
	"strings"
	"testing"

	"cmkguard/internal/azure/access"
	"cmkguard/internal/azure/azuretest"
	"cmkguard/internal/fault"
)

// A vault that could be read has an id and a host.
func FuzzParseVault(f *testing.F) {
	azuretest.Seed(f, "vault-get-rbac.json", "vault-get-accesspolicy.json", "deleted-vault-get.json")
	f.Add([]byte(`{"id":"/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v","properties":{"vaultUri":"https://V.vault.azure.net:443/","sku":{"name":"premium"},
		"accessPolicies":[null,{"permissions":{"keys":[null,"Get"]}}],"networkAcls":{"bypass":"None"},"softDeleteRetentionInDays":7}}`))
	f.Add([]byte(`{"properties":{"vaultUri":"::"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := access.ParseVault(raw)
		if err != nil {
			if !fault.Is(err, fault.Invalid) || !v.ID.IsZero() {
				t.Fatalf("%+v, %v", v, err)
			}
			return
		}
		if v.ID.IsZero() || v.Host == "" || v.Host != strings.ToLower(v.Host) || strings.ContainsAny(v.Host, "/@") {
			t.Fatalf("%+v", v)
		}
	})
}
