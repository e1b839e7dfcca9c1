package plan_test

import (
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/plan"
	"cmkguard/internal/risk/risktest"
	"cmkguard/internal/wiring"
)

// peer is another member, healthy, with a key and a vault of its own.
func peer() wiring.Peer {
	c := risktest.Healthy(now).Cluster.Value
	c.ID = azureid.MustResource(risktest.Group + "/providers/Microsoft.Cache/redisEnterprise/orders-north")
	c.CMK = &wiring.CMK{Key: azureid.Key{Host: "kv-north.vault.azure.net", Name: "kek", Version: strings.Repeat("d", 32)}}
	return wiring.Peer{ID: c.ID, Cluster: wiring.Read(c, "arm GET", now)}
}

func TestGeoGroup(t *testing.T) {
	t.Parallel()
	act := func(a plan.Action) func(*plan.Facts, *plan.Inputs, *wiring.Peer) {
		return func(_ *plan.Facts, in *plan.Inputs, _ *wiring.Peer) {
			a.At = now.Add(-24 * time.Hour * 200)
			in.History.Actions = append(in.History.Actions, a)
		}
	}
	for name, c := range map[string]struct {
		change func(*plan.Facts, *plan.Inputs, *wiring.Peer)
		reason string // "": allowed
		failed bool   // the group is stopped at a failure
	}{
		"all well":        {func(*plan.Facts, *plan.Inputs, *wiring.Peer) {}, "", false},
		"its key is done": {act(plan.Action{Plan: "x", Key: peer().Cluster.Value.CMK.Key.ID(), Ended: plan.Done}), "", false},
		"its key rotates": {act(plan.Action{Plan: "x", Remedy: plan.Rotate, Key: peer().Cluster.Value.CMK.Key.ID(), Ended: plan.Running}), "rotate (plan x) is under way on it", false},
		"it is moved":     {act(plan.Action{Plan: "x", Remedy: plan.AttachIdentity, Subject: "cluster:" + peer().ID.Key(), Ended: plan.Running}), "attach-identity (plan x) is under way", false},
		"its move failed": {act(plan.Action{Plan: "x", Remedy: plan.Rewire, Key: peer().Cluster.Value.CMK.Key.ID(), Ended: plan.Failed}), "rewire (plan x) did not succeed on the other member orders-north", true},
		"it was stopped":  {act(plan.Action{Plan: "x", Remedy: plan.Rotate, Subject: "cluster:" + peer().ID.Key(), Ended: plan.Unexpected}), "did not succeed", true},
		"it was tried again": {func(f *plan.Facts, in *plan.Inputs, m *wiring.Peer) {
			for i, e := range []plan.Ended{plan.Failed, plan.Done} {
				in.History.Actions = append(in.History.Actions, plan.Action{Plan: "x", Remedy: plan.Rotate, Key: m.Cluster.Value.CMK.Key.ID(), At: now.AddDate(0, 0, i-100), Ended: e})
			}
		}, "", false},
		"both were begun, this one first": {func(_ *plan.Facts, in *plan.Inputs, m *wiring.Peer) {
			f, _ := world(t)
			in.History.Actions = []plan.Action{
				{Plan: plan.ForRotation(f, "", now).ID, Key: f.Key.ID(), Ended: plan.Running, At: now.AddDate(0, 0, -101)},
				{Plan: "x", Remedy: plan.Rotate, Key: m.Cluster.Value.CMK.Key.ID(), Ended: plan.Running, At: now.AddDate(0, 0, -100)},
			}
		}, "", false},
		"both were begun, the other first": {func(_ *plan.Facts, in *plan.Inputs, m *wiring.Peer) {
			f, _ := world(t)
			in.History.Actions = []plan.Action{
				{Plan: plan.ForRotation(f, "", now).ID, Key: f.Key.ID(), Ended: plan.Running, At: now.AddDate(0, 0, -99)},
				{Plan: "x", Remedy: plan.Rotate, Key: m.Cluster.Value.CMK.Key.ID(), Ended: plan.Running, At: now.AddDate(0, 0, -100)},
			}
		}, "is under way on it", false},
		"its repair failed": {act(plan.Action{Plan: "x", Remedy: plan.RecoverKey, Key: peer().Cluster.Value.CMK.Key.ID(), Ended: plan.Failed}), "", false},
		"it updates":        {func(_ *plan.Facts, _ *plan.Inputs, m *wiring.Peer) { m.Cluster.Value.ResourceState = "Updating" }, "orders-north of its geo-replication group is Updating", false},
		"it scales":         {func(_ *plan.Facts, _ *plan.Inputs, m *wiring.Peer) { m.Cluster.Value.ProvisioningState = "Updating" }, "provisioning Updating", false},
		"it failed":         {func(_ *plan.Facts, _ *plan.Inputs, m *wiring.Peer) { m.Cluster.Value.ResourceState = "UpdateFailed" }, "UpdateFailed", true},
		"it is gone": {func(_ *plan.Facts, _ *plan.Inputs, m *wiring.Peer) {
			m.Cluster = wiring.NotThere[wiring.Cluster]("c", now, "404")
		}, "unlink it", true},
		"it is hidden": {func(_ *plan.Facts, _ *plan.Inputs, m *wiring.Peer) {
			m.Cluster = wiring.Failed[wiring.Cluster]("c", now, "403")
		}, "could not be read: 403", false},
		"no group is read": {func(f *plan.Facts, _ *plan.Inputs, m *wiring.Peer) { m.ID = azureid.Resource{} }, "could not be read", false},
		"one key for both": {func(f *plan.Facts, _ *plan.Inputs, m *wiring.Peer) {
			m.Cluster.Value.CMK.Key = f.Key
			f.Consumers.Clusters = append(f.Consumers.Clusters, m.Cluster.Value)
		}, "perhaps at once", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, in := world(t)
			m := peer()
			c.change(&f, &in, &m)
			f.Wirings[0].Posture.Peers = wiring.Read([]wiring.Peer{m}, "arm GET databases", now)
			if m.ID.IsZero() {
				f.Wirings[0].Posture.Peers = wiring.Failed[[]wiring.Peer]("arm GET databases", now, "403")
			}
			rulings := plan.Gates(plan.ForRotation(f, "", now), f, in)
			got := rulingOf(t, rulings, "geo-group")
			if health := rulingOf(t, rulings, "geo-health"); c.failed {
				got = health
			} else if health.Answer != plan.Allow {
				t.Fatalf("not a failure: %+v", health)
			}
			if c.reason == "" && got.Answer != plan.Allow || c.reason != "" && (got.Answer != plan.Hold || !strings.Contains(got.Reason, c.reason)) {
				t.Fatalf("%+v, want %q", got, c.reason)
			}
		})
	}
}

