package guard

import (
	"context"
	"encoding/json"

	"cmkguard/internal/fault"
	"cmkguard/internal/risk"
	"cmkguard/internal/self"
	"cmkguard/internal/store"
	"cmkguard/internal/wiring"
)

func sightRow(subscription string) string { return store.Name("sight", subscription) }

// judgeSights judges what we see of each watched subscription, and keeps when each
// was seen whole: that it no longer is tells more than that it is not.
func (g *Guard) judgeSights(ctx context.Context, run Survey) ([]risk.Verdict, error) {
	var out []risk.Verdict
	for _, s := range run.Sights(ctx) {
		row, ok, err := g.get(ctx, selfPartition, sightRow(s.Subscription))
		if err != nil {
			return nil, err
		}
		var before self.Whole
		if ok && json.Unmarshal(row.Value, &before) != nil {
			before = self.Whole{} // damaged: written anew when it is whole
		}
		out = append(out, self.JudgeSight(s, before))
		if !s.Whole() {
			continue
		}
		now := self.Whole{At: s.At, Clusters: s.Clusters}
		_, err = g.State.Apply(ctx, selfPartition, []store.Op{putOp(sightRow(s.Subscription), encode(now), row.ETag)})
		if err != nil && !fault.Is(err, fault.Conflict) {
			return nil, asRecordError(err)
		}
	}
	return out, nil
}

// judgeReads adds to the picture what of the chain we may not read.
func (g *Guard) judgeReads(p *picture, w wiring.Wiring) {
	if !g.Watch.Beats {
		return
	}
	for _, v := range self.JudgeReads(w) {
		p.add(v)
	}
}
