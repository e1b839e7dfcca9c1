package guard_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/approval"
	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/guard"
	"cmkguard/internal/plan"
	"cmkguard/internal/policy"
	"cmkguard/internal/remedy/rotate"
	"cmkguard/internal/store"
)

// An owner who takes the same thing away again after it was given back twice is
// fought with no longer, whatever stands approved.
func TestAFightStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: 30 * 24 * time.Hour, loosest: true})
	w.sim.ChangeVersion(w.key, func(v *azuresim.Version) { v.Expires = nil })
	for n := 1; n <= 2; n++ {
		_, err := w.g.Stand(ctx, plan.ReenableVersion, w.key.Base(), person(n), 30*24*time.Hour, "shared key")
		must(t, err)
	}
	for round := 1; round <= 4; round++ {
		w.sim.ChangeVersion(w.key, func(v *azuresim.Version) { v.Enabled = false })
		w.hint()
		w.run(2)
		if n := w.changes(); n != min(round, 2) {
			t.Fatalf("round %d: %d changes", round, n)
		}
		w.sim.ChangeVersion(w.key, func(v *azuresim.Version) { v.Enabled = true }) // by its owner, to begin the next round
		w.hint()
		w.run(1)
	}
	if !w.told.has("CMK-011", "others reversed reenable-version") {
		t.Fatal("the fight was not told")
	}
}

// A freeze window counts by its own zone's clock; what it held begins by itself
// when it ends.
func TestAFreezeWindowElsewhereHoldsAndLifts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: year, mode: policy.Auto})
	tokyo, err := time.LoadLocation("Asia/Tokyo")
	must(t, err)
	w.g.Policy.Freezes = []policy.Freeze{{Name: "morning", Zone: tokyo, From: 8 * time.Hour, To: 12 * time.Hour}} // 09:00 there now
	w.take(w.sim.NearExpiry(w.key, "e1"))
	w.run(2)
	if w.rotates() != 0 || !w.told.has("CMK-013", "morning is open (Asia/Tokyo) until Sunday 12:00 JST") {
		t.Fatalf("%d rotations in the window", w.rotates())
	}
	w.run(4)
	if w.rotates() != 1 || !w.onNewest() {
		t.Fatalf("%d rotations after the window", w.rotates())
	}
}

// Keys that were due before rotate was let run by itself begin one, two, four...
// at a time; internal/plan does it with two hundred.
func TestOldFindingsAreRamped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v2", created: year, mode: policy.Auto})
	const keys = 12
	l := &w.g.Policy.Limits
	l.RotationsPerDay, l.ConsumersPerHour, l.ConsumersPerDay = 1000, 1000, 1000
	identity := azureid.MustResource(root + "Microsoft.ManagedIdentity/userAssignedIdentities/id-a")
	soon := w.sim.Clock().Now().Add(20 * 24 * time.Hour)
	for n := range keys - 1 {
		k := w.sim.AddKey(host, fmt.Sprintf("kek-%d", n), azuresim.KeyOptions{Created: w.sim.Clock().Now().Add(-year), Expires: &soon, Policy: azuresim.Rotation{ExpiryTime: "P365D"}})
		w.sim.AddCluster(azuresim.Cluster{ID: azureid.MustResource(root + fmt.Sprintf("Microsoft.Cache/redisEnterprise/cache-%d", n)), Kind: "v2", SKU: "Balanced_B10", Location: "West Europe",
			Identities: []azureid.Resource{identity}, CMK: &azuresim.CMK{IdentityType: "userAssignedIdentity", IdentityID: identity, KeyURL: k.String()}})
	}
	w.g.Reconcile = time.Hour
	began := w.sim.Clock().Now()
	must(t, w.g.Sweep(ctx))
	for w.sim.Clock().Now().Sub(began) < 3*time.Hour {
		w.turn(&worker{g: w.g, b: w.b})
		may := 1 << int(w.sim.Clock().Now().Sub(began)/l.RampStep)
		if n := w.rotates(); n > may {
			t.Fatalf("after %s: %d rotations began, the ramp lets %d", w.sim.Clock().Now().Sub(began), n, may)
		}
		w.sim.Clock().Advance(3 * time.Minute)
	}
	if n := w.rotates(); n != keys {
		for _, a := range w.told.all {
			t.Logf("%s", alert.Render(a, w.sim.Clock().Now()))
		}
		t.Fatalf("%d rotations in three hours, want %d", n, keys)
	}
	if w.rotates() > 0 && !w.told.has("CMK-013", "the ramp lets") {
		t.Fatal("what waits was not listed")
	}
}

// Imported material is its owner's to bring: no rotation, and the alert says what
// to do instead.
func TestImportedMaterialIsNotRotated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: year, mode: policy.Auto})
	w.g.Policy.ImportedMaterial = []string{"kv-a/*"}
	w.take(w.sim.NearExpiry(w.key, "e1"))
	w.run(2)
	if w.changes() != 0 || !w.told.has("CMK-013", "import a version, then approve the rewire") {
		t.Fatalf("%d changes", w.changes())
	}
}

