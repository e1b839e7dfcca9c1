package guard_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/approval"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/guard"
	"cmkguard/internal/incident"
	"cmkguard/internal/plan"
	"cmkguard/internal/policy"
)

// moved lets the key be rotated and its cluster follow, and returns the plan's id.
func (w *world) moved() string {
	w.t.Helper()
	soon := w.sim.Clock().Now().Add(20 * 24 * time.Hour)
	w.sim.ChangeVersion(w.key, func(v *azuresim.Version) { v.Expires = &soon })
	w.hint()
	w.run(1)
	if !w.onNewest() || w.rotates() != 1 {
		w.t.Fatalf("the cluster was not moved: %d rotations", w.rotates())
	}
	return w.plans(plan.Rotate)[0].Plan.ID
}

// back reports whether the cluster names the version that it was on first.
func (w *world) back() bool {
	return strings.HasSuffix(w.sim.Cluster(w.cluster).CMK.KeyURL, w.key.Version)
}

func movable(t *testing.T) *world {
	w := newWorld(t, setup{kind: "v1", created: 40 * 24 * time.Hour, loosest: true})
	w.g.Reconcile = time.Hour
	return w
}

// An undo points the cluster back when two people want it, starts no fight with our own
// rewire, and the way forward again is a plan that waits for a person.
func TestAnUndoPointsTheClusterBack(t *testing.T) {
	t.Parallel()
	w := movable(t)
	rotation := w.moved()
	before := w.changes()
	h, err := w.g.PreviewUndo(ctx, rotation)
	must(t, err)
	if len(h.Plan.Steps) != 1 || len(h.Plan.Refused) != 1 || !strings.Contains(h.Plan.Refused[0], "IRREVERSIBLE: a version cannot be deleted") {
		t.Fatalf("%+v", h.Plan)
	}
	if rows, err := w.b.State.Scan(ctx, h.Partition, "request~", "request~~", 5); err != nil || len(rows) != 0 {
		t.Fatalf("the preview stored something: %d, %v", len(rows), err)
	}
	_, err = w.g.Undo(ctx, rotation, person(1), "the app fails since")
	must(t, err)
	w.run(3)
	if w.changes() != before || !w.told.has("", "1 of 2 persons") || !w.told.has("", "the app fails since") {
		t.Fatalf("%d changes by one person's word", w.changes()-before)
	}
	_, err = w.g.Decide(ctx, h.Plan.ID, approval.Approve, person(2), "agreed")
	must(t, err)
	w.run(1)
	if !w.back() || w.changes() != before+1 || !w.told.has("", "Done: undo") {
		t.Fatalf("back: %v, %d changes", w.back(), w.changes()-before)
	}
	w.run(30) // looks of every hour
	rewires := w.plans(plan.Rewire)
	if !w.back() || w.changes() != before+1 || w.told.has("", "pointed back") {
		t.Fatalf("a fight: back %v, %d changes", w.back(), w.changes()-before)
	}
	if len(rewires) != 1 || !w.told.has("", "people took cache-a back from version") || !w.told.asks("cmkguard approve "+rewires[0].Plan.ID) {
		t.Fatalf("the way forward was not told: %d plans", len(rewires))
	}
	_, err = w.g.Decide(ctx, rewires[0].Plan.ID, approval.Approve, person(3), "the app is mended")
	must(t, err)
	w.run(2)
	if !w.onNewest() || w.changes() != before+2 {
		t.Fatalf("after a person's word: newest %v, %d changes", w.onNewest(), w.changes()-before)
	}
	if w.undone() {
		t.Error("the mark of the undo outlives it")
	}
	// Somebody else's pointing back is told as what it is.
	w.sim.ChangeCluster(w.cluster, func(c *azuresim.Cluster) { c.CMK.KeyURL = w.key.String() })
	w.hint()
	w.run(1)
	if !w.told.has("", "pointed back from version") {
		t.Error("a stranger's pointing back was taken for the undo")
	}
	if rep := w.verify(); len(rep.Problems) > 0 {
		t.Errorf("%+v", rep.Problems)
	}
}

func (w *world) undone() bool {
	rows, err := w.b.State.Scan(ctx, incident.Partition(event.Subject{Kind: event.SubjectCluster, ID: w.cluster.Key()}), "seen", "seen~", 1)
	must(w.t, err)
	var seen struct{ Undone json.RawMessage }
	return len(rows) == 1 && json.Unmarshal(rows[0].Value, &seen) == nil && len(seen.Undone) > 0
}

