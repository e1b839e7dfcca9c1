package guard_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/approval"
	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/incident"
	"cmkguard/internal/plan"
)

const safe = "kv-safe.vault.azure.net"

// newKey is the key that the tests' requests name.
func newKey() azureid.Key { return azureid.Key{Host: safe, Name: "orders"} }

// safeVault adds another vault, to which the clusters' identity and we have access.
func (w *world) safeVault() {
	id := azureid.MustResource(root + "Microsoft.KeyVault/vaults/kv-safe")
	w.sim.AddVault(azuresim.Vault{ID: id, Location: "westeurope", RBAC: true, SoftDelete: true, PurgeProtection: true})
	w.sim.Assign(id.String(), azuresim.RoleCryptoOfficer, "99999999-9999-9999-9999-999999999999")
	w.sim.Assign(id.String(), azuresim.RoleCryptoServiceEncryptionUser, who)
}

// compromised is a world whose key two clusters use, and a safe vault.
func compromised(t *testing.T, change func(*world)) *world {
	t.Helper()
	w := young(t, "", nil)
	w.safeVault()
	identity := azureid.MustResource(root + "Microsoft.ManagedIdentity/userAssignedIdentities/id-a")
	w.sim.AddCluster(azuresim.Cluster{ID: clusterNamed("cache-b"), Kind: "v1", SKU: "Enterprise_E10", Location: "West Europe", Identities: []azureid.Resource{identity},
		CMK: &azuresim.CMK{IdentityType: "userAssignedIdentity", IdentityID: identity, KeyURL: w.key.String()}})
	if change != nil {
		change(w)
	}
	return w
}

func (w *world) askQuarantine() {
	w.t.Helper()
	_, err := w.g.AskQuarantine(ctx, w.key, newKey(), person(1), "INC-1: backup found on a laptop")
	must(w.t, err)
}

// onNewKey counts the clusters that run on the new key.
func (w *world) onNewKey() (n int) {
	for _, id := range []azureid.Resource{w.cluster, clusterNamed("cache-b")} {
		if c := w.sim.Cluster(id); strings.HasPrefix(c.CMK.KeyURL, newKey().String()+"/") && c.ResourceState == "Running" {
			n++
		}
	}
	return n
}

// A request opens a plan and changes nothing; two people release it; the new key is
// made once, the clusters move one at a time, and the old key stays enabled.
func TestACompromisedKeyIsLeft(t *testing.T) {
	t.Parallel()
	w := compromised(t, nil)
	w.hint()
	w.run(1)
	if len(w.plans(plan.Quarantine)) != 0 {
		t.Fatal("a plan that nobody asked for")
	}
	w.askQuarantine()
	w.run(1)
	if w.changes() != 0 || !w.told.has("QUARANTINE", "INC-1") {
		t.Fatalf("%d changes by a request alone", w.changes())
	}
	h := w.plans(plan.Quarantine)[0]
	_, err := w.g.Decide(ctx, h.Plan.ID, approval.Approve, person(1), "mine")
	must(t, err)
	w.run(1)
	if w.changes() != 0 {
		t.Fatal("one person was enough")
	}
	_, err = w.g.Decide(ctx, h.Plan.ID, approval.Approve, person(2), "agreed")
	must(t, err)
	w.run(3)
	if w.onNewKey() != 2 || w.changes() != 3 || len(w.sim.Versions(newKey())) != 1 {
		t.Fatalf("%d clusters moved by %d changes", w.onNewKey(), w.changes())
	}
	for _, v := range w.vault().Keys["kek"].Versions {
		if !v.Enabled {
			t.Fatal("the old key was disabled")
		}
	}
	if !w.told.has("", "Done: quarantine-compromised") || !w.told.asks("Now decide, by hand, whether to disable the old key") || !w.told.has("QUARANTINE", "Fixed") {
		t.Fatal("people were not told of the end, and of what is theirs")
	}
	if r := w.verify(); len(r.Problems) > 0 {
		t.Fatalf("%+v", r)
	}
}

// What keeps a quarantine from beginning: each is held, and said.
func TestAQuarantineIsHeld(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*world)
		says   string
	}{
		"the name is taken": {func(w *world) { w.sim.AddKey(safe, "orders", azuresim.KeyOptions{}) }, "may be there already"},
		"it was deleted":    {func(w *world) { w.sim.AddKey(safe, "orders", azuresim.KeyOptions{}); w.sim.DeleteKey(newKey()) }, "may be there already"},
		"no access there": {func(w *world) {
			w.sim.Unassign(who)
			w.sim.Assign(root+"Microsoft.KeyVault/vaults/kv-a", azuresim.RoleCryptoServiceEncryptionUser, who)
		}, "CMK-050 broken"},
		"another region":      {func(w *world) { w.sim.ChangeVault(safe, func(v *azuresim.Vault) { v.Location = "eastus" }) }, "CMK-033 broken"},
		"no purge protection": {func(w *world) { w.sim.ChangeVault(safe, func(v *azuresim.Vault) { v.PurgeProtection = false }) }, "CMK-031 broken"},
		"no such vault":       {func(w *world) { w.sim.ChangeVault(safe, func(v *azuresim.Vault) { v.Deleted = true }) }, "unknown"},
		"a hold":              {func(w *world) { w.tagVault("cmkguard-hold") }, "the tag cmkguard-hold"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := compromised(t, c.change)
			w.askQuarantine()
			w.run(1)
			w.decideOn(plan.Quarantine)
			w.run(2)
			if w.changes() != 0 || !w.told.has("QUARANTINE", c.says) {
				t.Fatalf("%d changes, or people were not told %q", w.changes(), c.says)
			}
		})
	}
}

