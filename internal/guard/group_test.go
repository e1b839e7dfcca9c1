package guard_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/guard"
	"cmkguard/internal/policy"
	"cmkguard/internal/store"
)

// geo is a world with two members of one geo-replication group, each with a vault, a
// key and an identity of its own region, both near their expiry.
type geo struct {
	*world
	members [2]azureid.Resource
	keys    [2]azureid.Key
	mu      sync.Mutex
	both    []string // moments at which both were moved by us
}

func newGeo(t *testing.T, o setup) *geo {
	t.Helper()
	o.created, o.mode = year, policy.Auto
	w := newWorld(t, o)
	g := &geo{world: w}
	const kvB, idB, principal = "kv-b.vault.azure.net", root + "Microsoft.ManagedIdentity/userAssignedIdentities/id-b", "22222222-2222-2222-2222-222222222202"
	vault, identity := azureid.MustResource(root+"Microsoft.KeyVault/vaults/kv-b"), azureid.MustResource(idB)
	now := w.sim.Clock().Now()
	soon := now.Add(20 * 24 * time.Hour)
	w.sim.AddVault(azuresim.Vault{ID: vault, Location: "northeurope", RBAC: true, SoftDelete: true, PurgeProtection: true})
	w.sim.Assign(vault.String(), azuresim.RoleCryptoOfficer, "99999999-9999-9999-9999-999999999999")
	w.sim.Assign(vault.String(), azuresim.RoleCryptoServiceEncryptionUser, principal)
	w.sim.AddIdentity(azuresim.Identity{ID: identity, PrincipalID: principal, ClientID: "33333333-3333-3333-3333-333333333302", Location: "northeurope"})
	key := w.sim.AddKey(kvB, "kek-b", azuresim.KeyOptions{Created: now.Add(-year), Expires: &soon, Policy: azuresim.Rotation{ExpiryTime: "P365D"}})
	other := azureid.MustResource(root + "Microsoft.Cache/redisEnterprise/cache-b")
	w.sim.AddCluster(azuresim.Cluster{ID: other, Kind: o.kind, SKU: "Enterprise_E10", Location: "North Europe", GeoGroup: "orders", Identities: []azureid.Resource{identity},
		CMK: &azuresim.CMK{IdentityType: "userAssignedIdentity", IdentityID: identity, KeyURL: key.String()}})
	w.sim.ChangeCluster(w.cluster, func(c *azuresim.Cluster) { c.GeoGroup = "orders" })
	w.put("actions", "first~rotate", now.Add(-year)) // rotate has run by itself for long
	g.members, g.keys = [2]azureid.Resource{w.cluster, other}, [2]azureid.Key{w.key, key}
	return g
}

// moving reports whether a member is being moved by us.
func (g *geo) moving(i int) bool {
	c := g.sim.Cluster(g.members[i])
	ours := c.Operation != nil && c.Operation.Apply != nil && c.ResourceState == "Updating"
	versions := g.sim.Versions(g.keys[i])
	pending := c.Kind == "v2" && len(versions) > 1 && !strings.HasSuffix(c.CMK.KeyURL, versions[len(versions)-1])
	return ours || pending // a managed cache may take a new version up at any moment
}

func (g *geo) watch(when string) {
	if g.moving(0) && g.moving(1) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.both = append(g.both, when+" at "+g.sim.Clock().Now().String())
	}
}

func (g *geo) follows(i int) bool {
	versions := g.sim.Versions(g.keys[i])
	return len(versions) == 2 && strings.HasSuffix(g.sim.Cluster(g.members[i]).CMK.KeyURL, versions[1])
}

// workers are two processes under one policy.
func (g *geo) workers() []*worker {
	second := g.boot(parts{backend: g.b})
	second.Policy = g.g.Policy
	return []*worker{{g: g.g, b: g.b}, {g: second, b: g.b}}
}

func (g *geo) expire() {
	for i, k := range g.keys {
		g.take(g.sim.NearExpiry(k, fmt.Sprint("geo-", i)))
	}
}

