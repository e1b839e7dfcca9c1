package guard

import (
	"context"
	"encoding/json"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/fault"
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
	Problem
}

// Incident returns the incident of a check in a partition, as its alerts name it:
// CHECK/PARTITION. One that is not there is Invalid.
func (g *Guard) Incident(ctx context.Context, check, partition string) (Known, error) {
	const op = "guard.Incident"
	row, ok, err := g.get(ctx, partition, incident.RowKey(check))
	if err != nil {
		return Known{}, err
	}
	name := clip(check+"/"+partition, 200)
	if !ok {
		return Known{}, fault.New(fault.Invalid, op, "there is no incident %s: want the name that its alerts show", name)
	}
	var i incident.Incident
	if err := json.Unmarshal(row.Value, &i); err != nil {
		return Known{}, fault.New(fault.Invalid, op, "incident %s cannot be read: %w", name, err)
	}
	return Known{
		At: g.Now().UTC(), Name: name, Subject: i.Subject.String(), State: i.State, Changed: i.Changed, Doing: i.Doing, Next: i.Verdict.Guidance,
		Acked: i.Acked, Problem: problemOf(i),
	}, nil
}

// incidentLink is the page of a problem that is open: it shows, and takes an
// acknowledgement from who has signed in.
func (g *Guard) incidentLink(a alert.Alert) []alert.Link {
	if g.PublicURL == "" || a.Check == "" || a.Lifecycle != alert.Trigger && a.Lifecycle != alert.Update {
		return nil
	}
	return []alert.Link{{Label: "acknowledge", URL: g.PublicURL + "/api/approvals/incident~" + a.Check + "~" + a.GroupKey}}
}