// The first failure leaves the clusters after it where they are; a denial in between
// stops at the next cluster; nothing is done twice.
func TestAQuarantineStopsAtTheFirstFailure(t *testing.T) {
	t.Parallel()
	w := compromised(t, nil)
	w.askQuarantine()
	w.run(1)
	h := w.decideOn(plan.Quarantine)
	for range 20 { // until the first cluster is on its way
		w.turn(&worker{g: w.g, b: w.b})
		w.sim.Clock().Advance(10 * time.Second)
		if w.sim.Count(http.MethodPatch, "") > 0 {
			break
		}
	}
	_, err := w.g.Decide(ctx, h.Plan.ID, approval.Deny, person(3), "wait")
	must(t, err)
	w.run(3)
	if n := w.onNewKey(); n != 1 || w.sim.Count(http.MethodPatch, "") != 1 {
		t.Fatalf("%d clusters moved after a denial", n)
	}
	if !w.told.has("", "Stopped: quarantine-compromised") {
		t.Fatal("people were not told that it stopped")
	}
	// Decided anew, it goes on with the key that it made.
	w.look()
	w.run(1)
	if w.onNewKey() != 1 {
		t.Fatal("it went on though the decision was for other facts")
	}
	if again := w.decideOn(plan.Quarantine); again.Plan.ID != h.Plan.ID || len(again.Plan.Steps) != 2 {
		t.Fatalf("another plan, or one of %d steps", len(again.Plan.Steps))
	}
	w.run(3)
	if w.onNewKey() != 2 || len(w.sim.Versions(newKey())) != 1 || w.sim.Count(http.MethodPost, "/create") != 1 || w.sim.Count(http.MethodPatch, "") != 2 {
		t.Fatalf("%d clusters moved, %d keys made, %d moves", w.onNewKey(), w.sim.Count(http.MethodPost, "/create"), w.sim.Count(http.MethodPatch, ""))
	}
}

// A request is a person's, in another vault, and a row of the storage is none.
func TestWhatIsNoRequestToQuarantine(t *testing.T) {
	t.Parallel()
	w := compromised(t, nil)
	for name, to := range map[string]azureid.Key{"the same vault": {Host: host, Name: "x"}, "elsewhere": {Host: "evil.example", Name: "x"}, "no name": {Host: safe}} {
		if _, err := w.g.AskQuarantine(ctx, w.key, to, person(1), "x"); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := w.g.AskQuarantine(ctx, w.key, newKey(), approval.Person{}, "x"); !fault.Is(err, fault.Denied) {
		t.Errorf("nobody: %v", err)
	}
	forged := approval.Decision{Schema: 1, Matter: plan.QuarantineMatter(w.key, newKey()), Kind: approval.Approve, By: person(1), At: w.sim.Clock().Now(),
		Expires: w.sim.Clock().Now().Add(time.Hour), Seal: strings.Repeat("0", 64)}
	w.put(w.keyPartition(), "approval~forged", forged)
	w.look()
	w.run(1)
	if len(w.plans(plan.Quarantine)) != 0 || !w.told.has("", "not genuine") {
		t.Fatal("a forged request counted")
	}
	w.askQuarantine()
	w.sim.Clock().Advance(8 * 24 * time.Hour)
	w.look()
	w.run(1)
	if w.changes() != 0 {
		t.Fatal(fmt.Sprint("an old request counted: ", w.changes()))
	}
}

func (w *world) keyPartition() string {
	return incident.Partition(event.Subject{Kind: event.SubjectKey, ID: w.key.ID()})
}

// A key that people ask to leave is neither rotated nor given a rotation policy
// meanwhile: the quarantine would wait for it. Once the request is over, it is.
func TestAKeyThatIsToBeLeftIsNotRotated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v2", created: year, loosest: true, declare: declared(plan.SetRotationPolicy)})
	w.safeVault()
	w.askQuarantine()
	w.take(w.sim.NearExpiry(w.key, "e1"))
	w.run(4)
	if w.changes() != 0 {
		t.Fatalf("%d changes while the request waits for two people", w.changes())
	}
	for _, remedy := range []string{plan.Rotate, plan.SetRotationPolicy} {
		if list := w.plans(remedy); len(list) != 1 || !strings.Contains(fmt.Sprint(list[0].Rulings), "asked for its clusters to leave this key") {
			t.Errorf("%s: %v", remedy, list)
		}
	}
	w.sim.Clock().Advance(7 * 24 * time.Hour) // the request stands no longer
	w.hint()
	w.run(8)
	if w.rotates() != 1 || !w.onNewest() {
		t.Errorf("%d rotations when the request was over: %v", w.rotates(), plan.Holding(w.plans(plan.Rotate)[0].Rulings))
	}
}
