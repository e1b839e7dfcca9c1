package guard_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/fault"
	"cmkguard/internal/guard"
	"cmkguard/internal/plan"
	"cmkguard/internal/policy"
)

const (
	ours      = "99999999-9999-9999-9999-999999999999" // our remediator
	ourRole   = "aaaaaaaa-0000-4000-8000-00000000000a"
	ourGroup  = "bbbbbbbb-0000-4000-8000-00000000000b"
	vaultID   = root + "Microsoft.KeyVault/vaults/kv-a"
	groupOnly = "/subscriptions/" + sub + "/resourceGroups/rg"
)

type principal struct {
	id  string
	err error
}

func (p *principal) Principal(context.Context) (string, error) { return p.id, p.err }

// armed is a world whose policy lets rotate and rewire run, and whose remediator
// may.
func armed(t *testing.T) (*world, *principal) {
	t.Helper()
	w := newWorld(t, setup{kind: "v1", created: 72 * time.Hour, mode: policy.Auto})
	who := &principal{id: ours}
	w.g.Watch, w.g.Reconcile = guard.Watch{Beats: true, Remediator: who}, time.Hour
	w.sim.AddRole(azuresim.RoleDefinition{ID: ourRole, Name: "CMK Guard Remediator", Actions: []string{
		"Microsoft.Cache/redisEnterprise/write", "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"}})
	w.sim.Assign(groupOnly, ourRole, ours)
	w.hours(1)
	w.want("all is given", "SELF-006", 0, 0)
	return w, who
}

func (w *world) officer() { w.sim.Assign(vaultID, azuresim.RoleCryptoOfficer, ours) }

func TestOurHandsAreCut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cut, mend func(*world)
		says      string
	}{
		"every role is gone": {func(w *world) { w.sim.Unassign(ours) }, func(w *world) {
			w.officer()
			w.sim.Assign(groupOnly, ourRole, ours)
		}, "rotate needs Microsoft.KeyVault/vaults/keys/rotate/action at " + vaultID + "/keys/kek"},
		"the vault goes by access policies": {func(w *world) {
			w.sim.ChangeVault(host, func(v *azuresim.Vault) {
				v.RBAC = false
				v.Policies = []azuresim.AccessPolicy{{TenantID: v.TenantID, ObjectID: ours, Keys: []string{"get", "list", "getrotationpolicy"}}}
			})
		}, func(w *world) {
			w.sim.ChangeVault(host, func(v *azuresim.Vault) { v.Policies[0].Keys = append(v.Policies[0].Keys, "rotate") })
		}, "lacks 1 of 4 rights"},
		"a remedy more is switched on": {func(w *world) { w.g.Policy.Remedies[plan.RestoreGrant] = policy.Approve }, func(w *world) {
			w.g.Policy.Remedies[plan.RestoreGrant] = policy.DryRun
		}, "restore-grant needs Microsoft.Authorization/roleAssignments/write"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := armed(t)
			c.cut(w)
			w.hours(2)
			w.want("cut", "SELF-006", 1, 0)
			if !w.told.has("SELF-006", c.says) {
				t.Fatal(w.told.first(t, "SELF-006").What)
			}
			w.refuse(422, http.MethodPost, "/providers/Microsoft.ResourceGraph/resources")
			w.hours(1)
			w.want("nobody can tell", "SELF-006", 1, 0)
			w.sim.ClearFaults()
			c.mend(w)
			w.hours(1)
			w.want("mended", "SELF-006", 1, 1)
		})
	}
}

