package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/incident"
	"cmkguard/internal/journal"
	"cmkguard/internal/plan"
	"cmkguard/internal/risk"
	"cmkguard/internal/store"
	"cmkguard/internal/wiring"
)

// lookAhead is how far ahead a look is queued for when time lifts what holds a plan:
// what is further away the sweep finds, and each look until then would queue one more.
const lookAhead = 24 * time.Hour

// storedPlan is a plan's row: what was planned, by its hash, and what the
// gates last said.
type storedPlan struct {
	Schema  int             `json:"schema"`
	SHA256  string          `json:"sha256"`
	Plan    json.RawMessage `json:"plan"`
	Rulings []plan.Ruling   `json:"rulings"`
	Started bool            `json:"started"`
	// Causes are the object ids that events and logs name as who caused the problem.
	Causes []string `json:"causes,omitempty"`
}

// want is a plan that broken verdicts ask for, with what it rests on.
type want struct {
	plan  plan.Plan
	facts plan.Facts
}

// planAll makes the plans that the subject's verdicts ask for, asks the gates and
// adds plans, rulings and what is allowed to the batch. It returns, per remedy,
// what people are told about it.
func (g *Guard) planAll(ctx context.Context, p *picture, subject event.Subject, partition string, b *batch) (map[string]doing, error) {
	list, lacks, err := g.wanted(ctx, p, subject)
	if err != nil {
		return nil, err
	}
	out := map[string]doing{}
	for remedy, why := range lacks {
		out[remedy] = doing{next: []string{remedy + " is not planned: " + why}}
	}
	started := false
	for _, w := range list {
		if started { // one action at a time; the end of this one has the subject looked at again
			out[w.plan.Remedy] = doing{text: w.plan.Remedy + " waits for another plan about the same"}
			continue
		}
		var d doing
		if d, started, err = g.planFor(ctx, p, w, partition, b); err != nil {
			return nil, err
		}
		out[w.plan.Remedy] = d
	}
	return out, nil
}

// planFor asks the gates about one plan.
func (g *Guard) planFor(ctx context.Context, p *picture, w want, partition string, b *batch) (d doing, started bool, err error) {
	pl := w.plan
	if pl.Remedy == plan.Rewire {
		open, err := g.openRotation(ctx, pl.Key)
		if err != nil || open != "" {
			return doing{text: "follows in its turn with rotation plan " + open}, false, err
		}
	}
	old, err := g.storedPlan(ctx, partition, pl.ID)
	if err != nil {
		return d, false, err
	}
	if old.saga != nil && old.plan.Started && !old.saga.mayStartAgain(p.now) {
		return doing{text: old.saga.doing()}, !old.saga.Phase.over(), nil
	}
	causes := withCause(old.plan.Causes, p.signal)
	in, err := g.inputs(ctx, pl, w.facts, "", causes, false)
	if err != nil {
		return d, false, err
	}
	rulings := plan.Gates(pl, w.facts, in)
	d = g.doingAbout(pl, rulings)
	next := storedPlan{Schema: 1, Rulings: rulings, Started: plan.Verdict(rulings) == plan.Allow, Causes: causes}
	if next.Plan, next.SHA256, err = pl.Encode(); err != nil {
		return d, false, err
	}
	if at, ok := liftsAt(rulings); ok && at.Sub(p.now) <= lookAhead {
		b.after = append(b.after, later{lookMessage(pl.Subject, pl.Key), at.Sub(p.now) + time.Second})
	}
	return d, next.Started, g.storePlan(ctx, p, pl, partition, old, next, b)
}

// storePlan adds the plan, if anything about it is new, to the batch, and the saga
// of one that starts.
func (g *Guard) storePlan(ctx context.Context, p *picture, pl plan.Plan, partition string, old earlier, next storedPlan, b *batch) error {
	if old.planETag != "" && !next.Started && !old.plan.Started && sameRulings(old.plan.Rulings, next.Rulings) && len(next.Causes) == len(old.plan.Causes) && samePlan(old.plan, pl) {
		return nil
	}
	if err := g.indexPlan(ctx, pl.ID, partition); err != nil {
		return err
	}
	b.ops = append(b.ops, putOp(planRow(pl.ID), encode(next), old.planETag))
	b.entries = append(b.entries, planEntry(p.signal.ID, pl, next), gateEntry(p.signal.ID, pl, next.Rulings))
	if !next.Started {
		return nil
	}
	s := newSaga(pl, p.now)
	if old.saga != nil {
		s.Seq = old.saga.Seq + 1
	}
	b.ops = append(b.ops, putOp(sagaRow(pl.ID), encode(s), old.sagaETag))
	b.after = append(b.after, later{message{Kind: kindSaga, Partition: partition, ID: pl.ID, Seq: s.Seq}, 0})
	return nil
}

