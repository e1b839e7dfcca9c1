package guard_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/policy"
	"cmkguard/internal/risk"
)

// manyKeys is a world whose vault has so many keys, each of a cluster of its own; the
// chat is grouped by vault, and the pager is PagerDuty.
func manyKeys(t *testing.T, many int) (*world, *byName, []azureid.Key) {
	t.Helper()
	w, told := routed(t,
		[]policy.Channel{{Name: "chat", Kind: "slack", Group: &policy.Group{By: []string{"vault"}, Wait: 30 * time.Second, Interval: 5 * time.Minute}}, {Name: "pager", Kind: "pagerduty"}},
		policy.Route{Match: policy.AlertMatch{MinSeverity: risk.High}, Channels: []string{"chat", "pager"}},
	)
	identity := azureid.MustResource(root + "Microsoft.ManagedIdentity/userAssignedIdentities/id-a")
	keys := []azureid.Key{w.key}
	for i := range many - 1 {
		k := w.sim.AddKey(host, fmt.Sprintf("kek-%d", i), azuresim.KeyOptions{Created: w.sim.Clock().Now().Add(-year), Policy: azuresim.Rotation{ExpiryTime: "P365D"}})
		w.sim.AddCluster(azuresim.Cluster{
			ID: azureid.MustResource(fmt.Sprintf("%sMicrosoft.Cache/redisEnterprise/cache-%d", root, i)), Kind: "v2", SKU: "Balanced_B10",
			Location: "West Europe", Identities: []azureid.Resource{identity},
			CMK: &azuresim.CMK{IdentityType: "userAssignedIdentity", IdentityID: identity, KeyURL: k.String()},
		})
		keys = append(keys, k)
	}
	return w, told, keys
}

// about are the check's alerts that the channel was told, those in messages about several
// beside those that came alone.
func (b *byName) about(channel, check string) (alone, together []alert.Alert) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.got[channel] {
		switch {
		case a.Check == check:
			alone = append(alone, a)
		case slices.ContainsFunc(a.Members, func(m alert.Member) bool { return strings.Contains(m.DedupKey, check) }):
			together = append(together, a)
		}
	}
	return alone, together
}

// What happens to many keys of one vault at once is one message to the chat, and a page
// each.
func TestManyKeysOfOneVaultAreToldTogether(t *testing.T) {
	t.Parallel()
	w, told, keys := manyKeys(t, 8)
	w.take(w.sim.AccessPolicyChanged(host, "look"))
	w.run(1)
	const check = "CMK-021" // nothing rotates them
	if alone, together := told.about("pager", check); len(alone) != len(keys) || len(together) != 0 {
		t.Errorf("%d pages, %d together: %s", len(alone), len(together), heads(told.got["pager"]))
	}
	alone, together := told.about("chat", check)
	if len(alone) != 0 || len(together) != 1 || together[0].Vault != "kv-a" || !strings.HasSuffix(together[0].Title, "about vault kv-a: 8 high") {
		t.Fatalf("%d alone: %s", len(alone), heads(told.got["chat"]))
	}
}

func heads(all []alert.Alert) string {
	var out []string
	for _, a := range all {
		out = append(out, alert.Head(a))
	}
	return strings.Join(out, "\n")
}

// A storm of sixty: so many pages, then a summary that names each that is critical, and
// ends with the last of them.
func TestAStormOfSixtyIsToldAsOneAndEnds(t *testing.T) {
	t.Parallel()
	const many, check = 60, "CMK-050"
	w, told, keys := manyKeys(t, many)
	look := func(id string) {
		for i, k := range keys {
			if w.take(w.sim.NearExpiry(k, fmt.Sprintf("%s-%d", id, i))); i%10 == 9 {
				w.runFor(time.Minute)
			}
		}
		w.run(1)
	}
	w.sim.Unassign(who)
	look("lost")
	for _, channel := range []string{"chat", "pager"} {
		alone, together := told.about(channel, check)
		named, under := map[string]bool{}, map[string]bool{}
		for _, a := range alone {
			named[a.DedupKey] = true
		}
		for _, a := range together {
			under[a.DedupKey] = true
			for _, m := range a.Members {
				named[m.DedupKey] = true
			}
		}
		if len(alone) > 21 || len(together) == 0 || len(named) != many || len(under) != 1 || len(together) > 12 {
			t.Errorf("%s: %d alone, %d together under %d keys, %d named of %d:\n%s", channel, len(alone), len(together), len(under), len(named), many, heads(told.got[channel]))
		}
	}
	w.sim.Assign(root+"Microsoft.KeyVault/vaults/kv-a", azuresim.RoleCryptoServiceEncryptionUser, who)
	look("back")
	last := map[string]alert.Lifecycle{}
	for _, a := range told.got["pager"] {
		if a.Check == check || strings.HasSuffix(a.DedupKey, "/critical") {
			last[a.DedupKey] = a.Lifecycle
		}
	}
	for key, life := range last {
		if life != alert.Resolve {
			t.Errorf("%s is %s at the pager when all is well", key, life)
		}
	}
}