// runWatched lets both workers go on in small steps.
func (g *geo) runWatched(d time.Duration, workers ...*worker) {
	g.t.Helper()
	for end := g.sim.Clock().Now().Add(d); g.sim.Clock().Now().Before(end); g.sim.Clock().Advance(time.Minute) {
		for i, p := range workers {
			g.turn(p)
			g.watch(fmt.Sprint("worker ", i))
		}
		if g.sim.Clock().Now().Minute()%2 == 0 {
			must(g.t, workers[0].g.Sweep(ctx))
		}
	}
}

// Members with keys and vaults of their own are rotations of their own, and still
// moved one after another.
func TestAGroupIsMovedOneMemberAtATime(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"v1", "v2"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			g := newGeo(t, setup{kind: kind})
			g.expire()
			g.runWatched(8*time.Hour, g.workers()...)
			if len(g.both) > 0 {
				t.Fatalf("both were moved: %v", g.both)
			}
			if !g.follows(0) || !g.follows(1) {
				t.Fatalf("followed: %v, %v", g.follows(0), g.follows(1))
			}
			if g.told.has("", "Stopped") {
				for _, a := range g.told.all {
					if strings.Contains(a.Title, "Stopped") {
						t.Errorf("to wait for one's turn was told as a failure: %s", a.What)
					}
				}
			}
			g.leftNoTurn()
		})
	}
}

// between runs do once, when a worker is about to write what it begins: its gates have
// ruled by then.
type between struct {
	store.State
	do *func()
}

func (b between) Apply(ctx context.Context, partition string, ops []store.Op) ([]string, error) {
	if do := *b.do; do != nil && partition == "actions" && strings.HasPrefix(ops[0].Key, "action~") {
		*b.do = nil
		do()
	}
	return b.State.Apply(ctx, partition, ops)
}

// meet lets two workers begin with both members at the same moment.
func (g *geo) meet() {
	g.t.Helper()
	var other func()
	slow := g.boot(parts{backend: store.Backend{State: between{g.b.State, &other}, Queue: g.b.Queue, Log: g.b.Log}})
	slow.Policy = g.g.Policy
	g.expire()
	other = func() {
		for range 20 {
			g.pump(g.g)
		}
	}
	for range 20 {
		g.pump(slow)
	}
	if other != nil || g.sim.Count(http.MethodPost, "/rotate") == 0 {
		g.t.Fatal("they did not meet")
	}
}

// turnRound works once on what is due, the last first.
func (g *geo) turnRound() {
	g.t.Helper()
	ms, err := g.b.Queue.Take(ctx, guard.WorkQueue, 16, time.Minute)
	must(g.t, err)
	slices.Reverse(ms)
	for _, m := range ms {
		must(g.t, g.g.Work(ctx, m.Body))
		must(g.t, g.b.Queue.Done(ctx, guard.WorkQueue, m))
		g.watch("a message in the other order")
	}
}

// Two workers whose gates ruled at the same moment are kept apart by the group's turn,
// through hours in which nobody works.
func TestWorkersThatBeginTogetherAreKeptApart(t *testing.T) {
	t.Parallel()
	for name, outage := range map[string]time.Duration{"v1": 0, "v2": 0, "v1 after hours": 6 * time.Hour, "v2 after hours": 6 * time.Hour, "v2 after hours, the other first": 7 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGeo(t, setup{kind: name[:2], azure: azuresim.Options{NoAdopt: true}})
			g.meet()
			g.sim.Clock().Advance(outage)
			g.watch("the outage")
			if strings.HasSuffix(name, "the other first") {
				g.turnRound()
			}
			g.runWatched(12*time.Hour, g.workers()...)
			if len(g.both) > 0 {
				t.Fatalf("both were moved: %v", g.both)
			}
			if !g.follows(0) || !g.follows(1) {
				t.Fatalf("followed: %v, %v", g.follows(0), g.follows(1))
			}
			g.leftNoTurn()
		})
	}
}

