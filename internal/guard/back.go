package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/plan"
	"cmkguard/internal/risk"
	"cmkguard/internal/store"
	"cmkguard/internal/wiring"
)

// seen is the newest version that a cluster was ever seen on, and whether people had us
// take it back from there.
type seen struct {
	Key     string       `json:"key"`
	Version string       `json:"version"`
	Created int64        `json:"created"` // Unix seconds
	Undone  *plan.Undone `json:"undone,omitempty"`
}

const seenRow = "seen"

// seenOf returns what a cluster was seen on of the key; ok is false for never.
func (g *Guard) seenOf(ctx context.Context, cluster azureid.Resource, k azureid.Key) (was seen, etag string, ok bool, err error) {
	row, found, err := g.get(ctx, clusterPartition(cluster), seenRow)
	ok = found && json.Unmarshal(row.Value, &was) == nil && was.Key == k.ID()
	return was, row.ETag, ok, err
}

// addPointedBack judges whether a cluster went back to an older version than it
// was seen on: one of the ways in which its owner says no, and never ours to undo
// without a person. Where people had us take it back, nobody else did.
func (g *Guard) addPointedBack(ctx context.Context, p *picture) error {
	p.pointedBack, p.newer = map[string]string{}, map[string]store.Op{}
	for _, w := range p.wirings {
		v, ok := w.Version(w.Key())
		if !ok {
			continue
		}
		was, etag, found, err := g.seenOf(ctx, w.ID, w.Key())
		if err != nil {
			return err
		}
		now := seen{Key: w.Key().ID(), Version: v.Key.Version, Created: v.Created.Unix()}
		moot, err := g.isMoot(ctx, was, now)
		switch {
		case err != nil:
			return err
		case !found || was.Created < now.Created || moot && was.Created == now.Created:
			p.newer[w.ID.Key()] = putOp(seenRow, encode(now), etag)
		case was.Created > now.Created && (was.Undone == nil || was.Undone.Back != now.Version):
			p.pointedBack[w.ID.Key()] = was.Version
			g.judgeChange(p, w, was.Version)
		}
	}
	return nil
}

// isMoot reports whether an undo no longer says anything: it has ended, and the cluster
// is not where it was pointed back to.
func (g *Guard) isMoot(ctx context.Context, was, now seen) (bool, error) {
	u := was.Undone
	if u == nil || u.Back == now.Version {
		return false, nil
	}
	old, err := g.storedPlan(ctx, u.Partition, u.Plan)
	return err == nil && (old.saga == nil || old.saga.Phase.over()), err
}

// markUndone writes into the cluster's row that people took it back.
func (g *Guard) markUndone(ctx context.Context, own string, undo plan.Plan, f *follower, versions []wiring.KeyVersion) error {
	id, err := azureid.ParseResource(f.Cluster)
	if err != nil {
		return err
	}
	was, etag, ok, err := g.seenOf(ctx, id, undo.Key)
	if err != nil {
		return err
	}
	if !ok {
		was = seen{Key: undo.Key.ID()}
	}
	for _, v := range versions { // perhaps nobody looked since it was moved there
		if v.Key.Version == f.From && v.Created.Unix() > was.Created {
			was.Version, was.Created = f.From, v.Created.Unix()
		}
	}
	was.Undone = &plan.Undone{Plan: undo.ID, Partition: own, Of: undo.Undoes, Version: f.From, Back: f.To, At: g.Now().UTC()}
	_, err = g.State.Apply(ctx, clusterPartition(id), []store.Op{putOp(seenRow, encode(was), etag)})
	if fault.Is(err, fault.Conflict) { // a look was faster: this step comes again
		return fault.Wrap(fault.Transient, "guard.markUndone", err)
	}
	return asRecordError(err)
}

// standing adds to a plan's facts what only gates ask about: the other members of the
// groups of what it moves, and what people took its clusters back from.
func (g *Guard) standing(ctx context.Context, run Survey, remedyName string, f plan.Facts) (plan.Facts, error) {
	f.Wirings = withPeers(ctx, run, remedyName, f.Wirings)
	if remedyName != plan.Rotate && remedyName != plan.Rewire {
		return f, nil
	}
	f.Undone = map[string]plan.Undone{}
	for _, w := range f.Wirings {
		was, _, ok, err := g.seenOf(ctx, w.ID, w.Key())
		if err != nil {
			return f, err
		}
		if ok && was.Undone != nil && was.Undone.Back == w.Key().Version {
			f.Undone[w.ID.Key()] = *was.Undone
		}
	}
	return f, nil
}

func (g *Guard) judgeChange(p *picture, w wiring.Wiring, was string) {
	w.Posture.Changes = wiring.Read([]wiring.Change{{
		At: p.now, What: fmt.Sprintf("the cluster was pointed back from version %s to the older %s", was, w.Key().Version),
		Actor: "somebody", Downgrade: true,
	}}, w.Cluster.Call, w.Cluster.At)
	for _, v := range risk.Judge(w, g.Policy.Limits.Risk, p.now, risk.Select("CMK-067")) {
		if v.Remedy != plan.RollBackDowngrade || v.Answer != risk.Broken {
			continue
		}
		if ver, ok := w.Version(w.Key()); ok && v.By == nil {
			v.By = ver.Expires
		}
		list := slices.DeleteFunc(p.verdicts[v.Subject], func(o risk.Verdict) bool { return o.Check == v.Check })
		p.verdicts[v.Subject] = append(list, v)
		if w.Cluster.OK() && len(p.impact[v.Subject]) == 0 {
			p.impact[v.Subject] = []wiring.Cluster{w.Cluster.Value}
		}
	}
}
