package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/approval"
	"cmkguard/internal/azureid"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/plan"
	"cmkguard/internal/risk"
	"cmkguard/internal/store"
	"cmkguard/internal/wiring"
)

// request is that a person asked for a plan to be taken back. It releases nothing:
// the undo is a plan of its own, and passes every gate.
type request struct {
	Schema  int             `json:"schema"`
	Plan    string          `json:"plan"` // that is to be undone
	By      approval.Person `json:"by"`
	Reason  string          `json:"reason"`
	At      time.Time       `json:"at"`
	Expires time.Time       `json:"expires"` // what was not released by then is forgotten
}

// requestFor is how long an undo that was asked for waits for those who release it.
const requestFor = 7 * 24 * time.Hour

func requestRow(undo string) string { return "request~" + undo }

// PreviewUndo returns the plan that would take the plan with the id back, with what each
// gate says now. Nothing is stored. What cannot be undone is an Invalid fault.
func (g *Guard) PreviewUndo(ctx context.Context, id string) (Held, error) {
	of, err := g.Find(ctx, id)
	if err != nil {
		return Held{}, err
	}
	w, err := g.undoOf(ctx, g.Survey(), of.Partition, id)
	if err != nil {
		return Held{}, err
	}
	return g.held(ctx, w, of.Partition, event.Signal{})
}

// Undo records that a proven person asks for a plan to be taken back, which counts as
// that person's approval of the undo, and has it looked at. Others release it as they
// do any plan.
func (g *Guard) Undo(ctx context.Context, id string, by approval.Person, reason string) (Held, error) {
	of, err := g.Find(ctx, id)
	if err != nil {
		return Held{}, err
	}
	w, err := g.undoOf(ctx, g.Survey(), of.Partition, id)
	if err != nil {
		return Held{}, err
	}
	sum, err := w.plan.Fingerprint()
	if err != nil {
		return Held{}, err
	}
	now := g.Now().UTC()
	d := approval.Decision{
		Schema: 1, Matter: w.plan.ID, Hash: sum, Kind: approval.Approve, By: by, At: now, Reason: clip(reason, 500), Expires: now.Add(g.Policy.Approvals.ValidFor),
	}
	h, err := g.held(ctx, w, of.Partition, event.Signal{}, d)
	if err != nil {
		return h, err
	}
	row, _, err := g.get(ctx, h.Partition, requestRow(h.Plan.ID))
	if err != nil {
		return h, err
	}
	ask := request{Schema: 1, Plan: id, By: by, Reason: d.Reason, At: now, Expires: now.Add(requestFor)}
	ops := append(g.outbox(g.askedAlert(h, ask)), putOp(requestRow(h.Plan.ID), encode(ask), row.ETag))
	_, err = g.record(ctx, h.Partition, h.Plan.Subject, h.Plan.Key, d, ops...)
	return h, err
}

func (g *Guard) askedAlert(h Held, ask request) alert.Alert {
	return alert.Alert{
		ID: g.NewID(), DedupKey: "cmkguard/plan/" + h.Plan.ID, GroupKey: h.Partition, Lifecycle: alert.Notice, Severity: risk.Medium,
		Title: "Asked: to take back what plan " + ask.Plan + " did", Subject: h.Plan.Subject.String(), Since: ask.At, Ref: h.Plan.ID,
		What: fmt.Sprintf("%s (object id %s): %s", ask.By.Name, ask.By.Object, ask.Reason),
		Done: []string{g.doingAbout(h.Plan, h.Rulings).text}, Commands: decide(h.Plan.ID), Links: g.linksOf(h.Plan.ID),
		Next: h.Plan.Refused,
	}
}

// addUndos adds the undos that people asked for about the subject.
func (g *Guard) addUndos(ctx context.Context, run Survey, partition string, out []want) ([]want, error) {
	err := g.each(ctx, partition, "request~", func(row store.Row) (bool, error) {
		var ask request
		if json.Unmarshal(row.Value, &ask) != nil || !g.Now().Before(ask.Expires) {
			return true, nil //nolint:nilerr // a damaged request asks for nothing
		}
		old, err := g.storedPlan(ctx, partition, strings.TrimPrefix(row.Key, "request~"))
		if err != nil || old.saga != nil && old.saga.Phase == phaseDone {
			return true, err
		}
		w, err := g.undoOf(ctx, run, partition, ask.Plan)
		switch {
		case fault.Is(err, fault.Invalid), fault.Is(err, fault.Transient):
			return true, nil // nothing is left to undo, or it cannot be told now
		case err == nil && requestRow(w.plan.ID) == row.Key:
			out = append(out, w)
		}
		return true, err
	})
	return out, err
}

