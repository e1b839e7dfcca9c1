package guard

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/incident"
	"cmkguard/internal/journal"
	"cmkguard/internal/plan"
	"cmkguard/internal/store"
)

// saga is a plan under way. Each step reads it, does at most one external
// write, and replaces it by compare-and-swap; only the winner of the swap
// queues the next step.
type saga struct {
	Schema    int        `json:"schema"`
	Plan      plan.Plan  `json:"plan"`
	Seq       int64      `json:"seq"`
	Phase     phase      `json:"phase"`
	New       string     `json:"new,omitempty"` // the key version that clusters follow, or move, to
	MadeAt    time.Time  `json:"madeAt"`
	Followers []follower `json:"followers"`
	Step      int        `json:"step,omitempty"` // of a repair: the step whose turn it is
	NextAt    time.Time  `json:"nextAt"`
	Why       string     `json:"why,omitempty"`
	Waits     int        `json:"waits,omitempty"` // how often it waited for facts that could not be read
	Group     []string   `json:"group,omitempty"` // other members of the geo-replication groups that it moved in
	// RetryAt is from when a stopped saga's plan may start again; zero: never.
	RetryAt time.Time `json:"retryAt"`
}

// stop ends the saga.
func (s *saga) stop(why string, retryAt time.Time) {
	s.Phase, s.Why, s.RetryAt = phaseStopped, why, retryAt.UTC()
}

// mayStartAgain reports whether the saga's plan may be carried out once more.
func (s *saga) mayStartAgain(now time.Time) bool {
	return s.Phase == phaseStopped && !s.RetryAt.IsZero() && !now.Before(s.RetryAt)
}

// doing says where the saga stands, in one line for people.
func (s *saga) doing() string {
	text := fmt.Sprintf("%s (plan %s): ", s.Plan.Remedy, s.Plan.ID)
	switch s.Phase {
	case phaseDone:
		return text + "done. " + s.Why
	case phaseStopped:
		if s.RetryAt.IsZero() {
			return text + "stopped, and not started again by itself. " + s.Why
		}
		return text + "stopped; may start again from " + s.RetryAt.Format(time.RFC3339) + ". " + s.Why
	case phaseRotate, phaseFollow, phaseApply:
	}
	return text + "under way"
}

type phase string

const (
	phaseRotate  phase = "rotate"
	phaseFollow  phase = "follow"
	phaseApply   phase = "apply" // a repair: one effect
	phaseDone    phase = "done"
	phaseStopped phase = "stopped"
)

func (p phase) over() bool { return p == phaseDone || p == phaseStopped }

// follower is one cluster on its way to the new version.
type follower struct {
	Cluster string `json:"cluster"`
	Kind    string `json:"kind"`
	From    string `json:"from"`
	To      string `json:"to,omitempty"` // "": the saga's new version
	Done    bool   `json:"done"`
	By      string `json:"by,omitempty"` // "adopted" or "rewired"
}

func newSaga(p plan.Plan, now time.Time) saga {
	s := saga{Schema: 1, Plan: p, Phase: phaseRotate, NextAt: now.UTC()}
	if plan.Repair(p.Remedy) {
		s.Phase = phaseApply
		return s
	}
	if p.Remedy == plan.Rewire || p.Remedy == plan.Undo {
		s.Phase, s.New, s.MadeAt = phaseFollow, p.To.Version, now.UTC()
	}
	for _, c := range p.Consumers {
		f := follower{Cluster: c.Cluster, Kind: c.Kind, From: c.Version}
		if p.Remedy != plan.Rotate {
			f.Kind = "v1" // its own adoption is already late, or goes the other way: PATCH
		}
		if p.Remedy == plan.Undo {
			f.To = p.StepOn(strings.ToLower(c.Cluster)).To
		}
		s.Followers = append(s.Followers, f)
	}
	return s
}

// to is the version that a cluster is brought to.
func (s *saga) to(f *follower) string { return cmp.Or(f.To, s.New) }

// ends names the versions that its clusters end on.
func (s *saga) ends() string {
	var out []string
	for i := range s.Followers {
		out = append(out, s.to(&s.Followers[i]))
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), ", ")
}

