package guard

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"cmkguard/internal/approval"
	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/incident"
	"cmkguard/internal/risk"
	"cmkguard/internal/store"
)

// Problem is an open incident that a plan would mend: what breaks if nobody lets it.
type Problem struct {
	Check    string        `json:"check"`
	Title    string        `json:"title"` // the problem in a few words
	Severity risk.Severity `json:"severity"`
	Why      string        `json:"why"`
	Breaks   string        `json:"breaks,omitempty"`
	By       *time.Time    `json:"by,omitempty"`
	ByMeans  string        `json:"byMeans,omitempty"` // what By is, as half a sentence
	Since    time.Time     `json:"since"`
}

// addWhy gives a stored plan what people who decide about it ask: what breaks
// otherwise, who decided what, and what an answer of now would be bound to.
func (g *Guard) addWhy(ctx context.Context, h *Held) error {
	var err error
	h.At, h.ValidFor = g.Now().UTC(), g.Policy.Approvals.ValidFor
	if h.Fingerprint, err = h.Plan.Fingerprint(); err != nil {
		return err
	}
	err = g.each(ctx, h.Partition, "incident~", func(row store.Row) (bool, error) {
		var i incident.Incident
		if err := json.Unmarshal(row.Value, &i); err != nil {
			return false, fault.New(fault.Invalid, "guard.addWhy", "%s: %w", row.Key, err)
		}
		if i.State == incident.Open && i.Verdict.Remedy == h.Plan.Remedy {
			h.Problems = append(h.Problems, problemOf(i))
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	slices.SortStableFunc(h.Problems, func(a, b Problem) int { return cmp.Compare(b.Severity.Rank(), a.Severity.Rank()) })
	all, err := g.decisions(ctx, h.Plan, []azureid.Key{h.Plan.Key}, true)
	for _, d := range all {
		if d.Matter == h.Plan.ID {
			h.Decisions = append(h.Decisions, d)
		}
	}
	slices.SortStableFunc(h.Decisions, func(a, b approval.Decision) int { return a.At.Compare(b.At) })
	return err
}

func problemOf(i incident.Incident) Problem {
	v := i.Verdict
	p := Problem{Check: v.Check, Title: cmp.Or(risk.Headline(v.Check), v.Title), Severity: v.Severity, Why: v.Why, Breaks: v.Breaks, By: v.By, ByMeans: byMeans(v), Since: i.Opened}
	return p
}
