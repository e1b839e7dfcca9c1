package azuresim_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources/v3"

	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
)

const (
	sub       = "11111111-1111-1111-1111-111111111111"
	group     = "/subscriptions/" + sub + "/resourceGroups/rg-cache-prod"
	clusterID = group + "/providers/Microsoft.Cache/redisEnterprise/orders-cache"
	vaultID   = group + "/providers/Microsoft.KeyVault/vaults/kv-orders-cmk"
	uamiID    = group + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-orders"
	principal = "22222222-2222-2222-2222-222222222222"
	host      = "kv-orders-cmk.vault.azure.net"
	version   = "2025-07-01"
)

type token string

func (t token) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: string(t), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// armWorld is one cluster of the kind on the first of two versions of a key
// that its identity may use.
type armWorld struct {
	*azuresim.Sim
	old, next azureid.Key
}

func newARMWorld(t *testing.T, o azuresim.Options, kind string) armWorld {
	t.Helper()
	s := azuresim.New(o)
	s.AddVault(azuresim.Vault{ID: azureid.MustResource(vaultID), Location: "westeurope", RBAC: true, SoftDelete: true, PurgeProtection: true,
		Bypass: "AzureServices", DefaultAction: "Deny"})
	old := s.AddKey(host, "redis-kek", azuresim.KeyOptions{Created: s.Clock().Now().AddDate(0, -6, 0)})
	s.AddIdentity(azuresim.Identity{ID: azureid.MustResource(uamiID), PrincipalID: principal, ClientID: "33333333-3333-3333-3333-333333333333", Location: "westeurope"})
	s.Assign(vaultID, azuresim.RoleCryptoServiceEncryptionUser, principal)
	s.AddCluster(azuresim.Cluster{ID: azureid.MustResource(clusterID), Kind: kind, SKU: "Balanced_B10", Location: "West Europe",
		Identities: []azureid.Resource{azureid.MustResource(uamiID)}, Tags: map[string]string{"owner": "team-orders"},
		CMK: &azuresim.CMK{IdentityType: "userAssignedIdentity", IdentityID: azureid.MustResource(uamiID), KeyURL: old.String()}})
	s.AddCaller(azuresim.Caller{Name: "observer", ObjectID: "o", Token: "observer", Reads: true})
	s.AddCaller(azuresim.Caller{Name: "remediator", ObjectID: "r", Token: "remediator", Reads: true, Writes: true})
	s.AddCaller(azuresim.Caller{Name: "stranger", ObjectID: "s", Token: "stranger"})
	s.AddCaller(azuresim.Caller{Name: "partial", ObjectID: "p", Token: "partial", Reads: true, Writes: true, Hidden: []string{uamiID, vaultID}})
	s.AddCaller(azuresim.Caller{Name: "owner", ObjectID: "w", Token: "owner", Owns: true})
	return armWorld{s, old, s.AddVersion(old, azuresim.KeyOptions{})}
}

// options lead to the world in memory, without retries.
func (w armWorld) options() *arm.ClientOptions {
	return &arm.ClientOptions{DisableRPRegistration: true, ClientOptions: azcore.ClientOptions{
		Transport: &http.Client{Transport: w.Transport()}, Retry: policy.RetryOptions{MaxRetries: -1}}}
}

func (w armWorld) resources(t *testing.T, who string) *armresources.Client {
	t.Helper()
	c, err := armresources.NewClient(sub, token(who), w.options())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// refused checks the status and code of an ARM error.
func refused(t *testing.T, err error, status int, code string) *azcore.ResponseError {
	t.Helper()
	var re *azcore.ResponseError
	if !errors.As(err, &re) || re.StatusCode != status || re.ErrorCode != code {
		t.Fatalf("got %v, want %d %s", err, status, code)
	}
	return re
}

// must fails the test on an error.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
