package guard_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/journal"
	"cmkguard/internal/policy"
)

func TestABurstAboutOneKeyCostsAFewLooks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: year, mode: policy.DryRun})
	const burst = 200
	for i := range burst {
		w.take(w.sim.NearExpiry(w.key, fmt.Sprintf("burst-%d", i)))
	}
	w.runFor(2 * time.Minute)
	looks, entries := 0, map[string]bool{}
	for _, c := range w.sim.Calls() {
		if c.Method == http.MethodGet && strings.HasSuffix(c.Path, "/keys/kek/versions") && c.Status == http.StatusOK {
			looks++
		}
	}
	must(t, journal.Read(ctx, w.b.Log, 0, func(_ int64, e journal.Entry) error {
		if e.Kind == journal.KindSignal {
			entries[e.Ref] = true
		}
		return nil
	}))
	t.Logf("%d signals about one key: %d readings of its versions", burst, looks)
	if len(entries) != burst || looks == 0 || looks > 10 {
		t.Fatalf("%d of %d signals in the record, %d looks", len(entries), burst, looks)
	}
}

func TestAChangeAfterTheLookIsSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: year, mode: policy.DryRun})
	w.take(w.sim.NearExpiry(w.key, "before"))
	w.runFor(time.Minute)
	w.sim.Unassign(who)
	w.take(w.sim.NearExpiry(w.key, "after"))
	w.runFor(time.Minute)
	if !w.told.has("CMK-050", "Identity lost its access to the key") {
		t.Fatal("an older look answered a newer signal")
	}
}

func TestAVaultOfManyClustersIsSplit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: year, mode: policy.DryRun})
	const many = 30
	identity := azureid.MustResource(root + "Microsoft.ManagedIdentity/userAssignedIdentities/id-a")
	for i := range many {
		k := w.sim.AddKey(host, fmt.Sprintf("kek-%d", i), azuresim.KeyOptions{Created: w.sim.Clock().Now().Add(-year)})
		w.sim.AddCluster(azuresim.Cluster{
			ID: azureid.MustResource(fmt.Sprintf("%sMicrosoft.Cache/redisEnterprise/cache-%d", root, i)), Kind: "v2", SKU: "Balanced_B10",
			Location: "West Europe", Identities: []azureid.Resource{identity},
			CMK: &azuresim.CMK{IdentityType: "userAssignedIdentity", IdentityID: identity, KeyURL: k.String()},
		})
	}
	w.sim.Unassign(who)
	w.take(w.sim.AccessPolicyChanged(host, "e1"))
	w.run(2)
	lost := map[string]bool{}
	for _, a := range w.told.all {
		if a.Check == "CMK-050" && a.Lifecycle == alert.Trigger {
			lost[a.Subject] = true
		}
	}
	if len(lost) != many+1 {
		t.Fatalf("%d of %d clusters were told to have lost their key", len(lost), many+1)
	}
}
