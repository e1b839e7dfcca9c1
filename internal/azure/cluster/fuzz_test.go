package cluster_test

import (
	"encoding/json"
	"testing"

	"cmkguard/internal/azure/azuretest"
	"cmkguard/internal/azure/cluster"
	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
)

// A cluster that could be read is whole: it has an id, and its key lies in a vault
// of this cloud or is a problem that a check judges.
func FuzzParse(f *testing.F) {
	azuretest.Seed(f, "cluster-get-cmk.json", "cluster-get-cmk-updating.json", "cluster-get-enterprise-cmk.json", "cluster-get-mmk.json")
	f.Add([]byte(`{"id":"/subscriptions/s/resourceGroups/g/providers/Microsoft.Cache/redisEnterprise/c","kind":"v2","tags":{"a":null},"identity":{"type":"UserAssigned",
		"userAssignedIdentities":{"/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i":null}},"properties":{"encryption":
		{"customerManagedKeyEncryption":{"keyEncryptionKeyIdentity":{"identityType":"userAssignedIdentity"},"keyEncryptionKeyUrl":"https://evil.example/keys/k"}}}}`))
	f.Add([]byte(`{"id":7}`))
	f.Add([]byte(`{"id":"/providers/0/0/0","identity":{"userAssignedIdentities":{"":{}}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := cluster.Parse(azureid.Public(), raw)
		if err != nil {
			if !fault.Is(err, fault.Invalid) || !c.ID.IsZero() {
				t.Fatalf("%+v, %v", c, err)
			}
			return
		}
		if c.ID.IsZero() || c.Name != c.ID.Name() {
			t.Fatalf("%+v", c)
		}
		if k := c.CMK; k != nil && (k.Key.IsZero() == (k.KeyProblem == "") || !k.Key.IsZero() && azureid.Public().CheckVaultHost(k.Key.Host) != nil) {
			t.Fatalf("%+v", *k)
		}
		if _, err := json.Marshal(c); err != nil {
			t.Fatal(err)
		}
	})
}