// What cannot be told opens nothing, and where nothing is to act nothing lacks.
func TestHandsThatCannotBeToldAndThatAreIdle(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*world, *principal){
		"who we are": func(_ *world, p *principal) { p.err = fault.New(fault.Transient, "cloud", "no token") },
		"the lists": func(w *world, _ *principal) {
			w.refuse(422, http.MethodPost, "/providers/Microsoft.ResourceGraph/resources")
		},
		"a group of ours": func(w *world, _ *principal) { w.groupOfOurs() },
		"the policy is a dry run": func(w *world, _ *principal) {
			w.sim.Unassign(ours)
			w.g.Policy.Remedies = nil
		},
		"no remediator": func(w *world, _ *principal) {
			w.sim.Unassign(ours)
			w.g.CanWrite = false
		},
		"the clusters are out of scope": func(w *world, _ *principal) {
			w.sim.Unassign(ours)
			w.g.Policy.Scope.Exclude = []string{"cache-*"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, who := armed(t)
			change(w, who)
			w.hours(2)
			w.want(name, "SELF-006", 0, 0)
		})
	}
}

// groupOfOurs gives what we need by a group, of which the list does not say who is in
// it: our own list is asked then, which does. The simulated one has no groups, so
// that it has to be refused here.
func (w *world) groupOfOurs() {
	w.sim.Unassign(ours)
	w.sim.AddRole(azuresim.RoleDefinition{ID: ourRole, Name: "CMK Guard Remediator", DataActions: []string{"Microsoft.KeyVault/vaults/*"}, Actions: []string{"*"}})
	w.sim.AssignAs(azuresim.RoleAssignment{Scope: groupOnly, RoleID: ourRole, PrincipalID: ourGroup, Type: "Group"})
}

// A list that lags is not believed: what it shows lacking is asked about by itself.
func TestAListThatLagsCutsNoHands(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v2", created: 72 * time.Hour, mode: policy.Auto, azure: azuresim.Options{GraphLag: 2 * time.Hour}})
	w.g.Watch, w.g.Reconcile = guard.Watch{Beats: true, Remediator: &principal{id: ours}}, time.Hour
	w.sim.Unassign(ours)
	w.hours(3)
	w.want("not given yet", "SELF-006", 1, 0)
	w.sim.AddRole(azuresim.RoleDefinition{ID: ourRole, Name: "CMK Guard Remediator", Actions: []string{"Microsoft.Cache/*", "Microsoft.ManagedIdentity/*"}})
	w.officer()
	w.sim.Assign(groupOnly, ourRole, ours)
	w.hours(1)
	w.want("given, and in no list yet", "SELF-006", 1, 1)
}

// Of very many, a few are asked about by themselves, and a few are named.
func TestManyHandsCutCostFewCalls(t *testing.T) {
	t.Parallel()
	w, _ := armed(t)
	for n := range 40 {
		k := w.sim.AddKey(host, fmt.Sprintf("kek-%d", n), azuresim.KeyOptions{Created: w.sim.Clock().Now().Add(-72 * time.Hour), Policy: azuresim.Rotation{ExpiryTime: "P365D"}})
		c := w.sim.Cluster(w.cluster)
		c.ID, c.Kind = azureid.MustResource(fmt.Sprintf("%sMicrosoft.Cache/redisEnterprise/cache-%d", root, n)), "v2"
		cmk := *c.CMK
		cmk.KeyURL = k.String()
		c.CMK = &cmk
		w.sim.AddCluster(c)
	}
	w.sim.Unassign(ours)
	before := w.sim.Count(http.MethodGet, "/roleAssignments")
	w.sim.Clock().Advance(61 * time.Minute)
	must(t, w.g.Sweep(ctx)) // without the looks that follow
	must(t, w.g.Tend(ctx))
	if n := w.sim.Count(http.MethodGet, "/roleAssignments") - before; n != 20 {
		t.Fatalf("%d calls, want 20", n)
	}
	a := w.told.first(t, "SELF-006")
	if !strings.Contains(a.What, "lacks 124 of 124 rights") || !strings.Contains(a.What, "and 119 more") {
		t.Fatal(a.What)
	}
}

// Whether a group's role is ours is not known by a list: it ends nothing.
func TestAGroupsRoleEndsNothingOfHands(t *testing.T) {
	t.Parallel()
	w, _ := armed(t)
	w.sim.Unassign(ours)
	w.hours(1)
	w.groupOfOurs()
	w.hours(1)
	w.want("a group holds it", "SELF-006", 1, 0)
}
