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
	"cmkguard/internal/fault"
	"cmkguard/internal/incident"
	"cmkguard/internal/plan"
	"cmkguard/internal/risk"
	"cmkguard/internal/store"
)

const (
	actions = "actions" // partition: what was begun, and since when a remedy may run by itself
	// remembered is how far the gates that look back can see.
	remembered = 7 * 24 * time.Hour
)

func actionRow(id string) string    { return "action~" + id }
func firstRow(remedy string) string { return "first~" + remedy }

// inputs are what the gates compare a plan with, read now. own is a plan whose
// action does not count: the saga that asks for one of its own steps. peek reads
// only.
func (g *Guard) inputs(ctx context.Context, pl plan.Plan, f plan.Facts, own string, causes []string, peek bool) (plan.Inputs, error) {
	in := plan.Inputs{Policy: g.Policy, Observe: g.Observe, CanWrite: g.CanWrite, Causes: causes, Now: g.Now()}
	h, err := g.history(ctx, pl, peek)
	if err != nil {
		return in, err
	}
	h.Own, in.History = own, &h
	in.Decisions, err = g.decisions(ctx, pl, f.Keys(), peek)
	return in, err
}

// history reads what was begun in the last days. The same remedy wanted again
// for the same subject after it was done says that somebody reversed it.
func (g *Guard) history(ctx context.Context, pl plan.Plan, peek bool) (plan.History, error) {
	l := g.Policy.Limits
	h := plan.History{FirstEnabled: map[string]time.Time{}, Bounds: plan.Bounds{
		MinBetween: l.MinBetween, Failures: l.FailuresPerDay, ConsumersPerHour: l.ConsumersPerHour,
		ConsumersPerDay: l.ConsumersPerDay, RampStep: l.RampStep,
	}}
	err := g.each(ctx, actions, "action~", func(row store.Row) (bool, error) {
		var a plan.Action
		if err := json.Unmarshal(row.Value, &a); err != nil {
			return false, fault.New(fault.Invalid, "guard.history", "%s: %w", row.Key, err)
		}
		recent := g.Now().Sub(a.At) < remembered
		if recent && a.Ended == plan.Done && a.Plan != pl.ID && a.Remedy == pl.Remedy && a.Remedy != plan.Rotate && a.Subject == pl.Subject.String() {
			a.Reversed = g.Now()
		}
		if recent || a.Ended == plan.Running {
			h.Actions = append(h.Actions, a)
		}
		return true, nil
	})
	if err != nil {
		return h, err
	}
	first, err := g.firstEnabled(ctx, pl.Remedy, peek)
	if !first.IsZero() {
		h.FirstEnabled[pl.Remedy] = first
	}
	return h, err
}

// firstEnabled keeps since when the policy lets the remedy run by itself, and
// forgets it when the policy no longer does: the next enabling is a first one.
func (g *Guard) firstEnabled(ctx context.Context, remedy string, peek bool) (time.Time, error) {
	row, ok, err := g.get(ctx, actions, firstRow(remedy))
	if err != nil {
		return time.Time{}, err
	}
	var at time.Time
	auto := g.Policy.Auto(remedy)
	switch {
	case ok && auto:
		if err := json.Unmarshal(row.Value, &at); err != nil {
			return at, fault.New(fault.Invalid, "guard.firstEnabled", "%s: %w", row.Key, err)
		}
		return at, nil
	case peek && auto:
		return g.Now().UTC(), nil
	case peek:
		return at, nil
	case ok:
		_, err = g.State.Apply(ctx, actions, []store.Op{{Kind: store.Delete, Key: row.Key, ETag: row.ETag}})
	case auto:
		at = g.Now().UTC()
		_, err = g.State.Apply(ctx, actions, []store.Op{{Kind: store.Insert, Key: firstRow(remedy), Value: encode(at)}})
	}
	if fault.Is(err, fault.Conflict) {
		err = nil // another worker was faster: the difference is a moment
	}
	return at, asRecordError(err)
}

// beginAction writes what is about to be begun before the first attempt; a second try
// of the same plan finds it there and says when it began anew.
func (g *Guard) beginAction(ctx context.Context, p plan.Plan) error {
	return g.putAction(ctx, plan.Action{
		Plan: p.ID, Remedy: p.Remedy, Key: p.Key.ID(), Subject: p.Subject.String(), At: g.Now().UTC(),
		Consumers: len(p.Consumers), Ended: plan.Running,
	})
}

