package guard

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/plan"
	"cmkguard/internal/remedy"
	"cmkguard/internal/remedy/rewire"
	"cmkguard/internal/store"
	"cmkguard/internal/wiring"
)

const (
	// groupsPartition holds a row for each member of a geo-replication group of
	// which one is being moved. All of them are here, so that a group's turn is
	// taken in one batch, whichever member's list of the others was read.
	groupsPartition = "groups"
	// groupTime is how long a turn holds though nobody can find its plan: longer than
	// an attempt's budget and quiet time together.
	groupTime = 10 * time.Minute
)

// mover is the plan whose turn it is in a group, and the member that it moves.
type mover struct {
	Plan      string    `json:"plan"`
	Partition string    `json:"partition"` // of the plan
	Cluster   string    `json:"cluster"`   // azureid.Resource.Key
	Until     time.Time `json:"until"`
}

func memberRow(id azureid.Resource) string { return store.Name("member", id.Key()) }

// groupTurn is what a step asks for: the turn for each of the clusters, for so long.
type groupTurn struct {
	saga      *saga // notes the other members
	partition string
	clusters  []azureid.Resource
	lasts     time.Duration
}

// turnOfRotation asks for the groups of the clusters that take the new version up by
// themselves, until they have: no step of ours moves those.
func turnOfRotation(s *saga, partition string, adoption time.Duration) groupTurn {
	t := groupTurn{saga: s, partition: partition, lasts: adoption + adoptionSlack + groupTime}
	for _, c := range s.Plan.Consumers {
		if id, err := azureid.ParseResource(c.Cluster); err == nil && c.Kind == "v2" {
			t.clusters = append(t.clusters, id)
		}
	}
	return t
}

// turnOfRepair asks for the group of the cluster that the repair changes, if it does.
func turnOfRepair(s *saga, partition string) groupTurn {
	t := groupTurn{saga: s, partition: partition, lasts: groupTime}
	if id, err := azureid.ParseResource(s.Plan.Steps[s.Step].Target); err == nil && plan.Moves(s.Plan.Remedy) {
		t.clusters = []azureid.Resource{id}
	}
	return t
}

// stepInGroup steps the effect; the last thing before anything is sent is that the
// groups' turns are taken and then the other members read. A turn is a courtesy among
// workers: what counts is what is there after it was taken.
func (g *Guard) stepInGroup(ctx context.Context, e remedy.Effect, t groupTurn) (remedy.Outcome, error) {
	var trouble plan.Trouble
	look := e.Look
	e.Look = func(ctx context.Context, since time.Time) (remedy.Sight, error) {
		s, err := look(ctx, since)
		if err != nil || s != (remedy.Sight{}) {
			return s, err
		}
		trouble, err = g.takeTurns(ctx, t)
		return remedy.Sight{Busy: trouble.Text}, err
	}
	out, err := g.Effects.Step(ctx, e)
	if err == nil && out.Status == remedy.Again && trouble.Failed {
		out = remedy.Outcome{Status: remedy.Failed, Why: trouble.Text, At: g.Now().Add(rewire.Rest)}
	}
	return out, err
}

// takeTurns takes the turn in the group of each cluster, or says why it waits. A
// cluster that is not geo-replicated needs none.
func (g *Guard) takeTurns(ctx context.Context, t groupTurn) (plan.Trouble, error) {
	pl := t.saga.Plan
	for _, id := range t.clusters {
		peers := g.Survey().Peers(ctx, id)
		if peers.OK() && len(peers.Value) == 0 {
			continue
		}
		t.note(peers.Value)
		trouble, err := g.groupTrouble(ctx, pl, peers)
		if err != nil || trouble.Text != "" {
			return trouble, err
		}
		m := mover{Plan: pl.ID, Partition: t.partition, Cluster: id.Key(), Until: g.Now().Add(t.lasts).UTC()}
		whose, fresh, err := g.takeTurn(ctx, m, peers.Value)
		switch {
		case err != nil:
			return trouble, err
		case whose != "":
			return plan.Trouble{Text: "it is the turn of " + whose + " in the geo-replication group of " + id.Name()}, nil
		}
		if trouble = plan.GroupTrouble(pl.Remedy, g.Survey().Peers(ctx, id)); trouble.Text == "" {
			continue
		}
		if !fresh { // something of ours may be under way: the turn stays until it ends
			return trouble, nil
		}
		return trouble, g.leaveTurns(ctx, pl.ID, id.Key())
	}
	return plan.Trouble{}, nil
}

