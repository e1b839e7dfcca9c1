package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/event"
	"cmkguard/internal/incident"
	"cmkguard/internal/risk"
	"cmkguard/internal/store"
	"cmkguard/internal/wiring"
)

// goneAgain is when a cluster that a GET does not find, and a list still shows, is
// looked at again: Resource Graph lags by minutes.
const goneAgain = 10 * time.Minute

// bury ends the incidents of what is gone: of a cluster that does not exist any
// more, and of a key or a vault that no cluster uses any more. What could not be
// read, or not be listed whole, is not gone.
func (g *Guard) bury(ctx context.Context, run Survey, p *picture) (touched []string, err error) {
	for _, w := range p.gone {
		t, err := g.buryCluster(ctx, run, p, w)
		touched = append(touched, t...)
		if err != nil {
			return touched, err
		}
	}
	s := p.signal.Subject
	if len(p.wirings) > 0 || !p.complete || s.Kind != event.SubjectKey && s.Kind != event.SubjectVault {
		return touched, nil
	}
	t, err := g.buryUnused(ctx, run, p)
	return append(touched, t...), err
}

// buryCluster ends a cluster's incidents when its GET says that it is not there
// and the list of all, seen whole, lacks it.
func (g *Guard) buryCluster(ctx context.Context, run Survey, p *picture, w wiring.Wiring) ([]string, error) {
	subject := event.Subject{Kind: event.SubjectCluster, ID: w.ID.Key()}
	list, complete, _ := run.Keyed(ctx)
	if !complete {
		return nil, nil
	}
	for _, c := range list {
		if c.ID.Equal(w.ID) {
			return nil, g.send(ctx, lookMessage(subject, azureid.Key{}), goneAgain)
		}
	}
	evidence := []risk.Evidence{
		{Call: w.Cluster.Call, At: w.Cluster.At, Value: "not there: " + w.Cluster.Why},
		{Call: "graph clusters", At: p.now.UTC(), Value: fmt.Sprintf("%d clusters with a key of their own, seen whole, without it", len(list))},
	}
	touched, err := g.endAll(ctx, p, subject, "the cluster is gone", evidence)
	if err != nil {
		return touched, err
	}
	row, ok, err := g.get(ctx, rosterPartition, rosterRow(w.ID))
	if err != nil || !ok {
		return touched, err
	}
	var m member
	if json.Unmarshal(row.Value, &m) == nil {
		if err := g.lookAtLeft(ctx, m); err != nil {
			return touched, err
		}
	}
	return touched, g.strike(ctx, w.ID)
}

// buryUnused ends the incidents of a key or a vault of which the list of its
// clusters, seen whole, is empty. A cluster that was on the roster with it is
// read by itself: one made anew is in no list for some minutes.
func (g *Guard) buryUnused(ctx context.Context, run Survey, p *picture) ([]string, error) {
	subject := p.signal.Subject
	open, err := g.openIncidents(ctx, subject)
	if err != nil || len(open) == 0 {
		return nil, err
	}
	evidence := []risk.Evidence{{Call: "graph clusters", At: p.now.UTC(), Value: "seen whole: none uses it"}}
	used := false
	err = g.members(ctx, func(m member) error {
		if used || subject.Kind == event.SubjectKey && m.Key.ID() != subject.ID || subject.Kind == event.SubjectVault && m.Vault.Key() != subject.ID {
			return nil
		}
		w := run.Wiring(ctx, m.Cluster)
		used = w.Cluster.State != wiring.Absent && (!w.Cluster.OK() || w.Key().SameKey(m.Key))
		evidence = append(evidence, risk.Evidence{Call: w.Cluster.Call, At: w.Cluster.At, Value: "names the key " + w.Key().String() + " " + w.Cluster.Why})
		return nil
	})
	if err != nil || used {
		return nil, err
	}
	return g.endAll(ctx, p, subject, "no cluster uses the "+string(subject.Kind)+" any more", evidence)
}

// openIncidents are a subject's that are not resolved.
func (g *Guard) openIncidents(ctx context.Context, subject event.Subject) (rows []store.Row, err error) {
	err = g.each(ctx, incident.Partition(subject), incident.RowKey(""), func(row store.Row) (bool, error) {
		var i incident.Incident
		if json.Unmarshal(row.Value, &i) == nil && i.State != incident.Resolved {
			rows = append(rows, row)
		}
		return true, nil
	})
	return rows, err
}

// endAll ends a subject's incidents in one batch.
func (g *Guard) endAll(ctx context.Context, p *picture, subject event.Subject, why string, evidence []risk.Evidence) ([]string, error) {
	rows, err := g.openIncidents(ctx, subject)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	b := &batch{}
	for _, row := range rows {
		var was incident.Incident
		if json.Unmarshal(row.Value, &was) != nil {
			continue // unreachable: openIncidents read it
		}
		g.end(p, was, row.ETag, why, evidence, b)
	}
	partition := incident.Partition(subject)
	return []string{partition}, g.commit(ctx, partition, b.entries, b.ops...)
}

// end adds to the batch that an incident is over though nobody can say that its check
// would be ok. Only those that people were told of are told to be over.
func (g *Guard) end(p *picture, was incident.Incident, etag, why string, evidence []risk.Evidence, b *batch) {
	next, change := incident.End(was, why, evidence, p.now)
	if change == incident.None {
		return
	}
	b.ops = append(b.ops, putOp(incident.RowKey(was.Check), encode(next), etag))
	b.entries = append(b.entries, entryFor(p.signal, next, change))
	if a, ok := g.incidentAlert(p, next, change); ok && (was.State == incident.Open || len(was.Told) > 0) {
		ops, _ := g.outboxOf(a, was.Told)
		b.ops = append(b.ops, ops...)
	}
}