// An undo can itself be taken back, by people: the same way forward.
func TestAnUndoCanBeUndone(t *testing.T) {
	t.Parallel()
	w := movable(t)
	id, before := w.moved(), w.changes()
	for n := range 2 {
		h, err := w.g.Undo(ctx, id, person(1), "back")
		must(t, err)
		_, err = w.g.Decide(ctx, h.Plan.ID, approval.Approve, person(2), "agreed")
		if fault.Is(err, fault.Invalid) { // not stored yet
			w.run(1)
			_, err = w.g.Decide(ctx, h.Plan.ID, approval.Approve, person(2), "agreed")
		}
		must(t, err)
		w.run(2)
		if w.back() != (n == 0) || w.onNewest() != (n == 1) || w.changes() != before+1+n {
			t.Fatalf("round %d: back %v, %d changes", n, w.back(), w.changes()-before)
		}
		id = h.Plan.ID
	}
}

func TestUndosThatAreNotDone(t *testing.T) {
	t.Parallel()
	approve := func(w *world, h guard.Held) {
		w.run(1)
		_, err := w.g.Decide(ctx, h.Plan.ID, approval.Approve, person(2), "agreed")
		must(w.t, err)
	}
	ask := func(w *world) guard.Held {
		h, err := w.g.Undo(ctx, w.moved(), person(1), "back")
		must(w.t, err)
		return h
	}
	for name, c := range map[string]struct {
		play func(w *world)
		told string
	}{
		"somebody wrote the cluster after the approvals": {func(w *world) {
			h := ask(w)
			w.g.Policy.Pause = true
			approve(w, h)
			other := w.sim.AddVersion(w.key, azuresim.KeyOptions{})
			w.sim.ChangeCluster(w.cluster, func(c *azuresim.Cluster) { c.CMK.KeyURL = other.String() })
			w.g.Policy.Pause = false
		}, ""},
		"somebody wrote the cluster after it was started": {func(w *world) {
			h := ask(w)
			w.run(1)
			_, err := w.g.Decide(ctx, h.Plan.ID, approval.Approve, person(2), "agreed")
			must(w.t, err)
			for !w.plans(plan.Undo)[0].Started {
				must(w.t, w.g.Work(ctx, w.next()))
			}
			other := w.sim.AddVersion(w.key, azuresim.KeyOptions{})
			w.sim.ChangeCluster(w.cluster, func(c *azuresim.Cluster) { c.CMK.KeyURL = other.String() })
		}, "by somebody else"},
		"the policy changed after it was started": {func(w *world) {
			h := ask(w)
			w.run(1)
			_, err := w.g.Decide(ctx, h.Plan.ID, approval.Approve, person(2), "agreed")
			must(w.t, err)
			for !w.plans(plan.Undo)[0].Started {
				must(w.t, w.g.Work(ctx, w.next()))
			}
			w.g.Policy.Hash = "another"
		}, "not started: mode: waits for an approval"},
		"the old version was disabled": {func(w *world) {
			h := ask(w)
			w.sim.ChangeVersion(w.key, func(v *azuresim.Version) { v.Enabled = false })
			approve(w, h)
		}, "way-back: version"},
		"another policy": {func(w *world) {
			h := ask(w)
			w.g.Policy.Pause = true
			approve(w, h)
			w.g.Policy.Hash, w.g.Policy.Pause = "another", false
		}, ""},
		"dry run": {func(w *world) {
			w.g.Policy.Remedies[plan.Undo] = policy.DryRun
			approve(w, ask(w))
		}, "mode: dry run"},
		"one person twice": {func(w *world) {
			h := ask(w)
			w.run(1)
			_, err := w.g.Decide(ctx, h.Plan.ID, approval.Approve, person(1), "me again")
			must(w.t, err)
		}, ""},
		"denied": {func(w *world) {
			h := ask(w)
			w.run(1)
			_, err := w.g.Decide(ctx, h.Plan.ID, approval.Deny, person(3), "no")
			must(w.t, err)
			approve(w, h)
		}, ""},
		"nobody agreed for a week": {func(w *world) {
			h := ask(w)
			w.sim.Clock().Advance(8 * 24 * time.Hour)
			approve2 := func() { _, _ = w.g.Decide(ctx, h.Plan.ID, approval.Approve, person(2), "late") }
			approve2()
		}, ""},
		"a forged request": {func(w *world) {
			id := w.moved()
			h, err := w.g.PreviewUndo(ctx, id)
			must(w.t, err)
			w.put(h.Partition, "request~"+h.Plan.ID, map[string]any{"schema": 1, "plan": id, "expires": w.sim.Clock().Now().Add(time.Hour * 99)})
			w.run(1)
			_, err = w.g.Decide(ctx, h.Plan.ID, approval.Approve, person(2), "agreed")
			must(w.t, err)
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := movable(t)
			w.g.Policy.Limits.MinBetween = time.Minute
			c.play(w)
			patches := w.sim.Count(http.MethodPatch, w.cluster.String())
			w.hint()
			w.run(5)
			if n := w.sim.Count(http.MethodPatch, w.cluster.String()); n != patches || n != 1 {
				t.Fatalf("%d PATCHes, then %d", patches, n)
			}
			if !w.told.has("", c.told) && !w.held(plan.Undo, c.told) {
				t.Fatalf("not told: %q", c.told)
			}
		})
	}
}