// runSaga takes one step of a saga if seq is still its turn. It returns the
// partitions that it may have written to.
func (g *Guard) runSaga(ctx context.Context, partition, id string, seq int64) ([]string, error) {
	row, ok, err := g.get(ctx, partition, sagaRow(id))
	if err != nil || !ok {
		return nil, err
	}
	var s saga
	if err := json.Unmarshal(row.Value, &s); err != nil {
		return nil, fault.New(fault.Invalid, "guard.runSaga", "saga %s: %w", id, err)
	}
	if s.Seq != seq || s.Phase.over() {
		return nil, nil // an older message: somebody else took this step
	}
	touched := s.partitions(partition)
	before := s.Phase
	if err := g.stepSaga(ctx, partition, &s); err != nil {
		return touched, err
	}
	s.Seq++
	b, err := g.afterStep(ctx, s, before, row.ETag)
	if err != nil {
		return touched, err
	}
	if err := g.commit(ctx, partition, b.entries, b.ops...); err != nil {
		if fault.Is(err, fault.Conflict) {
			return touched, nil // another worker won the step; it queues the next one
		}
		return touched, err
	}
	if s.Phase.over() {
		return touched, g.lookAtGroup(ctx, s.Group)
	}
	return touched, g.send(ctx, message{Kind: kindSaga, Partition: partition, ID: id, Seq: s.Seq}, s.NextAt.Sub(g.Now()))
}

// afterStep is what a step leaves to be written in one batch.
func (g *Guard) afterStep(ctx context.Context, s saga, before phase, etag string) (batch, error) {
	b := batch{ops: []store.Op{{Kind: store.Replace, Key: sagaRow(s.Plan.ID), Value: encode(s), ETag: etag}}}
	if s.Phase.over() {
		// Before the end is written: a crash in between repeats the step and
		// finds the signal taken, and no incident stays open for want of a look.
		if err := g.takeSignal(ctx, g.recheck(s)); err != nil {
			return b, asRecordError(err)
		}
		if err := g.leaveTurns(ctx, s.Plan.ID, ""); err != nil {
			return b, err
		}
		if err := g.endAction(ctx, s); err != nil {
			return b, err
		}
	}
	if s.Phase == before {
		return b, nil
	}
	b.entries = append(b.entries, sagaEntry(s))
	if a, ok := g.sagaAlert(s); ok {
		b.ops = append(b.ops, g.outbox(a)...)
	}
	a, opens, err := g.breakerAlert(ctx, s)
	if opens {
		b.ops = append(b.ops, g.outbox(a)...)
	}
	return b, err
}

// recheck is the signal to judge the saga's key again, or the whole vault that it
// was about.
func (g *Guard) recheck(s saga) event.Signal {
	out := lookAt(event.Subject{Kind: event.SubjectKey, ID: s.Plan.Key.ID()}, s.Plan.Key)
	if s.Plan.Subject.Kind == event.SubjectVault {
		out = lookAt(s.Plan.Subject, s.Plan.Key)
	}
	out.ID = fmt.Sprintf("%s/%s/%d", s.Plan.ID, s.Plan.Created.Format(time.RFC3339Nano), s.Seq)
	out.Type, out.Time = "CmkGuard.Recheck", g.Now().UTC()
	return out
}

// partitions are the saga's own and those of the clusters that still follow.
func (s *saga) partitions(own string) []string {
	out := []string{own}
	for _, f := range s.Followers {
		id, err := azureid.ParseResource(f.Cluster)
		if err == nil && !f.Done {
			out = append(out, clusterPartition(id))
		}
	}
	return out
}

func clusterPartition(id azureid.Resource) string {
	return incident.Partition(event.Subject{Kind: event.SubjectCluster, ID: id.Key()})
}

func (g *Guard) stepSaga(ctx context.Context, partition string, s *saga) error {
	if why := g.paused(); why != "" {
		s.NextAt, s.Why = g.Now().Add(time.Minute).UTC(), why
		return nil
	}
	if s.Phase == phaseApply {
		return g.stepRepair(ctx, partition, s)
	}
	if s.Phase == phaseRotate {
		return g.stepRotate(ctx, partition, s)
	}
	return g.stepFollow(ctx, partition, s)
}

func (g *Guard) paused() string {
	switch {
	case g.Observe != "":
		return "observing only: " + g.Observe
	case g.Policy.Pause:
		return "the policy says pause: true"
	}
	return ""
}

func sagaEntry(s saga) journal.Entry {
	return journal.Entry{
		Kind: journal.KindOutcome, Subject: s.Plan.Subject.String(), Ref: s.Plan.ID,
		Text: fmt.Sprintf("%s: now %s. %s", s.Plan.Remedy, s.Phase, s.Why), Body: encode(s.Followers),
	}
}

// openRotation returns the id of a rotation of the key that is under way.
func (g *Guard) openRotation(ctx context.Context, k azureid.Key) (string, error) {
	open, err := g.openSagas(ctx, keyPartition(k))
	if err != nil {
		return "", err
	}
	for _, s := range open {
		if s.Plan.Remedy == plan.Rotate {
			return s.Plan.ID, nil
		}
	}
	return "", nil
}
