package guard_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/approval"
	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/fault"
	"cmkguard/internal/guard"
	"cmkguard/internal/plan"
)

// revocation is one of the ways in which an owner says no.
type revocation struct {
	revoke func(*world)
	check  string
	remedy string
	back   func(*world) bool // given back
}

func revocations() map[string]revocation {
	version := func(change func(*azuresim.Version)) func(*world) {
		return func(w *world) { w.sim.ChangeVersion(w.key, change) }
	}
	bundle := (*world).usable
	return map[string]revocation{
		"delete the key":      {func(w *world) { w.sim.DeleteKey(w.key) }, "CMK-010", plan.RecoverKey, bundle},
		"disable the version": {version(func(v *azuresim.Version) { v.Enabled = false }), "CMK-011", plan.ReenableVersion, bundle},
		"remove the grant":    {func(w *world) { w.sim.Unassign(who) }, "CMK-050", plan.RestoreGrant, bundle},
		"detach the identity": {func(w *world) {
			w.sim.ChangeCluster(w.cluster, func(c *azuresim.Cluster) { c.Identities = nil })
		}, "CMK-006", plan.AttachIdentity, bundle},
		"close the firewall": {func(w *world) {
			w.sim.ChangeVault(host, func(v *azuresim.Vault) {
				v.Bypass, v.DefaultAction, v.IPRules = "None", "Deny", []string{"203.0.113.0/24"}
			})
		}, "", plan.OpenTrustedBypass, func(w *world) bool {
			return w.vault().Bypass == "AzureServices" && w.vault().DefaultAction == "Deny" && len(w.vault().IPRules) == 1
		}},
		"strip the operations": {version(func(v *azuresim.Version) { v.Ops = []string{"sign"} }), "CMK-016", plan.FixKeyOps, bundle},
		"point the cluster back": {func(w *world) {
			newer := w.sim.AddVersion(w.key, azuresim.KeyOptions{Created: w.sim.Clock().Now().Add(-10 * 24 * time.Hour)})
			w.sim.ChangeCluster(w.cluster, func(c *azuresim.Cluster) { c.CMK.KeyURL = newer.String() })
			w.hint()
			w.run(1) // it is seen on the newer version
			w.sim.ChangeCluster(w.cluster, func(c *azuresim.Cluster) { c.CMK.KeyURL = w.key.String() })
		}, "", plan.RollBackDowngrade, func(w *world) bool { return w.onNewest() }},
		"take the access policy away": {func(w *world) {
			w.accessPolicies()
			w.sim.ChangeVault(host, func(v *azuresim.Vault) { v.Policies[1].Keys = []string{"get", "list"} })
		}, "CMK-050", plan.RestoreGrant, bundle},
		"call the key compromised": {func(w *world) {
			w.safeVault()
			w.askQuarantine()
		}, "QUARANTINE", plan.Quarantine, func(w *world) bool {
			return strings.HasPrefix(w.sim.Cluster(w.cluster).CMK.KeyURL, newKey().String()+"/")
		}},
		"delete the vault": {func(w *world) {
			w.sim.ChangeVault(host, func(v *azuresim.Vault) { v.Deleted = true })
		}, "", plan.RecoverVault, func(w *world) bool { return !w.vault().Deleted }},
	}
}

// accessPolicies makes the vault one of access policies: ours first, then the cluster's.
func (w *world) accessPolicies() {
	w.sim.ChangeVault(host, func(v *azuresim.Vault) {
		v.RBAC = false
		v.Policies = []azuresim.AccessPolicy{
			{TenantID: v.TenantID, ObjectID: "99999999-9999-9999-9999-999999999999", Keys: []string{"get", "list", "rotate", "update", "recover", "getrotationpolicy"}},
			{TenantID: v.TenantID, ObjectID: who, Keys: []string{"get", "wrapKey", "unwrapKey"}, Secrets: []string{"get"}},
			{TenantID: v.TenantID, ObjectID: person(5).Object, Keys: []string{"delete", "purge"}, Secrets: []string{"all"}},
		}
	})
}

