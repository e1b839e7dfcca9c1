package guard

import (
	"context"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/incident"
)

// Known is an incident as its page shows it.
type Known struct {
	At      time.Time      `json:"at"` // when it was read
	Name    string         `json:"name"`
	Subject string         `json:"subject"`
	State   incident.State `json:"state"`
	Changed time.Time      `json:"changed"`
	Doing   string         `json:"doing,omitempty"` // what we do or hold
	Next    string         `json:"next,omitempty"`  // what a person does
	Acked   *incident.Ack  `json:"acked,omitempty"`
	// Silences keep its alerts from people now; Scopes are those that could be asked for.
	Silences []Hush  `json:"silences,omitempty"`
	Scopes   []Quiet `json:"scopes,omitempty"`
	Problem
}

// Incident returns the incident of a check in a partition, as its alerts name it:
// CHECK/PARTITION. One that is not there is Invalid.
func (g *Guard) Incident(ctx context.Context, check, partition string) (Known, error) {
	i, _, err := g.incidentAt(ctx, partition, check)
	if err != nil {
		return Known{}, err
	}
	k := Known{
		At: g.Now().UTC(), Name: clip(check+"/"+partition, 200), Subject: i.Subject.String(), State: i.State, Changed: i.Changed, Doing: i.Doing, Next: i.Verdict.Guidance,
		Acked: i.Acked, Problem: problemOf(i),
	}
	err = g.addQuiet(ctx, partition, i, &k)
	return k, err
}

// incidentLinks are the pages of a problem that is open: they show, and take an
// acknowledgement or a silence from who has signed in. Each is a page of its own, for
// a sign-in on the way keeps the path and loses what stands behind a #.
func (g *Guard) incidentLinks(a alert.Alert) []alert.Link {
	if g.PublicURL == "" || a.Check == "" || a.Lifecycle != alert.Trigger && a.Lifecycle != alert.Update {
		return nil
	}
	page := g.PublicURL + "/api/approvals/"
	name := "~" + a.Check + "~" + a.GroupKey
	return []alert.Link{{Label: ackLabel, URL: page + "incident" + name}, {Label: "silence", URL: page + "silence" + name}}
}