// What people released may be what saves the group: it waits for what is under way,
// not for a member that is down.
func TestGeoGroupDoesNotKeepPeopleFromRescuing(t *testing.T) {
	t.Parallel()
	down, busy := peer(), peer()
	down.Cluster.Value.ResourceState, busy.Cluster.Value.ResourceState = "Disabled", "Updating"
	for remedy, moves := range map[string]bool{plan.AttachIdentity: true, plan.RollBackDowngrade: true, plan.Rewire: false, plan.Rotate: false} {
		if got := plan.GroupTrouble(remedy, wiring.Read([]wiring.Peer{down}, "c", now)); (got.Text == "") != moves || got.Failed == moves {
			t.Errorf("%s beside a member that is down: %+v", remedy, got)
		}
		if got := plan.GroupTrouble(remedy, wiring.Read([]wiring.Peer{busy}, "c", now)); got.Text == "" || got.Failed {
			t.Errorf("%s beside a member that is updated: %+v", remedy, got)
		}
		if !plan.Moves(remedy) {
			t.Errorf("%s is not asked", remedy)
		}
	}
}

func rulingOf(t *testing.T, rs []plan.Ruling, gate string) plan.Ruling {
	t.Helper()
	for _, r := range rs {
		if r.Gate == gate {
			return r
		}
	}
	t.Fatalf("no gate %q in %+v", gate, rs)
	return plan.Ruling{}
}
