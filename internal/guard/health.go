package guard

import (
	"context"
	"encoding/json"
	"time"

	"cmkguard/internal/event"
	"cmkguard/internal/incident"
	"cmkguard/internal/risk"
	"cmkguard/internal/self"
	"cmkguard/internal/store"
)

// Health is what is stored about ourselves.
type Health struct {
	At time.Time `json:"at"`
	// Healthy is false where our own work does not get done; Reasons says why. A
	// bad policy, say, is among Open and does not make a probe fail: a restart
	// mends nothing of it.
	Healthy bool      `json:"healthy"`
	Reasons []string  `json:"reasons"`
	Sweep   self.Beat `json:"sweep"` // the last; without a time if there was none
	Open    []Ailment `json:"open"`  // incidents about this installation as a whole, and about each watched subscription
}

// Ailment is an open incident about ourselves.
type Ailment struct {
	Check    string        `json:"check"`
	Title    string        `json:"title"`
	Severity risk.Severity `json:"severity"`
	Since    time.Time     `json:"since"`
	Why      string        `json:"why"`
}

// Health reads how we are, from state alone: it calls nobody, writes nothing and
// is cheap enough for a probe. An error is state that cannot be read.
func (g *Guard) Health(ctx context.Context) (Health, error) {
	h := Health{At: g.Now().UTC(), Reasons: []string{}, Open: []Ailment{}}
	b, _, ok, err := g.lastBeat(ctx)
	if err != nil {
		return h, err
	}
	h.Sweep = b
	if v := self.JudgeBeat(b, ok, "none was ever written", g.Now()); v.Answer != risk.OK {
		h.Reasons = append(h.Reasons, v.Check+": "+v.Why)
	}
	about := []event.Subject{self.Us()}
	for _, s := range g.Watch.Subscriptions {
		about = append(about, self.Watched(s))
	}
	for _, subject := range about {
		if err := g.ailments(ctx, subject, &h); err != nil {
			return h, err
		}
	}
	h.Healthy = len(h.Reasons) == 0
	return h, nil
}

// ailments adds what is open about the subject and about ourselves.
func (g *Guard) ailments(ctx context.Context, subject event.Subject, h *Health) error {
	return g.each(ctx, incident.Partition(subject), incident.RowKey(""), func(row store.Row) (bool, error) {
		var i incident.Incident
		if json.Unmarshal(row.Value, &i) == nil && i.State == incident.Open {
			h.Open = append(h.Open, Ailment{i.Check, i.Verdict.Title, i.Verdict.Severity, i.Opened, i.Verdict.Why})
			if i.Check == self.Backlog {
				h.Reasons = append(h.Reasons, i.Check+": "+i.Verdict.Why)
			}
		}
		return true, nil
	})
}