// endAction writes how it came out. What was never begun is not written.
func (g *Guard) endAction(ctx context.Context, s saga) error {
	row, ok, err := g.get(ctx, actions, actionRow(s.Plan.ID))
	if err != nil || !ok {
		return err
	}
	var a plan.Action
	if err := json.Unmarshal(row.Value, &a); err != nil {
		return fault.New(fault.Invalid, "guard.endAction", "%s: %w", row.Key, err)
	}
	switch {
	case s.Phase == phaseDone:
		a.Ended = plan.Done
	case s.RetryAt.IsZero():
		a.Ended = plan.Unexpected
	default:
		a.Ended = plan.Failed
	}
	return g.putAction(ctx, a)
}

func (g *Guard) putAction(ctx context.Context, a plan.Action) error {
	row, _, err := g.get(ctx, actions, actionRow(a.Plan))
	if err != nil {
		return err
	}
	_, err = g.State.Apply(ctx, actions, []store.Op{putOp(actionRow(a.Plan), encode(a), row.ETag)})
	return asRecordError(err)
}

// breakerAlert pages when this end is the one that opens the circuit breaker.
func (g *Guard) breakerAlert(ctx context.Context, s saga) (alert.Alert, bool, error) {
	if s.Phase != phaseStopped {
		return alert.Alert{}, false, nil
	}
	h, err := g.history(ctx, s.Plan, true)
	if err != nil {
		return alert.Alert{}, false, err
	}
	bad := 0
	for _, a := range h.Actions {
		if g.Now().Sub(a.At) < 24*time.Hour && (a.Ended == plan.Failed || a.Ended == plan.Unexpected) {
			bad++
		}
	}
	if bad != h.Bounds.Failures {
		return alert.Alert{}, false, nil
	}
	return alert.Alert{
		ID: g.NewID(), DedupKey: "cmkguard/self/breaker", GroupKey: "self", Lifecycle: alert.Trigger, Severity: risk.Critical,
		Title: "The circuit breaker is open: nothing more is begun", Subject: "scope:cmkguard", Since: g.Now().UTC(), Ref: s.Plan.ID,
		What:   fmt.Sprintf("%d actions failed or read back unexpectedly in 24 hours (limits.failuresPerDay); the last: %s of %s: %s", bad, s.Plan.Remedy, shortName(s.Plan.Subject), clip(s.Why, 500)),
		Breaks: "rotations and repairs wait, so keys come nearer to their expiry",
		Next:   []string{"Mend the cause of the stopped plans. The breaker closes by itself when they are older than 24 hours, or raise limits.failuresPerDay."},
	}, true, nil
}

// decisions returns the genuine decisions on the plan and on the keys. One whose
// seal is not ours was made by somebody who can write to the storage: it counts
// for nothing, and people are told.
func (g *Guard) decisions(ctx context.Context, pl plan.Plan, keys []azureid.Key, peek bool) ([]approval.Decision, error) {
	var out []approval.Decision
	partitions := []string{incident.Partition(pl.Subject)}
	for _, k := range keys {
		if at := keyPartition(k); !slices.Contains(partitions, at) {
			partitions = append(partitions, at)
		}
	}
	for _, partition := range partitions {
		err := g.each(ctx, partition, "approval~", func(row store.Row) (bool, error) {
			var d approval.Decision
			if json.Unmarshal(row.Value, &d) == nil && g.People.Genuine(d) {
				out = append(out, d)
				return true, nil
			}
			if peek {
				return true, nil
			}
			return true, g.tellForged(ctx, pl, row)
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (g *Guard) tellForged(ctx context.Context, pl plan.Plan, row store.Row) error {
	id := "forged~" + store.Name("approval", row.Key+string(row.Value))
	a := alert.Alert{
		ID: g.NewID(), DedupKey: "cmkguard/self/" + id, GroupKey: "self", Lifecycle: alert.Trigger, Severity: risk.Critical,
		Title: "A decision in the storage is not genuine and counts for nothing", Subject: pl.Subject.String(), Since: g.Now().UTC(), Ref: pl.ID,
		What: "row " + row.Key + " about " + pl.Subject.String() + " does not bear our seal: somebody who may write to the storage made or altered it, or CMKGUARD_APPROVAL_KEY was changed",
		Next: []string{"Find out who may write to the storage account, and whether the approval key was changed: after a change every approval is given again."},
	}
	entry := noteEntry(a.Subject, pl.ID, a.What)
	err := g.commit(ctx, selfPartition, entry, append(g.outbox(a), store.Op{Kind: store.Insert, Key: id})...)
	if fault.Is(err, fault.Conflict) {
		return nil // told before
	}
	return err
}

func causeOf(causes []string, object string) bool {
	for _, c := range causes {
		if strings.EqualFold(strings.TrimPrefix(c, plan.Suspect), object) {
			return true
		}
	}
	return false
}
