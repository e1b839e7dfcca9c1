package plan_test

import (
	"strings"
	"testing"
	"time"

	"cmkguard/internal/approval"
	"cmkguard/internal/plan"
	"cmkguard/internal/policy"
	"cmkguard/internal/wiring"
)

var made = strings.Repeat("e", 32)

// rotated is a rotation that moved its one cluster to a new version, and the facts after.
func rotated(t *testing.T) (plan.Facts, plan.Inputs, plan.Did) {
	t.Helper()
	f, in := world(t)
	old := f.Key
	d := plan.Did{Plan: plan.ForRotation(f, "", now), New: made, Moved: map[string]bool{f.Wirings[0].ID.Key(): true}}
	f.Versions.Value = append(f.Versions.Value, wiring.KeyVersion{Key: old.At(made), Enabled: true, Created: now.Add(-time.Hour)})
	f.Wirings[0].Cluster.Value.CMK.Key = old.At(made)
	in.Policy.Remedies[plan.Undo] = policy.Approve
	return f, in, d
}

func TestForUndo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*plan.Facts, *plan.Did)
		why    string // "": a plan is made
		unread bool   // it cannot be told now: nothing is refused
	}{
		"moved":       {func(*plan.Facts, *plan.Did) {}, "", false},
		"not moved":   {func(_ *plan.Facts, d *plan.Did) { d.Moved = nil }, "it did not take effect", false},
		"elsewhere":   {func(f *plan.Facts, _ *plan.Did) { f.Wirings[0].Cluster.Value.CMK.Key.Version = strings.Repeat("f", 32) }, "a later write of somebody else wins", false},
		"another key": {func(f *plan.Facts, _ *plan.Did) { f.Wirings[0].Cluster.Value.CMK.Key.Name = "other" }, "another key by now", false},
		"gone": {func(f *plan.Facts, _ *plan.Did) {
			f.Wirings[0].Cluster = wiring.NotThere[wiring.Cluster]("c", now, "404")
		}, "no longer uses the key", false},
		"unread": {func(f *plan.Facts, _ *plan.Did) {
			f.Wirings[0].Cluster = wiring.Failed[wiring.Cluster]("c", now, "403")
		}, "could not be read: 403", true},
		"another's step":   {func(_ *plan.Facts, d *plan.Did) { d.Plan.Steps[1].Kind = "odd" }, "no way back was stored", false},
		"taken back by us": {func(f *plan.Facts, d *plan.Did) { f.Wirings[0].Cluster.Value.CMK.Key.Version = d.Plan.Steps[1].From }, "already", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, _, d := rotated(t)
			c.change(&f, &d)
			p, why := plan.ForUndo(f, d, "")
			if !strings.Contains(why, c.why) || (why == "") != (c.why == "") || c.unread == (len(p.Refused) > 0) {
				t.Fatalf("%q, refused %q", why, p.Refused)
			}
			if c.why != "" {
				return
			}
			s := p.Steps[0]
			if len(p.Steps) != 1 || s.From != made || s.To != d.Plan.Key.Version || !strings.HasPrefix(s.Call, "PATCH ") || !strings.HasPrefix(p.Refused[0], "step 1, rotate-key of ") {
				t.Errorf("%+v", p)
			}
			again := d
			again.Plan.Created = now.Add(time.Hour) // begun anew
			if q, _ := plan.ForUndo(f, again, ""); q.ID == p.ID || q.Steps[0].Key == s.Key {
				t.Error("the undo of another beginning is the same")
			}
		})
	}
}

// What a rotation's step goes back to is what its cluster named, not what the others did.
func TestAClusterThatWasBehindGoesBackToWhereItWas(t *testing.T) {
	t.Parallel()
	f, _ := world(t)
	behind := strings.Repeat("a", 32)
	f.Consumers.Clusters[0].CMK = &wiring.CMK{Key: f.Key.At(behind)}
	if s := plan.ForRotation(f, "", now).Steps[1]; s.From != behind || !strings.Contains(s.Undo, behind) {
		t.Errorf("%+v", s)
	}
}

func TestWhatPeopleTookBackIsNotMovedAgain(t *testing.T) {
	t.Parallel()
	f, in, _ := rotated(t)
	old, id := f.Key, f.Wirings[0].ID.Key()
	f.Wirings[0].Cluster.Value.CMK.Key = old
	f.To, f.Cluster = old.At(made), f.Consumers.Clusters[0]
	bare := plan.ForRewire(f, "", now)
	u := plan.Undone{Plan: "undo~1", Of: bare.ID, Version: made, Back: old.Version, At: now.Add(-time.Hour)}
	f.Undone = map[string]plan.Undone{id: u}
	again := plan.ForRewire(f, "", now)
	if again.ID == bare.ID || again.Steps[0].Key == bare.Steps[0].Key {
		t.Fatal("to move it again is the plan that was undone")
	}
	ask := func(p plan.Plan, ds ...approval.Decision) plan.Answer {
		in.Decisions = ds
		return rulingOf(t, plan.Gates(p, f, in), plan.GateUndone).Answer
	}
	sum, err := again.Fingerprint()
	if err != nil {
		t.Fatal(err)
	}
	yes := approval.Decision{Matter: again.ID, Hash: sum, Kind: approval.Approve, By: approval.Person{Object: "p"}, At: now.Add(-time.Minute), Expires: now.Add(time.Hour)}
	before, other := yes, yes
	before.At, other.Hash = now.Add(-2*time.Hour), "other facts"
	for name, c := range map[string]struct {
		got, want plan.Answer
	}{
		"nobody said otherwise":     {ask(again), plan.Hold},
		"somebody released it":      {ask(again, yes), plan.Allow},
		"somebody approved before":  {ask(again, before), plan.Hold},
		"somebody saw other facts":  {ask(again, other), plan.Hold},
		"a rotation would move it":  {ask(plan.ForRotation(f, "", now)), plan.Hold},
		"the bare plan waits too":   {ask(bare), plan.Hold},
		"an approval of the bare's": {ask(bare, yes), plan.Hold},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s", name, c.got)
		}
	}
	f.To = old.At(strings.Repeat("c", 32))
	if got := ask(plan.ForRewire(f, "", now)); got != plan.Allow {
		t.Errorf("a newer version than the one that was taken back: %s", got)
	}
}