// What was begun side by side stops at the other's failure too.
func TestWhatWasBegunStopsAtTheOthersFailure(t *testing.T) {
	t.Parallel()
	g := newGeo(t, setup{kind: "v1"})
	g.sim.Inject(azuresim.Fault{Method: http.MethodPatch, Times: 1, Mode: azuresim.Refuse, Status: 400, Code: "InvalidRequestBody"})
	g.meet()
	g.runWatched(4*time.Hour, g.workers()...)
	if n := g.sim.Count(http.MethodPost, "/rotate"); n != 2 {
		t.Fatalf("%d rotations: they did not begin together", n)
	}
	if g.follows(0) || g.follows(1) || !g.told.has("", "did not succeed on the other member") {
		t.Fatalf("followed: %v, %v", g.follows(0), g.follows(1))
	}
}

// What came while another member was on the way is taken up when that has ended, though
// nothing else asks for a look.
func TestWhatWaitedForItsTurnIsTakenUp(t *testing.T) {
	t.Parallel()
	g := newGeo(t, setup{kind: "v1"})
	g.take(g.sim.NearExpiry(g.keys[0], "first"))
	g.runWatched(5*time.Minute, g.workers()...)
	g.take(g.sim.NearExpiry(g.keys[1], "second"))
	g.runWatched(4*time.Hour, g.workers()...)
	if !g.told.has("CMK-013", "cache-a of its geo-replication group is Updating") || !g.follows(0) || !g.follows(1) {
		for _, a := range g.told.all {
			t.Log(a.At, a.Title, a.What, a.Done)
		}
		t.Fatalf("followed: %v, %v", g.follows(0), g.follows(1))
	}
}

// leftNoTurn fails if a turn outlives its plan.
func (g *geo) leftNoTurn() {
	g.t.Helper()
	rows, err := g.b.State.Scan(ctx, "groups", "", "", 10)
	must(g.t, err)
	if len(rows) > 0 {
		g.t.Errorf("%d turns were not given back: %s", len(rows), rows[0].Value)
	}
}

// The first member's failure stops the second, on its old and enabled version, and
// pages.
func TestAGroupStopsAtTheFirstFailure(t *testing.T) {
	t.Parallel()
	g := newGeo(t, setup{kind: "v1"})
	g.sim.Inject(azuresim.Fault{Method: http.MethodPatch, Path: "/subscriptions/*/resourceGroups/rg/providers/Microsoft.Cache/redisEnterprise/cache-*", Times: 1, Mode: azuresim.Refuse, Status: 400, Code: "KeyVaultAccessFailed"})
	failed := -1
	g.sim.SetTap(func(r *http.Request) *azuresim.Fault {
		if r.Method == http.MethodPatch && failed < 0 {
			failed = slices.IndexFunc(g.members[:], func(m azureid.Resource) bool { return strings.EqualFold(m.String(), r.URL.Path) })
			go g.sim.ChangeCluster(g.members[failed], func(c *azuresim.Cluster) { c.ProvisioningState, c.ResourceState = "Failed", "UpdateFailed" })
		}
		return nil
	})
	g.expire()
	g.runWatched(4*time.Hour, &worker{g: g.g, b: g.b})
	if failed < 0 {
		t.Fatal("nothing was tried")
	}
	other := g.members[1-failed]
	if n := g.sim.Count(http.MethodPatch, other.String()); n != 0 {
		t.Fatalf("%d PATCHes of the other member", n)
	}
	if !g.told.has("", "Stopped: rotate") || !g.told.has("", g.members[failed].Name()+" of its geo-replication group is UpdateFailed") {
		t.Fatal("the stop, or why the other waits, was not told")
	}
	// It is mended by hand, and the other goes on.
	g.sim.ChangeCluster(g.members[failed], func(c *azuresim.Cluster) { c.ProvisioningState, c.ResourceState = "Succeeded", "Running" })
	g.g.Reconcile = time.Hour
	g.runWatched(10*time.Hour, &worker{g: g.g, b: g.b})
	if !g.follows(1 - failed) {
		t.Fatal("the other did not follow after the mending")
	}
}