// usable reports whether the cluster can unwrap now.
func (w *world) usable() bool {
	w.sim.Clock().Advance(3 * time.Hour)
	return w.sim.Cluster(w.cluster).ResourceState == "Running"
}

func (w *world) vault() (out azuresim.Vault) {
	w.sim.ChangeVault(host, func(v *azuresim.Vault) { out = *v })
	return out
}

// hint is an event that leads to a look at everything of the vault.
func (w *world) hint() {
	w.take(w.sim.AccessPolicyChanged(host, fmt.Sprintf("hint-%d", w.ids.Add(1))))
}

// changes counts what we changed in the world.
func (w *world) changes() int {
	n := 0
	for _, c := range w.sim.Calls() {
		if c.Method != http.MethodGet && c.Status != http.StatusUnauthorized && !strings.HasSuffix(c.Path, "/token") && !strings.HasSuffix(c.Path, "/resources") {
			n++
		}
	}
	return n
}

// plans returns the stored plans of the remedy.
func (w *world) plans(remedy string) []guard.Held {
	w.t.Helper()
	rows, err := w.b.State.Scan(ctx, "plans", "", "", 100)
	must(w.t, err)
	var out []guard.Held
	for _, row := range rows {
		h, err := w.g.Find(ctx, row.Key)
		if fault.Is(err, fault.Invalid) {
			continue // named, and its worker died before it was written
		}
		must(w.t, err)
		if h.Plan.Remedy == remedy {
			out = append(out, h)
		}
	}
	return out
}

func person(n int) approval.Person {
	return approval.Person{Object: fmt.Sprintf("00000000-0000-0000-0000-0000000000a%d", n), Tenant: "t", Name: fmt.Sprintf("person%d@example.com", n)}
}

func TestRevocationsAreNotUndoneWithoutTwoPeople(t *testing.T) {
	t.Parallel()
	for name, r := range revocations() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := young(t, r.remedy, nil)
			w.g.Reconcile = time.Hour
			r.revoke(w)
			w.hint()
			w.run(5)
			if n := w.changes(); n != 0 {
				t.Fatalf("%d changes without an approval", n)
			}
			list := w.plans(r.remedy)
			if len(list) != 1 {
				t.Fatalf("%d plans of %s, want one, whatever the number of looks", len(list), r.remedy)
			}
			h := list[0]
			if !w.told.has(r.check, h.Plan.ID) || !w.told.asks("cmkguard approve "+h.Plan.ID) {
				t.Fatalf("people were not told what waits for them")
			}
			if _, err := w.g.Decide(ctx, h.Plan.ID, approval.Approve, person(1), "meant well"); err != nil {
				t.Fatal(err)
			}
			if _, err := w.g.Decide(ctx, h.Plan.ID, approval.Approve, person(1), "twice"); err != nil {
				t.Fatal(err)
			}
			w.run(2)
			if n := w.changes(); n != 0 {
				t.Fatalf("%d changes after one person's answer", n)
			}
			_, err := w.g.Decide(ctx, h.Plan.ID, approval.Approve, person(2), "agreed")
			must(t, err)
			w.run(2)
			if !r.back(w) || w.changes() != changesOf(r.remedy) {
				t.Fatalf("given back: %v, %d changes", r.back(w), w.changes())
			}
			if rep := w.verify(); len(rep.Problems) > 0 {
				t.Fatalf("%+v", rep.Problems)
			}
		})
	}
}

