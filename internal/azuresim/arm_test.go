package azuresim_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/keyvault/armkeyvault/v2"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/msi/armmsi"

	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
)

func TestResourcesByID(t *testing.T) {
	t.Parallel()
	w, ctx := newARMWorld(t, azuresim.Options{}, "v2"), context.Background()
	got := must(w.resources(t, "observer").GetByID(ctx, clusterID[1:], version, nil))(t)
	if *got.ID != clusterID || *got.Kind != "v2" || *got.Identity.UserAssignedIdentities[uamiID].PrincipalID != principal || *got.SKU.Name != "Balanced_B10" {
		t.Errorf("%+v", got)
	}
	must(w.resources(t, "observer").GetByID(ctx, clusterID[1:]+"/databases/default", version, nil))(t)
	vaults := must(armkeyvault.NewVaultsClient(sub, token("observer"), w.options()))(t)
	v := must(vaults.Get(ctx, "rg-cache-prod", "kv-orders-cmk", nil))(t)
	if p := v.Properties; *p.VaultURI != "https://"+host+"/" || !*p.EnableRbacAuthorization || !*p.EnablePurgeProtection || *p.NetworkACLs.Bypass != "AzureServices" {
		t.Errorf("%+v", p)
	}
	ids := must(armmsi.NewUserAssignedIdentitiesClient(sub, token("observer"), w.options()))(t)
	if i := must(ids.Get(ctx, "rg-cache-prod", "id-orders", nil))(t); *i.Properties.PrincipalID != principal {
		t.Errorf("%+v", i.Properties)
	}
}

// The keys of a cluster's answer are those of the sample of the service.
func TestAClusterHasTheSamplesShape(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "payloads", "azure", "cluster-get-cmk.json"))
	if err != nil {
		t.Skip("sample payloads are not at hand: ", err)
	}
	var want, got map[string]any
	w := newARMWorld(t, azuresim.Options{}, "v2")
	body := must(must(w.resources(t, "observer").GetByID(context.Background(), clusterID[1:], version, nil))(t).MarshalJSON())(t)
	if json.Unmarshal(raw, &want) != nil || json.Unmarshal(body, &got) != nil {
		t.Fatal("not JSON")
	}
	for k := range want["properties"].(map[string]any) {
		if _, ok := got["properties"].(map[string]any)[k]; !ok {
			t.Errorf("properties.%s is missing", k)
		}
	}
	for k := range want {
		if _, ok := got[k]; !ok {
			t.Errorf("%s is missing", k)
		}
	}
}

func TestWhatASettingThatIsOffLeavesOut(t *testing.T) {
	t.Parallel()
	w := newARMWorld(t, azuresim.Options{}, "v2")
	w.ChangeVault(host, func(v *azuresim.Vault) { v.RBAC, v.PurgeProtection, v.Bypass, v.DefaultAction = false, false, "", "" })
	vaults := must(armkeyvault.NewVaultsClient(sub, token("observer"), w.options()))(t)
	if p := must(vaults.Get(context.Background(), "rg-cache-prod", "kv-orders-cmk", nil))(t).Properties; p.EnablePurgeProtection != nil || p.EnableRbacAuthorization != nil || p.NetworkACLs != nil {
		t.Errorf("%+v", p)
	}
}

func TestRefusalsOfReads(t *testing.T) {
	t.Parallel()
	w, ctx := newARMWorld(t, azuresim.Options{}, "v2"), context.Background()
	get := func(who, id, v string) error {
		_, err := w.resources(t, who).GetByID(ctx, id[1:], v, nil)
		return err
	}
	refused(t, get("observer", clusterID+"x", version), 404, "ResourceNotFound")
	refused(t, get("stranger", clusterID, version), 403, "AuthorizationFailed")
	refused(t, get("stranger", clusterID+"x", version), 403, "AuthorizationFailed") // does not tell whether it is there
	refused(t, get("partial", vaultID, "2026-02-01"), 403, "AuthorizationFailed")
	refused(t, get("nobody", clusterID, version), 401, "InvalidAuthenticationToken")
	refused(t, get("observer", clusterID, "2019-01-01"), 400, "NoRegisteredProviderFound")
	refused(t, get("observer", "/subscriptions/"+principal, "2022-12-01"), 404, "SubscriptionNotFound")
	w.Inject(azuresim.Fault{Times: 1, Mode: azuresim.Refuse, Status: 429, Code: "TooManyRequests", Retry: "17"})
	if re := refused(t, get("observer", clusterID, version), 429, "TooManyRequests"); re.RawResponse.Header.Get("Retry-After") != "17" {
		t.Error("no Retry-After")
	}
}

func TestOldVaultVersionsRetire(t *testing.T) {
	t.Parallel()
	w := newARMWorld(t, azuresim.Options{Start: time.Date(2027, 2, 26, 23, 0, 0, 0, time.UTC)}, "v1")
	get := func(v string) error {
		_, err := w.resources(t, "observer").GetByID(context.Background(), vaultID[1:], v, nil)
		return err
	}
	if err := get("2024-11-01"); err != nil {
		t.Fatal(err)
	}
	w.Clock().Advance(time.Hour)
	refused(t, get("2024-11-01"), 400, "NoRegisteredProviderFound")
	if err := get("2026-02-01"); err != nil {
		t.Error(err)
	}
}

func TestADeletedVaultMoves(t *testing.T) {
	t.Parallel()
	w, ctx := newARMWorld(t, azuresim.Options{}, "v2"), context.Background()
	vaults := must(armkeyvault.NewVaultsClient(sub, token("observer"), w.options()))(t)
	_, err := vaults.GetDeleted(ctx, "kv-orders-cmk", "westeurope", nil)
	refused(t, err, 404, "DeletedVaultNotFound")
	w.ChangeVault(host, func(v *azuresim.Vault) { v.Deleted = true })
	if got := must(vaults.GetDeleted(ctx, "kv-orders-cmk", "westeurope", nil))(t); *got.Properties.VaultID != vaultID {
		t.Errorf("%+v", got.Properties)
	}
	_, err = vaults.Get(ctx, "rg-cache-prod", "kv-orders-cmk", nil)
	refused(t, err, 404, "ResourceNotFound")
	if page := must(vaults.NewListDeletedPager(nil).NextPage(ctx))(t); len(page.Value) != 1 {
		t.Errorf("%d deleted vaults", len(page.Value))
	}
}

func TestListsLeaveOutWhatIsHidden(t *testing.T) {
	t.Parallel()
	w, ctx := newARMWorld(t, azuresim.Options{}, "v2"), context.Background()
	for who, want := range map[string]int{"observer": 1, "partial": 0} {
		vaults := must(armkeyvault.NewVaultsClient(sub, token(who), w.options()))(t)
		if page := must(vaults.NewListBySubscriptionPager(nil).NextPage(ctx))(t); len(page.Value) != want {
			t.Errorf("%s sees %d vaults, want %d", who, len(page.Value), want)
		}
	}
}

func TestAClusterWithoutItsKeyGoesOffline(t *testing.T) {
	t.Parallel()
	w, id := newARMWorld(t, azuresim.Options{NoAdopt: true}, "v2"), azureid.MustResource(clusterID)
	w.Unassign(principal)
	for _, want := range []string{"Running", "Running", "Disabled"} {
		if got := w.Cluster(id).ResourceState; got != want {
			t.Fatalf("%s, want %s", got, want)
		}
		w.Clock().Advance(40 * time.Minute)
	}
}