// samePlan reports whether the stored plan is the same but for when it was made.
func samePlan(old storedPlan, pl plan.Plan) bool {
	var was plan.Plan
	if json.Unmarshal(old.Plan, &was) != nil {
		return false
	}
	a, errA := was.Fingerprint()
	b, errB := pl.Fingerprint()
	return errA == nil && errB == nil && a == b
}

// indexPlan makes the plan findable by its id.
func (g *Guard) indexPlan(ctx context.Context, id, partition string) error {
	_, err := g.State.Apply(ctx, plansPartition, []store.Op{{Kind: store.Insert, Key: id, Value: []byte(partition)}})
	if fault.Is(err, fault.Conflict) {
		return nil
	}
	return asRecordError(err)
}

// withCause adds who the signal claims to have changed something.
func withCause(causes []string, s event.Signal) []string {
	if s.Claim == nil || s.Claim.Actor.ObjectID == "" || causeOf(causes, s.Claim.Actor.ObjectID) || len(causes) >= 20 {
		return causes
	}
	switch s.Kind {
	case event.UseFailed: // the cluster's own identity: changed nothing
		return causes
	case event.AttemptDenied:
		return append(slices.Clone(causes), plan.Suspect+s.Claim.Actor.ObjectID)
	default:
		return append(slices.Clone(causes), s.Claim.Actor.ObjectID)
	}
}

// liftsAt is when time alone lifts everything that holds, if it does.
func liftsAt(rulings []plan.Ruling) (at time.Time, ok bool) {
	held := plan.Holding(rulings)
	for _, r := range held {
		if r.Answer != plan.Hold || r.Until == nil {
			return at, false
		}
		if r.Until.After(at) {
			at = *r.Until
		}
	}
	return at, len(held) > 0
}

// earlier is what is stored of a plan and of its saga.
type earlier struct {
	plan     storedPlan
	planETag string
	saga     *saga
	sagaETag string
}

func (g *Guard) storedPlan(ctx context.Context, partition, id string) (earlier, error) {
	var out earlier
	row, ok, err := g.get(ctx, partition, planRow(id))
	if err != nil || !ok {
		return out, err
	}
	out.planETag = row.ETag
	if err := json.Unmarshal(row.Value, &out.plan); err != nil {
		return out, fault.New(fault.Invalid, "guard.storedPlan", "plan %s: %w", id, err)
	}
	if row, ok, err = g.get(ctx, partition, sagaRow(id)); err != nil || !ok {
		return out, err
	}
	out.saga, out.sagaETag = &saga{}, row.ETag
	if err := json.Unmarshal(row.Value, out.saga); err != nil {
		return out, fault.New(fault.Invalid, "guard.storedPlan", "saga %s: %w", id, err)
	}
	return out, nil
}

// wanted returns the plans that people want taken back, and those that the subject's
// broken verdicts ask for, one per remedy, in the order of the checks; and, by remedy,
// why one makes no plan.
func (g *Guard) wanted(ctx context.Context, p *picture, subject event.Subject) (out []want, lacks map[string]string, err error) {
	if out, err = g.addUndos(ctx, p.run, incident.Partition(subject), nil); err != nil {
		return nil, nil, err
	}
	lacks = map[string]string{}
	for _, v := range p.verdicts[subject] {
		if v.Answer != risk.Broken || slices.ContainsFunc(out, func(w want) bool { return w.plan.Remedy == v.Remedy }) {
			continue
		}
		w, why, err := g.wantedFor(ctx, p, subject, v)
		if err != nil {
			return nil, nil, err
		}
		switch {
		case w.plan.ID != "":
			out = append(out, w)
		case why != "" && lacks[v.Remedy] == "":
			lacks[v.Remedy] = why
		}
	}
	for _, w := range out { // another check's finding made the plan
		delete(lacks, w.plan.Remedy)
	}
	return out, lacks, nil
}