func TestDecisionsThatDoNotCount(t *testing.T) {
	t.Parallel()
	deleted := func(t *testing.T) (*world, guard.Held) {
		w := newWorld(t, setup{kind: "v1", created: 30 * 24 * time.Hour, loosest: true})
		w.sim.DeleteKey(w.key)
		w.hint()
		w.run(1)
		return w, w.plans(plan.RecoverKey)[0]
	}
	unmoved := func(t *testing.T, w *world) {
		t.Helper()
		w.hint()
		w.run(2)
		if n := w.changes(); n != 0 {
			t.Fatalf("%d changes", n)
		}
	}
	t.Run("a row that a storage writer made", func(t *testing.T) {
		t.Parallel()
		w, h := deleted(t)
		other, err := approval.NewSeal([]byte(strings.Repeat("x", 32)))
		must(t, err)
		sum, err := h.Plan.Fingerprint()
		must(t, err)
		for i := 1; i <= 2; i++ {
			d, err := other.Close(approval.Decision{Schema: 1, Matter: h.Plan.ID, Hash: sum, Kind: approval.Approve, By: person(i), Expires: w.sim.Clock().Now().Add(time.Hour)})
			must(t, err)
			w.put(h.Partition, fmt.Sprintf("approval~forged%d", i), d)
		}
		unmoved(t, w)
		if !w.told.has("", "not genuine") {
			t.Fatal("the forgery was not told")
		}
	})
	t.Run("a copy of a genuine row, for another plan", func(t *testing.T) {
		t.Parallel()
		w, h := deleted(t)
		for i := 1; i <= 2; i++ {
			_, err := w.g.Decide(ctx, h.Plan.ID, approval.Approve, person(i), "recover")
			must(t, err)
		}
		w.run(1)
		before := w.changes()
		w.sim.DeleteKey(w.key) // deleted again: another life of the problem
		unchanged := func() bool { w.hint(); w.run(3); return w.changes() == before }
		if !unchanged() || len(w.plans(plan.RecoverKey)) != 2 {
			t.Fatalf("the old approval released a new plan: %d changes", w.changes()-before)
		}
	})
	t.Run("who caused it", func(t *testing.T) {
		t.Parallel()
		w, h := deleted(t)
		w.cause(h, person(1).Object)
		if _, err := w.g.Decide(ctx, h.Plan.ID, approval.Approve, person(1), "mine"); !fault.Is(err, fault.Denied) {
			t.Fatalf("%v, want Denied", err)
		}
		unmoved(t, w)
	})
	t.Run("denied by one", func(t *testing.T) {
		t.Parallel()
		w, h := deleted(t)
		for i := 1; i <= 2; i++ {
			_, err := w.g.Decide(ctx, h.Plan.ID, approval.Approve, person(i), "recover")
			must(t, err)
		}
		_, err := w.g.Decide(ctx, h.Plan.ID, approval.Deny, person(3), "it is an erasure")
		must(t, err)
		unmoved(t, w)
	})
	t.Run("the policy changed since", func(t *testing.T) {
		t.Parallel()
		w, h := deleted(t)
		for i := 1; i <= 2; i++ {
			_, err := w.g.Decide(ctx, h.Plan.ID, approval.Approve, person(i), "recover")
			must(t, err)
		}
		w.g.Policy.Hash = "another"
		unmoved(t, w)
	})
	t.Run("expired", func(t *testing.T) {
		t.Parallel()
		w, h := deleted(t)
		for i := 1; i <= 2; i++ {
			_, err := w.g.Decide(ctx, h.Plan.ID, approval.Approve, person(i), "recover")
			must(t, err)
		}
		w.sim.Clock().Advance(25 * time.Hour)
		unmoved(t, w)
	})
	t.Run("to be erased", func(t *testing.T) {
		t.Parallel()
		w, h := deleted(t)
		for i := 1; i <= 2; i++ {
			_, err := w.g.Erase(ctx, w.key, person(i), "contract ended")
			must(t, err)
			_, err = w.g.Decide(ctx, h.Plan.ID, approval.Approve, person(i), "recover")
			must(t, err)
		}
		unmoved(t, w)
		if !w.told.has("CMK-010", "to be erased") {
			t.Fatal("the alert does not say that it is to be erased")
		}
	})
	t.Run("held by a tag on the deleted key", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, setup{kind: "v1", created: 30 * 24 * time.Hour, loosest: true})
		w.tagKey(map[string]string{"CMKGuard-Hold": "no"})
		w.sim.DeleteKey(w.key)
		w.hint()
		w.run(1)
		h := w.plans(plan.RecoverKey)[0]
		for i := 1; i <= 2; i++ {
			_, err := w.g.Decide(ctx, h.Plan.ID, approval.Approve, person(i), "recover")
			must(t, err)
		}
		unmoved(t, w)
	})
}

func TestAStandingApprovalLetsTheRepairRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: 30 * 24 * time.Hour, loosest: true})
	w.sim.ChangeVersion(w.key, func(v *azuresim.Version) { v.Expires = nil })
	for i := 1; i <= 2; i++ {
		_, err := w.g.Stand(ctx, plan.RecoverKey, w.key.Base(), person(i), 30*24*time.Hour, "shared key")
		must(t, err)
	}
	w.sim.DeleteKey(w.key)
	w.hint()
	w.run(2)
	if w.changes() != 1 || !w.usable() {
		t.Fatalf("%d changes", w.changes())
	}
	other := azureid.Key{Host: host, Name: "other"}
	if _, err := w.g.Stand(ctx, plan.Rotate, other, person(1), time.Hour, ""); !fault.Is(err, fault.Invalid) {
		t.Fatalf("%v", err)
	}
	if _, err := w.g.Stand(ctx, plan.RecoverKey, other, person(1), 91*24*time.Hour, ""); !fault.Is(err, fault.Invalid) {
		t.Fatalf("%v", err)
	}
}

// Somebody tries to purge a deleted key: refused by purge protection, told by the
// log's record, and nothing is rescued without people.
func TestAPurgeAttemptIsToldAndRescuesNothing(t *testing.T) {
	t.Parallel()
	var records [][]byte
	o := setup{kind: "v1", created: 30 * 24 * time.Hour, loosest: true, azure: azuresim.Options{OnAudit: func(raw []byte) { records = append(records, raw) }}}
	w := newWorld(t, o)
	w.sim.ChangeVersion(w.key, func(v *azuresim.Version) { v.Expires = nil })
	w.sim.AddCaller(azuresim.Caller{Name: "mallory", ObjectID: person(6).Object, Token: "mallory"})
	w.sim.Assign(root+"Microsoft.KeyVault/vaults/kv-a", azuresim.RoleCryptoOfficer, person(6).Object)
	w.sim.DeleteKey(w.key)
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, "https://"+host+"/deletedkeys/kek?api-version=7.5", nil)
	must(t, err)
	req.Header.Set("Authorization", "Bearer mallory")
	resp, err := (&http.Client{Transport: w.sim.Transport()}).Do(req)
	must(t, err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Fatalf("purge: %s", resp.Status)
	}
	body := append([]byte(`{"records":[`), bytes.Join(records, []byte(","))...)
	_, err = w.g.TakeLogs(ctx, "vaultlogs", [][]byte{append(body, "]}"...)})
	must(t, err)
	w.run(2)
	if !w.told.has("", "Denied: an attempt to change a key in use") || !w.told.has("CMK-010", "can be recovered until") {
		t.Fatal("the attempt, or what is deleted and until when, was not told")
	}
	for _, c := range w.sim.Calls() {
		if c.Caller == "guard" && c.Method != http.MethodGet && c.Status < 300 && !strings.HasSuffix(c.Path, "/resources") {
			t.Fatalf("changed: %s %s", c.Method, c.Path)
		}
	}
	if _, err := w.g.Decide(ctx, w.plans(plan.RecoverKey)[0].Plan.ID, approval.Approve, person(6), "me again"); !fault.Is(err, fault.Denied) {
		t.Fatalf("the one who tried to purge may approve: %v", err)
	}
}
