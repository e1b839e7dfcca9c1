package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"cmkguard/internal/canonical"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/incident"
	"cmkguard/internal/journal"
	"cmkguard/internal/plan"
	"cmkguard/internal/risk"
	"cmkguard/internal/store"
	"cmkguard/internal/wiring"
)

// bringUpToDate commits one subject's incidents, plan, alerts and record in
// one batch, and then starts what the batch reserved.
func (g *Guard) bringUpToDate(ctx context.Context, p *picture, subject event.Subject) error {
	partition := incident.Partition(subject)
	b := &batch{}
	if subject == p.signal.Subject {
		b.entries = append(b.entries, signalEntry(p.signal, len(p.wirings), p.complete, p.why))
		if a, ok := g.claimAlert(p); ok {
			b.ops = append(b.ops, g.outbox(a)...)
		}
		if len(p.wirings) == 0 && !p.complete {
			b.ops = append(b.ops, g.outbox(g.unseenAlert(p))...)
		}
	}
	started, doing, err := g.planFor(ctx, p, subject, partition, b)
	if err != nil {
		return err
	}
	for _, v := range p.verdicts[subject] {
		if err := g.applyVerdict(ctx, p, partition, v, doing, b); err != nil {
			return err
		}
	}
	if len(b.entries) == 0 && len(b.ops) == 0 {
		return nil
	}
	if err := g.commit(ctx, partition, b.entries, b.ops...); err != nil {
		return err
	}
	if started != "" {
		return g.send(ctx, message{Kind: kindSaga, Partition: partition, ID: started}, 0)
	}
	return nil
}

type batch struct {
	entries []journal.Entry
	ops     []store.Op
}

func (g *Guard) applyVerdict(ctx context.Context, p *picture, partition string, v risk.Verdict, doing map[string]string, b *batch) error {
	row, ok, err := g.get(ctx, partition, incident.RowKey(v.Check))
	if err != nil {
		return err
	}
	var prev *incident.Incident
	if ok {
		prev = &incident.Incident{}
		if err := json.Unmarshal(row.Value, prev); err != nil {
			return fault.New(fault.Invalid, "guard.applyVerdict", "incident %s: %w", v.Check, err)
		}
	}
	next, change := incident.Next(prev, v, p.now)
	if d := doing[v.Remedy]; next.State == incident.Open && d != next.Doing {
		next.Doing = d
		if change == incident.None {
			change = incident.Updated
		}
	}
	if change == incident.None {
		return nil
	}
	b.ops = append(b.ops, putOp(incident.RowKey(v.Check), encode(next), row.ETag))
	b.entries = append(b.entries, entryFor(p.signal, next, change))
	if a, ok := g.incidentAlert(p, next, change); ok {
		b.ops = append(b.ops, g.outbox(a)...)
	}
	return nil
}

func putOp(key string, value []byte, etag string) store.Op {
	if etag == "" {
		return store.Op{Kind: store.Insert, Key: key, Value: value}
	}
	return store.Op{Kind: store.Replace, Key: key, Value: value, ETag: etag}
}

// storedPlan is a plan's row: what was planned, by its hash, and what the
// gates last said.
type storedPlan struct {
	Schema  int             `json:"schema"`
	SHA256  string          `json:"sha256"`
	Plan    json.RawMessage `json:"plan"`
	Rulings []plan.Ruling   `json:"rulings"`
	Started bool            `json:"started"`
}

// planFor makes the plan that the subject's verdicts ask for, asks the gates
// and adds plan, rulings and, if allowed, the saga to the batch. It returns the
// saga to start and, per remedy, what people are told about it.
func (g *Guard) planFor(ctx context.Context, p *picture, subject event.Subject, partition string, b *batch) (string, map[string]string, error) {
	pl, facts, ok := g.wanted(p, subject)
	if !ok {
		return "", nil, nil
	}
	if pl.Remedy == plan.Rewire {
		open, err := g.openRotation(ctx, pl.Key)
		if err != nil || open != "" {
			return "", map[string]string{plan.Rewire: "follows in its turn with rotation plan " + open}, err
		}
	}
	old, err := g.storedPlan(ctx, partition, pl.ID)
	if err != nil {
		return "", nil, err
	}
	if old.saga != nil && old.plan.Started && !old.saga.mayStartAgain(p.now) {
		return "", map[string]string{pl.Remedy: old.saga.doing()}, nil
	}
	rotated, err := g.rotatedToday(ctx, p.now)
	if err != nil {
		return "", nil, err
	}
	rulings := plan.Gates(pl, facts, plan.Inputs{Policy: g.Policy, Observe: g.Observe, CanWrite: g.CanWrite, Rotated: rotated, Now: p.now})
	doing := map[string]string{pl.Remedy: doingText(pl, rulings)}
	next := storedPlan{Schema: 1, Rulings: rulings, Started: plan.Verdict(rulings) == plan.Allow}
	if next.Plan, next.SHA256, err = pl.Encode(); err != nil {
		return "", nil, err
	}
	if old.planETag != "" && !next.Started && !old.plan.Started && sameRulings(old.plan.Rulings, rulings) {
		return "", doing, nil
	}
	b.ops = append(b.ops, putOp(planRow(pl.ID), encode(next), old.planETag))
	b.entries = append(b.entries, planEntry(p.signal.ID, pl, next), gateEntry(p.signal.ID, pl, rulings))
	if !next.Started {
		return "", doing, nil
	}
	b.ops = append(b.ops, putOp(sagaRow(pl.ID), encode(newSaga(pl, p.now)), old.sagaETag))
	return pl.ID, doing, nil
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

// wanted returns the plan that the subject's broken verdicts ask for.
func (g *Guard) wanted(p *picture, subject event.Subject) (plan.Plan, plan.Facts, bool) {
	for _, v := range p.verdicts[subject] {
		if v.Answer != risk.Broken {
			continue
		}
		switch v.Remedy {
		case plan.Rotate:
			if kp, ok := p.keys[subject.ID]; ok && subject.Kind == event.SubjectKey {
				return plan.ForRotation(kp.facts, g.Policy.Hash, p.now), kp.facts, true
			}
		case plan.Rewire:
			if f, ok := rewireFacts(p, subject); ok {
				return plan.ForRewire(f, g.Policy.Hash, p.now), f, true
			}
		}
	}
	return plan.Plan{}, plan.Facts{}, false
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

// doingText says in one line what happens about the problem.
func doingText(pl plan.Plan, rulings []plan.Ruling) string {
	held := plan.Holding(rulings)
	if len(held) == 0 {
		return fmt.Sprintf("%s is being carried out (plan %s, %d steps)", pl.Remedy, pl.ID, len(pl.Steps))
	}
	reasons := make([]string, 0, len(held))
	for _, r := range held {
		reasons = append(reasons, r.Gate+": "+r.Reason)
	}
	return fmt.Sprintf("%s is held (plan %s). %s", pl.Remedy, pl.ID, strings.Join(reasons, ". "))
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

func planRow(id string) string { return "plan~" + id }
func sagaRow(id string) string { return "saga~" + id }

// encode gives the canonical JSON of our own plain structs, which cannot fail.
func encode(v any) []byte {
	raw, err := canonical.JSON(v)
	if err != nil {
		return []byte("null") // unreachable: the types here hold no channel, func or float
	}
	return raw
}
