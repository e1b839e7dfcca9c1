package guard_test

import (
	"testing"
	"time"

	"cmkguard/internal/approval"
	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
)

// addKey adds a second key to the vault, with a cluster of its own.
func (w *world) addKey(name string) (azureid.Key, azureid.Resource) {
	identity := azureid.MustResource(root + "Microsoft.ManagedIdentity/userAssignedIdentities/id-a")
	k := w.sim.AddKey(host, name, azuresim.KeyOptions{Created: w.sim.Clock().Now().Add(-30 * 24 * time.Hour), Policy: azuresim.Rotation{ExpiryTime: "P365D"}})
	id := azureid.MustResource(root + "Microsoft.Cache/redisEnterprise/cache-" + name)
	w.sim.AddCluster(azuresim.Cluster{ID: id, Kind: "v1", SKU: "Enterprise_E10", Location: "West Europe", Identities: []azureid.Resource{identity},
		CMK: &azuresim.CMK{IdentityType: "userAssignedIdentity", IdentityID: identity, KeyURL: k.String()}})
	return k, id
}

// A plan about a vault is one plan, whichever of its keys is looked at: an approval
// given after a look at one holds when another was looked at since.
func TestAVaultsPlanIsOneWhoeverLooks(t *testing.T) {
	t.Parallel()
	w := young(t, "", nil)
	other, _ := w.addKey("zzz")
	r := revocations()["close the firewall"]
	r.revoke(w)
	w.take(w.sim.NearExpiry(w.key, "one key"))
	w.run(1)
	first := w.plans(r.remedy)
	w.take(w.sim.NearExpiry(other, "the other key"))
	w.run(1)
	list := w.plans(r.remedy)
	if len(first) != 1 || len(list) != 1 || first[0].SHA256 != list[0].SHA256 || len(list[0].Plan.Consumers) != 2 {
		t.Fatalf("%d plans, then %d: %+v", len(first), len(list), list)
	}
	for n := 1; n <= 2; n++ {
		_, err := w.g.Decide(ctx, list[0].Plan.ID, approval.Approve, person(n), "go")
		must(t, err)
	}
	w.run(2)
	if !r.back(w) || w.changes() != 1 {
		t.Fatalf("given back: %v, %d changes", r.back(w), w.changes())
	}
}

// An intent to erase one key of a vault keeps the vault from being changed for it,
// whichever key was looked at; a standing approval must be of all of its keys.
func TestAVaultsPlanHearsEveryKey(t *testing.T) {
	t.Parallel()
	w := young(t, "", nil)
	other, _ := w.addKey("zzz")
	r := revocations()["close the firewall"]
	for n := 1; n <= 2; n++ {
		_, err := w.g.Stand(ctx, r.remedy, w.key.Base(), person(n), 30*24*time.Hour, "mine")
		must(t, err)
	}
	r.revoke(w)
	w.take(w.sim.NearExpiry(w.key, "one key"))
	w.run(2)
	if w.changes() != 0 {
		t.Fatal("one key's standing approval released a change to the other's vault")
	}
	for n := 1; n <= 2; n++ {
		_, err := w.g.Erase(ctx, other.Base(), person(n), "contract ended")
		must(t, err)
		_, err = w.g.Decide(ctx, w.plans(r.remedy)[0].Plan.ID, approval.Approve, person(n), "go")
		must(t, err)
	}
	w.run(2)
	if w.changes() != 0 || !w.told.has("", "zzz is to be erased") {
		t.Fatalf("%d changes although a key of the vault is to be erased", w.changes())
	}
}

func clusterNamed(name string) azureid.Resource {
	return azureid.MustResource(root + "Microsoft.Cache/redisEnterprise/" + name)
}