// held reports whether what the gates last said of a stored plan has the text.
func (w *world) held(remedy, text string) bool {
	for _, h := range w.plans(remedy) {
		for _, r := range plan.Holding(h.Rulings) {
			if strings.Contains(r.Gate+": "+r.Reason, text) {
				return true
			}
		}
	}
	return false
}

func TestWhatCannotBeUndoneIsSaid(t *testing.T) {
	t.Parallel()
	refused := func(w *world, id, want string) {
		w.t.Helper()
		_, err := w.g.PreviewUndo(ctx, id)
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			w.t.Errorf("undo of %s: %v, want %q", id, err, want)
		}
	}
	w := movable(t)
	refused(w, "rotate~nothing", "no plan")
	w.sim.ChangeVersion(w.key, func(v *azuresim.Version) { v.Expires, v.Enabled = nil, false })
	w.hint()
	w.run(1)
	id := w.plans(plan.ReenableVersion)[0].Plan.ID
	refused(w, id, "never begun")
	for n := 1; n <= 2; n++ {
		_, err := w.g.Decide(ctx, id, approval.Approve, person(n), "go")
		must(t, err)
	}
	w.run(1)
	refused(w, id, "IRREVERSIBLE: disabling a version is its owner's")
	rotation := w.moved()
	newer := w.sim.AddVersion(w.key, azuresim.KeyOptions{})
	w.sim.ChangeCluster(w.cluster, func(c *azuresim.Cluster) { c.CMK.KeyURL = newer.String() })
	refused(w, rotation, "a later write of somebody else wins")
	w.sim.ChangeCluster(w.cluster, func(c *azuresim.Cluster) { c.CMK.KeyURL = w.key.String() })
	refused(w, rotation, "already")
	w.sim.ChangeCluster(w.cluster, func(c *azuresim.Cluster) { c.CMK = nil })
	refused(w, rotation, "no longer uses the key")
}

// A rotation would move on what people took back: it waits for a person too.
func TestARotationDoesNotMoveOnWhatWasTakenBack(t *testing.T) {
	t.Parallel()
	w := movable(t)
	h, err := w.g.Undo(ctx, w.moved(), person(1), "back")
	must(t, err)
	w.run(1)
	_, err = w.g.Decide(ctx, h.Plan.ID, approval.Approve, person(2), "agreed")
	must(t, err)
	w.run(1)
	w.sim.Clock().Advance(10 * 24 * time.Hour)
	w.sim.ChangeVersion(w.key.At(w.sim.Versions(w.key)[1]), func(v *azuresim.Version) { v.Enabled = false }) // nothing newer is left
	w.hint()
	w.run(6)
	if w.rotates() != 1 || !w.back() {
		t.Fatalf("%d rotations, back %v", w.rotates(), w.back())
	}
}

// TestUndoKilledAtEveryCall: asked, approved and carried out exactly once, whenever the
// worker dies.
func TestUndoKilledAtEveryCall(t *testing.T) {
	t.Parallel()
	play := func(t *testing.T, k *killer, heirs int) error {
		w := newWorld(t, setup{kind: "v1", created: 40 * 24 * time.Hour, loosest: true})
		rotation := w.moved()
		before := w.changes()
		w.tell(k, plan.Undo, heirs, func(g *guard.Guard) bool {
			_, err := g.Undo(ctx, rotation, person(1), "back")
			return err == nil
		})
		switch report := w.verify(); {
		case w.changes() != before+1:
			return fmt.Errorf("%d changes, want one", w.changes()-before)
		case !w.back():
			return fmt.Errorf("not back")
		case len(report.Problems) > 0:
			return fmt.Errorf("journal: %v", report.Problems)
		case !w.told.has("", "Done: undo") || w.told.has("", "pointed back"):
			return fmt.Errorf("people were told something else")
		}
		return w.tidy()
	}
	k := &killer{}
	if err := play(t, k, 1); err != nil {
		t.Fatalf("undisturbed: %v", err)
	}
	points := crashPoints(k.calls[:k.ended])
	tried := some(points, sparse(t, 24, 6))
	t.Logf("undo: %d calls, %d crash points, %d of them tried, each with one heir and with two", k.ended, len(points), len(tried))
	killAt(t, "undo", tried, play)
}
