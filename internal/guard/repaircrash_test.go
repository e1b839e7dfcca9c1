package guard_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"cmkguard/internal/approval"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/guard"
	"cmkguard/internal/plan"
	"cmkguard/internal/policy"
	"cmkguard/internal/remedy"
	"cmkguard/internal/store"
)

// killRepairs sends every repair's calls through the killer.
func killRepairs(k *killer, all map[string]guard.RepairMaker) map[string]guard.RepairMaker {
	out := map[string]guard.RepairMaker{}
	for name, make := range all {
		out[name] = func(p plan.Plan, partition string) (remedy.Effect, error) {
			e, err := make(p, partition)
			look, act := e.Look, e.Act
			e.Look = func(ctx context.Context, since time.Time) (s remedy.Sight, err error) {
				k.call("repair.Look", func() { s, err = look(ctx, since) })
				return s, err
			}
			e.Act = func(ctx context.Context, id string) (token string, err error) {
				k.call("repair.Act", func() { token, err = act(ctx, id) })
				return token, err
			}
			return e, err
		}
	}
	return out
}

// repairStory takes something away and tells the story of its repair.
func (w *world) repairStory(k *killer, r revocation, heirs int) {
	w.t.Helper()
	r.revoke(w)
	body := w.sim.AccessPolicyChanged(host, "taken-away")
	switch r.remedy { // no signal about the chain asks for these
	case plan.RestoreDiagnostics:
		body = w.sim.ResourceDeleted("Microsoft.Insights/diagnosticSettings/delete", root+"Microsoft.KeyVault/vaults/kv-a"+settingPath)
	case plan.RecreateEvents:
		body = w.sim.ResourceDeleted("Microsoft.EventGrid/systemTopics/eventSubscriptions/delete", topicOf+"/eventSubscriptions/cmkguard")
	}
	w.tell(k, r.remedy, heirs, func(g *guard.Guard) bool { return g.Take(ctx, "keyvaultevents", body) == nil })
}

// tell starts a worker until it has answered, has people decide on the remedy's plan,
// and works until the end; a killed worker is replaced by as many as heirs says.
func (w *world) tell(k *killer, remedy string, heirs int, start func(*guard.Guard) bool) {
	w.t.Helper()
	first := &worker{g: w.process(k), b: store.Backend{Queue: killQueue{k, w.b.Queue}}}
	workers := []*worker{first}
	replace := func() {
		if first == nil || !first.killed {
			return
		}
		first, workers = nil, nil
		for range heirs {
			workers = append(workers, &worker{g: w.process(&killer{}), b: w.b})
		}
	}
	for answered := false; !answered; replace() {
		workers[0].live(func() { answered = start(workers[0].g) })
	}
	decided := false
	for minute, quiet := 0, 0; minute < 5*60 && quiet < 10; minute++ {
		if w.told.has("", "Done: "+remedy) && w.tidy() == nil {
			if quiet++; quiet == 1 { // what the last minute did belongs to the story
				k.ended = len(k.calls)
			}
		} else {
			quiet = 0
		}
		p := workers[minute%len(workers)]
		p.live(func() { w.turn(p) })
		replace()
		if p = workers[len(workers)-1]; minute%2 == 1 {
			p.live(func() { must(w.t, p.g.Sweep(ctx)) })
			replace()
		}
		if list := w.plans(remedy); !plan.ByItself(remedy) && !decided && len(list) == 1 {
			decided = true
			for n := 1; n <= 2; n++ { // at a command line: a process of its own
				_, err := w.g.Decide(ctx, list[0].Plan.ID, approval.Approve, person(n), "give it back")
				must(w.t, err)
			}
		}
		w.sim.Clock().Advance(time.Minute)
	}
}

func (w *world) givenBack(r revocation) error {
	switch report := w.verify(); {
	case w.changes() != changesOf(r.remedy):
		return fmt.Errorf("%d changes, want %d", w.changes(), changesOf(r.remedy))
	case !r.back(w):
		return fmt.Errorf("not given back")
	case len(report.Problems) > 0:
		return fmt.Errorf("journal: %v", report.Problems)
	case !w.told.has("", "Done: "+r.remedy):
		return fmt.Errorf("people were not told of the end")
	}
	return w.tidy()
}

