package guard

import (
	"context"
	"strings"

	"cmkguard/internal/alert"
	"cmkguard/internal/event"
	"cmkguard/internal/incident"
	"cmkguard/internal/journal"
	"cmkguard/internal/plan"
	"cmkguard/internal/risk"
	"cmkguard/internal/store"
	"cmkguard/internal/wiring"
)

const heldRow = "held"

// holdChange is that a hold tag came to a cluster's chain, or went.
type holdChange struct {
	op       store.Op
	entry    journal.Entry
	released bool
}

// addHolds compares the hold tags of each chain with those that it had. A tag may
// be put there by anybody, and only tightens; that one was taken away loosens, and
// is told.
func (g *Guard) addHolds(ctx context.Context, p *picture) error {
	p.holds = map[string]holdChange{}
	for _, w := range p.wirings {
		if !w.Cluster.OK() || !w.Vault.OK() || w.Versions.State == wiring.Unreadable || w.Versions.State == wiring.NotRead {
			continue // a tag that cannot be read is not one that went
		}
		row, was, err := g.get(ctx, clusterPartition(w.ID), heldRow)
		if err != nil {
			return err
		}
		held := plan.Holds(w)
		e := journal.Entry{Kind: journal.KindNote, Subject: "cluster:" + w.ID.Key(), Ref: p.signal.ID}
		switch {
		case len(held) > 0 && !was:
			e.Text = "held by the tag " + plan.HoldTag + " on " + strings.Join(held, ", ")
			p.holds[w.ID.Key()] = holdChange{op: store.Op{Kind: store.Insert, Key: heldRow, Value: []byte(encode(held))}, entry: e}
		case len(held) == 0 && was:
			e.Text = "the tag " + plan.HoldTag + " was taken away; it was on " + strings.Trim(string(row.Value), "[]")
			p.holds[w.ID.Key()] = holdChange{op: store.Op{Kind: store.Delete, Key: heldRow, ETag: row.ETag}, entry: e, released: true}
		}
	}
	return nil
}

// noteCluster adds to the batch, if the subject is a cluster, what is kept of it from
// look to look, and the end of what no longer stands there.
func (g *Guard) noteCluster(ctx context.Context, p *picture, cluster event.Subject, b *batch) error {
	if cluster.Kind != event.SubjectCluster {
		return nil
	}
	if op, ok := p.newer[cluster.ID]; ok {
		b.ops = append(b.ops, op)
	}
	h, ok := p.holds[cluster.ID]
	if !ok {
		return g.endMoved(ctx, p, cluster, b)
	}
	b.ops, b.entries = append(b.ops, h.op), append(b.entries, h.entry)
	if h.released {
		b.ops = append(b.ops, g.outbox(g.releasedAlert(p, cluster, h.entry.Text))...)
	}
	return g.endMoved(ctx, p, cluster, b)
}

func (g *Guard) releasedAlert(p *picture, subject event.Subject, what string) alert.Alert {
	return alert.Alert{
		ID: g.NewID(), DedupKey: "cmkguard/hold/" + incident.Partition(subject), GroupKey: incident.Partition(subject),
		Lifecycle: alert.Trigger, Severity: risk.High, Title: "A hold was released: " + shortName(subject), What: what,
		Subject: subject.String(), Since: p.now.UTC(), Ref: p.signal.ID, Impact: impactOf(p.impact[subject]), Evidence: claimsOf(p),
		Breaks: "what the tag held may now be carried out, as far as the policy and people allow it",
		Next:   []string{"Ask who took it away. To hold again, put the tag back; to hold whatever tags say, use an exemption in the policy."},
	}
}