// groupTrouble is what keeps the plan from moving a member just now.
func (g *Guard) groupTrouble(ctx context.Context, pl plan.Plan, peers wiring.Fact[[]wiring.Peer]) (plan.Trouble, error) {
	h, err := g.history(ctx, pl, true)
	if why := plan.GroupFailure(pl, peers, h); err == nil && why != "" {
		return plan.Trouble{Text: why, Failed: true}, nil
	}
	return plan.GroupTrouble(pl.Remedy, peers), err
}

func (t groupTurn) note(peers []wiring.Peer) {
	for _, p := range peers {
		if !slices.Contains(t.saga.Group, p.ID.Key()) {
			t.saga.Group = append(t.saga.Group, p.ID.Key())
		}
	}
}

// lookAtGroup has the other members looked at when a plan has ended: what waited for
// it may begin. If the messages are lost, the hourly look comes.
func (g *Guard) lookAtGroup(ctx context.Context, group []string) error {
	for _, id := range group {
		if err := g.send(ctx, lookMessage(event.Subject{Kind: event.SubjectCluster, ID: id}, azureid.Key{}), 0); err != nil {
			return err
		}
	}
	return nil
}

// takeTurn writes the mover into the rows of its cluster and of the others, all or
// none, and says whose turn it is instead. fresh: it was not the mover's before.
func (g *Guard) takeTurn(ctx context.Context, m mover, peers []wiring.Peer) (whose string, fresh bool, err error) {
	own, err := azureid.ParseResource(m.Cluster)
	if err != nil {
		return "", false, err
	}
	ids := []azureid.Resource{own}
	for _, p := range peers {
		ids = append(ids, p.ID)
	}
	var ops []store.Op
	fresh = true
	for _, id := range ids {
		row, ok, err := g.get(ctx, groupsPartition, memberRow(id))
		if err != nil {
			return "", false, err
		}
		var was mover
		ok = ok && json.Unmarshal(row.Value, &was) == nil
		mine := ok && was.Plan == m.Plan && was.Cluster == m.Cluster
		if ok && !mine {
			if over, err := g.isOver(ctx, was); err != nil || !over {
				return "plan " + was.Plan, false, err
			}
		}
		if fresh = fresh && !mine; mine && m.Until.Sub(was.Until) < groupTime/2 {
			continue
		}
		ops = append(ops, putOp(memberRow(id), encode(m), row.ETag))
	}
	if len(ops) == 0 {
		return "", fresh, nil
	}
	_, err = g.State.Apply(ctx, groupsPartition, ops)
	if fault.Is(err, fault.Conflict) {
		return "another worker", false, nil
	}
	return "", fresh, asRecordError(err)
}

// isOver reports whether the mover's turn has ended with its plan: a crash kept it
// from leaving. The deadline alone does not end it while the plan is under way: nobody
// may have worked for hours, and the member may still be about to move.
func (g *Guard) isOver(ctx context.Context, m mover) (bool, error) {
	old, err := g.storedPlan(ctx, m.Partition, m.Plan)
	if err != nil {
		return false, err
	}
	if old.saga == nil { // of a plan that nobody can find
		return g.Now().After(m.Until.Add(skew)), nil
	}
	return old.saga.Phase.over(), nil
}

// leaveTurns gives back the plan's turns for the cluster, or for all of its clusters
// ("").
func (g *Guard) leaveTurns(ctx context.Context, id, cluster string) error {
	return g.each(ctx, groupsPartition, "member~", func(row store.Row) (bool, error) {
		var m mover
		if json.Unmarshal(row.Value, &m) != nil || m.Plan != id || cluster != "" && m.Cluster != cluster {
			return true, nil //nolint:nilerr // a damaged turn is nobody's: it ends by its time
		}
		_, err := g.State.Apply(ctx, groupsPartition, []store.Op{{Kind: store.Delete, Key: row.Key, ETag: row.ETag}})
		if fault.Is(err, fault.Conflict) {
			err = nil // somebody else has it by now
		}
		return true, asRecordError(err)
	})
}

// withPeers reads the other members of the groups of what the remedy moves: gates ask
// about them.
func withPeers(ctx context.Context, run Survey, remedyName string, ws []wiring.Wiring) []wiring.Wiring {
	if !plan.Moves(remedyName) {
		return ws
	}
	out := make([]wiring.Wiring, len(ws))
	for i, w := range ws {
		w.Posture.Peers = run.Peers(ctx, w.ID)
		out[i] = w
	}
	return out
}