// TestNeverTwoMembersAtOnce: whatever the order of events, faults, outages and other
// people's changes, no two members are moved by us together.
func TestNeverTwoMembersAtOnce(t *testing.T) {
	t.Parallel()
	dir, profile := served(t, azuresim.New(azuresim.Options{}))
	moved := 0
	rapid.Check(t, func(rt *rapid.T) {
		g := randomGeo(t, rt, dir, profile)
		workers := g.workers()
		for range rapid.IntRange(3, 10).Draw(rt, "steps") {
			g.disturb(rt)
			for range rapid.IntRange(1, 25).Draw(rt, "minutes") {
				g.pump(workers[rapid.IntRange(0, 1).Draw(rt, "worker")].g)
				g.sim.Clock().Advance(time.Minute)
			}
		}
		g.sim.ClearFaults()
		if len(g.both) > 0 {
			rt.Fatalf("both were moved: %v", g.both)
		}
		for i := range g.members {
			if g.follows(i) {
				moved++
			}
		}
	})
	if moved == 0 {
		t.Error("nothing was ever moved: the worlds show nothing")
	}
}

func randomGeo(t *testing.T, rt *rapid.T, dir string, profile cloud.Profile) *geo {
	g := newGeo(t, setup{kind: rapid.SampledFrom([]string{"v1", "v2"}).Draw(rt, "kind"), dir: dir, profile: profile,
		azure: azuresim.Options{NoAdopt: rapid.Bool().Draw(rt, "no adoption")}})
	return g
}

// pump works on a few messages, and judges after each.
func (g *geo) pump(by *guard.Guard) {
	ms, err := g.b.Queue.Take(ctx, guard.WorkQueue, 1, time.Minute)
	must(g.t, err)
	for _, m := range ms {
		if by.Work(ctx, m.Body) == nil {
			_ = g.b.Queue.Done(ctx, guard.WorkQueue, m)
		}
		g.watch("a message")
	}
	_ = by.Sweep(ctx)
	g.watch("a sweep")
}

func (g *geo) disturb(rt *rapid.T) {
	i := rapid.IntRange(0, 1).Draw(rt, "member")
	switch rapid.SampledFrom([]string{"expiry", "expiry", "fault", "outage", "scaled", "mended", "late", "hurry"}).Draw(rt, "step") {
	case "expiry":
		_ = g.g.Take(ctx, "keyvaultevents", g.sim.NearExpiry(g.keys[i], fmt.Sprint("geo-", i, rapid.IntRange(0, 3).Draw(rt, "id"))))
	case "fault":
		g.sim.Inject(azuresim.Fault{Method: rapid.SampledFrom([]string{http.MethodGet, http.MethodPatch, http.MethodPost}).Draw(rt, "method"), Times: 1 + i,
			Mode: azuresim.Refuse, Status: rapid.SampledFrom([]int{403, 404, 409}).Draw(rt, "status"), Code: "Injected"})
	case "late":
		g.sim.Inject(azuresim.Fault{Method: http.MethodPatch, Times: 1, Mode: azuresim.Late, Status: 504, Code: "Timeout", Delay: 100 * time.Second})
	case "outage": // nobody works for hours
		g.sim.Clock().Advance(time.Duration(rapid.IntRange(1, 8).Draw(rt, "hours")) * time.Hour)
		g.watch("an outage")
	case "scaled": // by its owner
		g.sim.ChangeCluster(g.members[i], func(c *azuresim.Cluster) { c.ResourceState = "Scaling" })
	case "mended":
		g.sim.ChangeCluster(g.members[i], func(c *azuresim.Cluster) {
			if c.ResourceState == "Scaling" {
				c.ResourceState = "Running"
			}
		})
	case "hurry":
		g.g.Policy.Limits.Risk.AdoptionWait = time.Minute // clusters are PATCHed at once
	}
}
