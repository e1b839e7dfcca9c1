package azuresim_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources/v3"

	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
)

type updatePoller = runtime.Poller[armresources.ClientUpdateByIDResponse]

func cmkPatch(keyURL, identityType, identity string) armresources.GenericResource {
	typ := armresources.ResourceIdentityTypeUserAssigned
	return armresources.GenericResource{
		Identity: &armresources.Identity{Type: &typ, UserAssignedIdentities: map[string]*armresources.IdentityUserAssignedIdentitiesValue{uamiID: {}}},
		Properties: map[string]any{"encryption": map[string]any{"customerManagedKeyEncryption": map[string]any{
			"keyEncryptionKeyIdentity": map[string]any{"identityType": identityType, "userAssignedIdentityResourceId": identity},
			"keyEncryptionKeyUrl":      keyURL,
		}}},
	}
}

func (w armWorld) patch(t *testing.T, who, keyURL string) (*updatePoller, error) {
	t.Helper()
	return w.resources(t, who).BeginUpdateByID(context.Background(), clusterID[1:], version, cmkPatch(keyURL, "userAssignedIdentity", uamiID), nil)
}

func TestThePatchsOperationEndsBeforeTheClusterRuns(t *testing.T) {
	t.Parallel()
	w, id := newARMWorld(t, azuresim.Options{PatchTakes: 10 * time.Minute, StateLag: 2 * time.Minute}, "v1"), azureid.MustResource(clusterID)
	p := must(w.patch(t, "remediator", w.next.String()))(t)
	w.Clock().Advance(9 * time.Minute)
	if must(p.Poll(context.Background()))(t); p.Done() {
		t.Fatal("the operation ended early")
	}
	if c := w.Cluster(id); c.CMK.KeyURL != w.old.String() || c.ProvisioningState != "Updating" {
		t.Fatalf("changed before the operation ended: %+v", c)
	}
	w.Clock().Advance(time.Minute)
	if must(p.Poll(context.Background()))(t); !p.Done() {
		t.Fatal("the operation did not end")
	}
	got := must(p.Result(context.Background()))(t).Properties.(map[string]any)
	if got["provisioningState"] != "Succeeded" || got["resourceState"] != "Updating" {
		t.Fatalf("want Succeeded while still Updating: %v", got)
	}
	_, err := w.patch(t, "remediator", w.old.String())
	refused(t, err, 409, "Conflict")
	w.Clock().Advance(2 * time.Minute)
	if c := w.Cluster(id); c.ResourceState != "Running" || c.CMK.KeyURL != w.next.String() {
		t.Fatalf("%+v", c)
	}
}

