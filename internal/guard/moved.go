package guard

import (
	"context"
	"encoding/json"

	"cmkguard/internal/event"
	"cmkguard/internal/incident"
	"cmkguard/internal/risk"
)

// endMoved ends what stood at a cluster only because its vault or key could not be
// read: now that it is, the check is answered there, and nobody would ever answer it
// at the cluster again.
func (g *Guard) endMoved(ctx context.Context, p *picture, cluster event.Subject, b *batch) error {
	rows, err := g.openIncidents(ctx, cluster)
	if err != nil || len(rows) == 0 {
		return err
	}
	moved := g.answeredElsewhere(p, cluster)
	for _, row := range rows {
		var was incident.Incident
		if json.Unmarshal(row.Value, &was) != nil {
			continue // unreachable: openIncidents read it
		}
		v, ok := moved[was.Check]
		if !ok || !moves(was, v) {
			continue
		}
		g.end(p, was, row.ETag, "it is answered at "+v.Subject.String()+" now: "+string(v.Answer), v.Evidence, b)
	}
	return nil
}

// moves: what is broken is not over because it can no longer be told.
func moves(was incident.Incident, v risk.Verdict) bool {
	return was.State != incident.Open || v.Answer != risk.Unknown
}

// answeredElsewhere are the checks that the cluster's chain answers about its vault or
// key by name.
func (g *Guard) answeredElsewhere(p *picture, cluster event.Subject) map[string]risk.Verdict {
	out := map[string]risk.Verdict{}
	for _, w := range p.wirings {
		if w.ID.Key() != cluster.ID {
			continue
		}
		for _, v := range risk.Judge(w, g.Policy.Limits.Risk, p.now, asked(p.signal)) {
			if v.Subject.ID != "" && v.Subject != cluster {
				out[v.Check] = v
			}
		}
	}
	return out
}