// Three failures in a day open the breaker, and that pages.
func TestTheBreakerOpensAndPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: 30 * 24 * time.Hour, loosest: true})
	w.sim.ChangeVersion(w.key, func(v *azuresim.Version) { v.Expires = nil })
	w.g.Policy.Limits.FailuresPerDay = 1
	w.sim.ChangeVersion(w.key, func(v *azuresim.Version) { v.Enabled = false })
	w.sim.Inject(azuresim.Fault{Method: "PATCH", Path: "/keys/*/*", Times: 10, Mode: azuresim.Refuse, Status: 403, Code: "Forbidden"})
	w.hint()
	w.run(1)
	for n := 1; n <= 2; n++ {
		_, err := w.g.Decide(ctx, w.plans(plan.ReenableVersion)[0].Plan.ID, approval.Approve, person(n), "go")
		must(t, err)
	}
	w.run(1)
	if !w.told.has("", "circuit breaker is open") || !w.told.has("", "Stopped: reenable-version") {
		t.Fatal("the breaker did not page")
	}
	before := strings.Count(fmt.Sprint(w.sim.Calls()), "PATCH")
	w.sim.Unassign(who)
	w.hint()
	w.run(1)
	for n := 1; n <= 2; n++ {
		_, err := w.g.Decide(ctx, w.plans(plan.RestoreGrant)[0].Plan.ID, approval.Approve, person(n), "go")
		must(t, err)
	}
	w.run(1)
	if strings.Count(fmt.Sprint(w.sim.Calls()), "PATCH") != before || w.sim.Count("PUT", "") > 0 {
		t.Fatal("something was begun with an open breaker")
	}
}

// A key that nobody rotates is told again as its end comes nearer, ever more
// urgently, by looks that no event asked for.
func TestAnExpiryIsEscalated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: 30 * 24 * time.Hour, mode: policy.DryRun}) // expires in 20 days
	w.g.Reconcile = time.Hour
	for range 20 * 8 {
		must(t, w.g.Sweep(ctx))
		w.turn(&worker{g: w.g, b: w.b})
		w.sim.Clock().Advance(3 * time.Hour)
	}
	must(t, w.g.Sweep(ctx))
	var told []string
	for _, a := range w.told.all {
		if a.Check == "CMK-013" {
			told = append(told, fmt.Sprintf("%s %s", a.Lifecycle, a.Severity))
		}
	}
	if got := strings.Join(told, ", "); got != "trigger medium, update medium, update high, update critical" {
		t.Fatal(got)
	}
}

// A hold tag holds, and that it was taken away is told once.
func TestAReleasedHoldIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: year, mode: policy.Auto})
	tag := func(tags map[string]string) {
		w.sim.ChangeCluster(w.cluster, func(c *azuresim.Cluster) { c.Tags = tags })
		w.hint()
		w.run(3)
	}
	tag(map[string]string{"cmkguard-HOLD": ""})
	if w.rotates() != 0 || !w.told.has("CMK-013", "the tag cmkguard-hold is on cluster cache-a") || w.told.has("", "hold was released") {
		t.Fatalf("%d rotations under a hold", w.rotates())
	}
	tag(nil)
	tag(nil)
	n := 0
	for _, a := range w.told.all {
		if strings.Contains(a.Title, "A hold was released") {
			n++
		}
	}
	if n != 1 || w.rotates() != 1 {
		t.Fatalf("told %d times, %d rotations", n, w.rotates())
	}
}

// meanwhile runs do once, between a worker's look for an intent and its answer.
type meanwhile struct {
	store.State
	do *func()
}

func (m meanwhile) Get(ctx context.Context, partition, key string) (store.Row, bool, error) {
	row, ok, err := m.State.Get(ctx, partition, key)
	if do := *m.do; do != nil && !ok && strings.HasPrefix(key, "intent~") {
		*m.do = nil
		do()
	}
	return row, ok, err
}

// A worker whose facts show what another has just begun for the same plan does not
// stop the plan for it.
func TestWhatAnotherWorkerBeganIsNotStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: year, mode: policy.Auto})
	w.take(w.sim.NearExpiry(w.key, "e1"))
	must(t, w.g.Work(ctx, w.next()))
	step := w.next()
	var other func()
	slow := w.boot(parts{backend: store.Backend{State: meanwhile{w.b.State, &other}, Queue: w.b.Queue, Log: w.b.Log}})
	other = func() {
		// The fast one reserves and acts, and dies before it writes the saga's step.
		first := &worker{g: w.boot(parts{backend: w.b, vault: func(v rotate.Vault) rotate.Vault { return dieAfter{v} }})}
		first.live(func() { _ = first.g.Work(ctx, step) })
	}
	must(t, slow.Work(ctx, step))
	w.run(4)
	if other != nil || w.rotates() != 1 || !w.told.has("", "Done: rotate") || w.told.has("", "Stopped: rotate") {
		t.Fatalf("%d rotations, done %v, stopped %v", w.rotates(), w.told.has("", "Done: rotate"), w.told.has("", "Stopped: rotate"))
	}
}

// dieAfter ends its process once the rotation took effect.
type dieAfter struct{ rotate.Vault }

func (d dieAfter) Rotate(ctx context.Context, k azureid.Key, id string) (azureid.Key, error) {
	_, _ = d.Vault.Rotate(ctx, k, id)
	panic(errKilled{})
}

// next takes one message of the queue.
func (w *world) next() []byte {
	w.t.Helper()
	ms, err := w.b.Queue.Take(ctx, guard.WorkQueue, 1, time.Minute)
	must(w.t, err)
	if len(ms) != 1 {
		w.t.Fatalf("%d messages", len(ms))
	}
	must(w.t, w.b.Queue.Done(ctx, guard.WorkQueue, ms[0]))
	return ms[0].Body
}