func TestASecondPatchMeetsTheFirst(t *testing.T) {
	t.Parallel()
	w := newARMWorld(t, azuresim.Options{}, "v1")
	must(w.patch(t, "remediator", w.next.String()))(t)
	_, err := w.patch(t, "remediator", w.next.String())
	if re := refused(t, err, 409, "Conflict"); re.RawResponse.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestAPatchIsRefusedAtOnceForWhatTheRequestShows(t *testing.T) {
	t.Parallel()
	w := newARMWorld(t, azuresim.Options{}, "v1")
	ec := w.AddKey(host, "ec", azuresim.KeyOptions{Type: "EC"})
	w.AddVault(azuresim.Vault{ID: azureid.MustResource(vaultID + "-us"), Location: "eastus", RBAC: true})
	far := w.AddKey("kv-orders-cmk-us.vault.azure.net", "kek", azuresim.KeyOptions{})
	for name, body := range map[string]armresources.GenericResource{
		"versionless":        cmkPatch(w.next.Base().String(), "userAssignedIdentity", uamiID),
		"not a vault":        cmkPatch("https://evil.example/keys/k/"+w.next.Version, "userAssignedIdentity", uamiID),
		"not RSA":            cmkPatch(ec.String(), "userAssignedIdentity", uamiID),
		"other region":       cmkPatch(far.String(), "userAssignedIdentity", uamiID),
		"identity not there": cmkPatch(w.next.String(), "userAssignedIdentity", uamiID+"-other"),
		"system assigned":    cmkPatch(w.next.String(), "systemAssignedIdentity", uamiID),
	} {
		_, err := w.resources(t, "remediator").BeginUpdateByID(context.Background(), clusterID[1:], version, body, nil)
		t.Run(name, func(t *testing.T) { refused(t, err, 400, "InvalidRequestBody") })
	}
	if c := w.Cluster(azureid.MustResource(clusterID)); c.ResourceState != "Running" || c.CMK.KeyURL != w.old.String() {
		t.Errorf("a refusal changed the cluster: %+v", c)
	}
}

func TestAKeyThatCannotBeReachedFailsLateOrAtOnce(t *testing.T) {
	t.Parallel()
	w := newARMWorld(t, azuresim.Options{}, "v1")
	w.Unassign(principal)
	p := must(w.patch(t, "remediator", w.next.String()))(t)
	w.Clock().Advance(6 * time.Minute)
	must(p.Poll(context.Background()))(t)
	if _, err := p.Result(context.Background()); err == nil || !strings.Contains(err.Error(), "could not unwrap") {
		t.Errorf("the operation did not fail: %v", err)
	}
	if c := w.Cluster(azureid.MustResource(clusterID)); c.ResourceState != "UpdateFailed" || c.ProvisioningState != "Failed" || c.CMK.KeyURL != w.old.String() {
		t.Errorf("%+v", c)
	}
	w = newARMWorld(t, azuresim.Options{SyncRefuse: true}, "v1")
	w.Unassign(principal)
	_, err := w.patch(t, "remediator", w.next.String())
	refused(t, err, 400, "KeyVaultAccessFailed")
}

func TestAnEmptyObjectRemovesTheCustomersKey(t *testing.T) {
	t.Parallel()
	w := newARMWorld(t, azuresim.Options{}, "v1")
	body := armresources.GenericResource{Properties: map[string]any{"encryption": map[string]any{"customerManagedKeyEncryption": map[string]any{}}}}
	must(w.resources(t, "remediator").BeginUpdateByID(context.Background(), clusterID[1:], version, body, nil))(t)
	if c := w.Cluster(azureid.MustResource(clusterID)); c.CMK != nil {
		t.Errorf("%+v", c.CMK)
	}
}

func TestAnIdentityLeftOutOfTheMapIsDetached(t *testing.T) {
	t.Parallel()
	w := newARMWorld(t, azuresim.Options{}, "v1")
	other := azureid.MustResource(uamiID + "-2")
	w.AddIdentity(azuresim.Identity{ID: other, PrincipalID: "x"})
	w.ChangeCluster(azureid.MustResource(clusterID), func(c *azuresim.Cluster) { c.Identities = append(c.Identities, other) })
	must(w.patch(t, "remediator", w.next.String()))(t)
	if got := w.Cluster(azureid.MustResource(clusterID)).Identities; len(got) != 1 || !got[0].Equal(azureid.MustResource(uamiID)) {
		t.Errorf("%v", got)
	}
}

func TestPatchNeedsItsRights(t *testing.T) {
	t.Parallel()
	w := newARMWorld(t, azuresim.Options{}, "v1")
	for _, who := range []string{"observer", "stranger"} {
		_, err := w.patch(t, who, w.next.String())
		refused(t, err, 403, "AuthorizationFailed")
	}
	_, err := w.patch(t, "partial", w.next.String()) // may write the cluster, not assign its identity
	refused(t, err, 403, "LinkedAuthorizationFailed")
	if c := w.Cluster(azureid.MustResource(clusterID)); c.ResourceState != "Running" {
		t.Errorf("%+v", c)
	}
}

func TestManagedRedisAdoptsAndEnterpriseDoesNot(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		o      azuresim.Options
		kind   string
		adopts bool
	}{
		"v2":           {azuresim.Options{}, "v2", true},
		"v2, switched": {azuresim.Options{NoAdopt: true}, "v2", false},
		"v2, unshown":  {azuresim.Options{HideAdopt: true}, "v2", false},
		"v1":           {azuresim.Options{}, "v1", false},
	} {
		w := newARMWorld(t, tc.o, tc.kind)
		for _, wait := range []time.Duration{89 * time.Minute, time.Minute} {
			w.Clock().Advance(wait)
			p := must(w.resources(t, "observer").GetByID(context.Background(), clusterID[1:], version, nil))(t).Properties.(map[string]any)
			url := p["encryption"].(map[string]any)["customerManagedKeyEncryption"].(map[string]any)["keyEncryptionKeyUrl"]
			if got := url == w.next.String(); got != (tc.adopts && wait == time.Minute) {
				t.Errorf("%s, after %s more: %v", name, wait, url)
			}
		}
	}
}