// TestRepairsKilledAtEveryCall kills the worker at each call of each repair's
// story that changes anything, the call having taken effect, not, or taking effect
// late; one heir or two go on, and the repair happens exactly once.
func TestRepairsKilledAtEveryCall(t *testing.T) {
	t.Parallel()
	every := sparse(t, 72, 12)
	all := revocations()
	maps.Copy(all, losses())
	for _, name := range slices.Sorted(maps.Keys(all)) {
		r := all[name]
		o := setup{kind: "v1", created: 30 * 24 * time.Hour, loosest: true, declare: declared(r.remedy)}
		quiet := func(t *testing.T) *world {
			w := newWorld(t, o)
			w.sim.ChangeVersion(w.key, func(v *azuresim.Version) { v.Expires = nil })
			return w
		}
		clean, k := quiet(t), &killer{}
		clean.repairStory(k, r, 1)
		if err := clean.givenBack(r); err != nil {
			t.Fatalf("%s, undisturbed: %v", name, err)
		}
		points := crashPoints(k.calls[:k.ended])
		tried := some(points, every)
		t.Logf("%s: %s: %d calls, %d crash points, %d of them tried, each with one heir and with two", name, r.remedy, k.ended, len(points), len(tried))
		killAt(t, name, tried, func(t *testing.T, k *killer, heirs int) error {
			w := quiet(t)
			w.repairStory(k, r, heirs)
			return w.givenBack(r)
		})
	}
}

// TestDryRunAndLivePlanTheSameBytes over every remedy.
func TestDryRunAndLivePlanTheSameBytes(t *testing.T) {
	t.Parallel()
	all := revocations()
	maps.Copy(all, losses())
	all["an expiry"] = revocation{revoke: func(w *world) {
		soon := w.sim.Clock().Now().Add(20 * 24 * time.Hour)
		w.sim.ChangeVersion(w.key, func(v *azuresim.Version) { v.Expires = &soon })
	}, remedy: plan.Rotate}
	all["a cluster left behind"] = revocation{revoke: func(w *world) {
		w.sim.ChangeVault(host, func(v *azuresim.Vault) { v.Keys["kek"].Rotation.Actions = nil })
		w.sim.AddVersion(w.key, azuresim.KeyOptions{Created: w.sim.Clock().Now().Add(-9 * 24 * time.Hour)})
	}, remedy: plan.Rewire}
	all["no purge protection"] = revocation{revoke: func(w *world) {
		w.sim.ChangeVault(host, func(v *azuresim.Vault) { v.PurgeProtection = false })
	}, remedy: plan.EnablePurgeProtection}
	all["a move to be taken back"] = revocation{revoke: func(w *world) {
		modes := w.g.Policy.Remedies
		w.g.Policy.Remedies = map[string]policy.Mode{plan.Rotate: policy.Auto, plan.Rewire: policy.Auto}
		rotation := w.moved()
		w.g.Policy.Remedies = modes
		_, err := w.g.Undo(ctx, rotation, person(1), "the app fails since")
		must(w.t, err)
	}, remedy: plan.Undo}
	tried := map[string]bool{}
	for name, r := range all {
		planned := func(loosest bool) []byte {
			w := newWorld(t, setup{kind: "v1", created: 40 * 24 * time.Hour, mode: policy.DryRun, loosest: loosest, declare: declared(r.remedy)})
			w.sim.ChangeVersion(w.key, func(v *azuresim.Version) { v.Expires = nil })
			r.revoke(w)
			w.hint()
			w.look()
			w.run(1)
			list := w.plans(r.remedy)
			if len(list) == 0 {
				t.Fatalf("%s: no plan of %s", name, r.remedy)
			}
			raw, _, err := list[0].Plan.Encode()
			must(t, err)
			return raw
		}
		if dry, live := planned(false), planned(true); !bytes.Equal(dry, live) {
			t.Errorf("%s: the plans differ:\n%s\n%s", name, dry, live)
		}
		tried[r.remedy] = true
	}
	for remedy := range plan.Ceilings() {
		if !tried[remedy] {
			t.Errorf("%s was not tried", remedy)
		}
	}
}