// wantedFor makes the plan that one broken verdict asks for; none has an empty id.
func (g *Guard) wantedFor(ctx context.Context, p *picture, subject event.Subject, v risk.Verdict) (w want, lacks string, err error) {
	switch {
	case v.Remedy == plan.Rotate:
		kp, ok := p.keys[subject.ID]
		if !ok || subject.Kind != event.SubjectKey {
			return w, "", nil
		}
		if w.facts, err = g.standing(ctx, p.run, v.Remedy, kp.facts); err == nil {
			w.plan = plan.ForRotation(w.facts, g.Policy.Hash, p.now)
		}
	case v.Remedy == plan.Rewire:
		// Where somebody pointed the cluster back, its owner is asked first.
		f, ok := rewireFacts(p, subject)
		if !ok || p.pointedBack[subject.ID] != "" {
			return w, "", nil
		}
		if w.facts, err = g.standing(ctx, p.run, v.Remedy, f); err == nil {
			w.plan = plan.ForRewire(w.facts, g.Policy.Hash, p.now)
		}
	case plan.Repair(v.Remedy):
		f, ok, err := g.factsFor(ctx, p, subject, v)
		if err != nil || !ok {
			return w, "", err
		}
		pl, why := plan.ForRepair(v.Remedy, subject, f, g.Policy.Hash)
		if why != "" {
			return w, why, nil
		}
		w.plan = pl
		w.facts, err = g.standing(ctx, p.run, v.Remedy, f)
		return w, "", err
	}
	return w, "", err
}

func rewireFacts(p *picture, subject event.Subject) (plan.Facts, bool) {
	for _, w := range p.wirings {
		if w.ID.Key() != subject.ID || w.Key().IsZero() {
			continue
		}
		f := p.keys[w.Key().ID()].facts
		newest, ok := newestEnabled(w.Versions.Value)
		if !ok || newest.Key.Equal(w.Key()) {
			return plan.Facts{}, false
		}
		f.Key, f.To, f.Cluster, f.Wirings = w.Key(), newest.Key, w.Cluster.Value, []wiring.Wiring{w}
		return f, true
	}
	return plan.Facts{}, false
}

func newestEnabled(vs []wiring.KeyVersion) (wiring.KeyVersion, bool) {
	var on []wiring.KeyVersion
	for _, v := range vs {
		if v.Enabled {
			on = append(on, v)
		}
	}
	return wiring.Newest(on)
}

func sameRulings(a, b []plan.Ruling) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Gate != b[i].Gate || a[i].Answer != b[i].Answer {
			return false
		}
	}
	return true
}

// doingAbout says in one line what happens about the problem, and what a person
// who may decide does next.
func (g *Guard) doingAbout(pl plan.Plan, rulings []plan.Ruling) doing {
	held := plan.Holding(rulings)
	if len(held) == 0 {
		return doing{text: fmt.Sprintf("%s is being carried out (plan %s, %d steps)", pl.Remedy, pl.ID, len(pl.Steps))}
	}
	var d doing
	reasons := make([]string, 0, len(held))
	for _, r := range held {
		reasons = append(reasons, r.Gate+": "+r.Reason)
		if r.Gate == "mode" && strings.HasPrefix(r.Reason, plan.Waits) || r.Gate == plan.GateUndone {
			d.commands, d.links = decide(pl.ID), g.linksOf(pl.ID)
		}
		d.dryRun = d.dryRun || r.Gate == "mode" && strings.HasPrefix(r.Reason, plan.Dry) && !plan.Repair(pl.Remedy)
	}
	if d.commands == nil {
		d.commands = decide(pl.ID)[:1]
	}
	d.text = fmt.Sprintf("%s is held (plan %s). %s", pl.Remedy, pl.ID, strings.Join(reasons, ". "))
	return d
}

func planEntry(ref string, pl plan.Plan, sp storedPlan) journal.Entry {
	return journal.Entry{
		Kind: journal.KindPlan, Subject: pl.Subject.String(), Ref: pl.ID,
		Text: fmt.Sprintf("%s planned for signal %s: %d steps, sha256 %s", pl.Remedy, ref, len(pl.Steps), sp.SHA256),
		Body: sp.Plan,
	}
}

func gateEntry(ref string, pl plan.Plan, rulings []plan.Ruling) journal.Entry {
	return journal.Entry{
		Kind: journal.KindGate, Subject: pl.Subject.String(), Ref: pl.ID,
		Text: fmt.Sprintf("gates for signal %s: %s", ref, plan.Verdict(rulings)), Body: encode(rulings),
	}
}