// undoOf makes the plan that takes back what the stored plan did, from what was stored
// before it was begun and what is there now.
func (g *Guard) undoOf(ctx context.Context, run Survey, partition, id string) (want, error) {
	const op = "guard.Undo"
	old, err := g.storedPlan(ctx, partition, id)
	if err != nil {
		return want{}, err
	}
	switch s := old.saga; {
	case s == nil:
		return want{}, fault.New(fault.Invalid, op, "plan %s was never begun: there is nothing to take back", id)
	case !s.Phase.over():
		return want{}, fault.New(fault.Invalid, op, "plan %s is under way: what it did can be taken back when it has ended", id)
	}
	d := old.saga.did()
	f, err := g.keyFacts(ctx, run, d.Plan.Key)
	if err != nil {
		return want{}, err
	}
	g.addStrays(ctx, run, d, &f)
	pl, why := plan.ForUndo(f, d, g.Policy.Hash)
	switch {
	case why != "" && len(pl.Refused) == 0:
		return want{}, fault.New(fault.Transient, op, "plan %s: %s", id, why)
	case why != "":
		return want{}, fault.New(fault.Invalid, op, "plan %s: %s", id, why)
	}
	f, err = g.standing(ctx, run, pl.Remedy, onlyMoved(f, pl))
	return want{pl, f}, err
}

// addStrays reads the plan's clusters that the key's consumers lack: they may use another
// key by now, or be hidden.
func (g *Guard) addStrays(ctx context.Context, run Survey, d plan.Did, f *plan.Facts) {
	for _, c := range d.Plan.Consumers {
		id, err := azureid.ParseResource(c.Cluster)
		if err != nil || slices.ContainsFunc(f.Wirings, func(w wiring.Wiring) bool { return w.ID.Equal(id) }) {
			continue
		}
		f.Wirings = append(f.Wirings, run.Wiring(ctx, id))
	}
}

func onlyMoved(f plan.Facts, pl plan.Plan) plan.Facts {
	f.Wirings = slices.DeleteFunc(slices.Clone(f.Wirings), func(w wiring.Wiring) bool {
		return !slices.ContainsFunc(pl.Steps, func(s plan.Step) bool { return s.Target == w.ID.Key() })
	})
	return f
}

// did is what the saga came to.
func (s *saga) did() plan.Did {
	d := plan.Did{Plan: s.Plan, New: s.New, Moved: map[string]bool{}}
	for _, f := range s.Followers {
		d.Moved[strings.ToLower(f.Cluster)] = f.Done
	}
	if s.Plan.Remedy == plan.RollBackDowngrade {
		d.Moved[s.Plan.Steps[0].Target] = s.Phase == phaseDone
	}
	return d
}

// beginUndo asks the gates about the whole undo once more, on fresh facts, and marks the
// cluster before anything is sent: whoever looks from then on knows who pointed it back.
func (g *Guard) beginUndo(ctx context.Context, own string, s *saga, f *follower) (held string, err error) {
	run := g.Survey()
	facts, err := g.keyFacts(ctx, run, s.Plan.Key)
	if err != nil {
		return "", err
	}
	if facts, err = g.standing(ctx, run, s.Plan.Remedy, onlyMoved(facts, s.Plan)); err != nil {
		return "", err
	}
	pl := s.Plan
	pl.PolicyHash = g.Policy.Hash // an approval under another policy does not count
	in, err := g.inputs(ctx, pl, facts, "", nil, false)
	if err != nil {
		return "", err
	}
	rulings := plan.Gates(pl, facts, in)
	if s.begun() { // its turn in a group is asked before anything is sent
		rulings = slices.DeleteFunc(rulings, func(r plan.Ruling) bool { return r.Gate == plan.GateGroup || r.Gate == plan.GateGroupHealth })
	}
	if held = heldText(rulings); held != "" {
		return held, nil
	}
	return "", g.markUndone(ctx, own, s.Plan, f, facts.Versions.Value)
}

// begun reports whether one of its clusters was moved already.
func (s *saga) begun() bool {
	return slices.ContainsFunc(s.Followers, func(f follower) bool { return f.Done })
}
