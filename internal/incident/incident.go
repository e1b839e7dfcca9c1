// Package incident is the life of one problem: opened, updated, resolved. It
// is pure: the stored incident and a new verdict go in, the next incident and
// what changed come out. An incident's identity is subject + check.
//
// It neither stores nor alerts.
package incident

import (
	"slices"
	"time"

	"cmkguard/internal/event"
	"cmkguard/internal/risk"
	"cmkguard/internal/store"
)

// State is where an incident stands.
type State string

// The states. Uncertain is an open question: the check could not be answered.
const (
	Open      State = "open"
	Resolved  State = "resolved"
	Uncertain State = "uncertain"
)

// Incident is one problem over its life.
type Incident struct {
	Schema   int           `json:"schema"`
	Check    string        `json:"check"`
	Subject  event.Subject `json:"subject"`
	State    State         `json:"state"`
	Opened   time.Time     `json:"opened"`
	Changed  time.Time     `json:"changed"`
	Verdict  risk.Verdict  `json:"verdict"` // the latest that changed it
	Episodes int           `json:"episodes"`
	Doing    string        `json:"doing,omitempty"` // what we do or hold, as last told to people
	Rung     int           `json:"rung,omitempty"`  // days left of the ladder's rung that people were last told at
	// Told are the channels that were told of this episode: they are told of its end.
	Told  []string `json:"told,omitempty"`
	Acked *Ack     `json:"acked,omitempty"` // nil: nobody said that they work on it
	// Turns are when it lately opened, was mended, or people were told that it cannot be
	// told. One that comes and goes does so
	// since Flaps, and must stay as it is until Settles to count as settled.
	Turns   []time.Time `json:"turns,omitempty"`
	Flaps   *time.Time  `json:"flaps,omitempty"`
	Settles *time.Time  `json:"settles,omitempty"`
	// Unclear: it has been uncertain for so long that people are told.
	Unclear bool `json:"unclear,omitempty"`
}

// Ack says that somebody works on an open incident.
type Ack struct {
	By     string    `json:"by"` // as far as it is proved
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"`
}

// Change is what a verdict did to an incident.
type Change string

// The changes. Nothing changed is the zero value.
const (
	None    Change = ""
	Opened  Change = "opened"
	Updated Change = "updated"
	Cleared Change = "resolved"
	Blurred Change = "uncertain" // it can no longer, or not yet, be answered
	Unclear Change = "unclear"   // nor could it for UnclearAfter
	// Answered: it could not be answered, and is found to be fine.
	Answered Change = "answered"
	Ended    Change = "ended" // what it was about is gone
)

// UnclearAfter is how long a check must go unanswered until people are told: a read
// that was throttled or timed out is made again before that, and a new grant has
// settled (ten minutes, risk.Limits); either would be told, and told to be fine, each
// time.
const UnclearAfter = 15 * time.Minute

// RowKey returns the incident's row in its subject's partition.
func RowKey(check string) string { return "incident~" + check }

// Partition returns the partition of everything about a subject.
func Partition(s event.Subject) string { return store.Name(string(s.Kind), s.ID) }

// DedupKey returns the stable key of a problem's alerts.
func (i Incident) DedupKey() string {
	return "cmkguard/" + i.Check + "/" + Partition(i.Subject)
}

// Next returns what prev (nil: never seen) becomes under v. An unknown answer
// never resolves an open incident, and an ok answer never opens one.
func Next(prev *Incident, v risk.Verdict, now time.Time) (Incident, Change) {
	if prev == nil {
		return first(v, now)
	}
	next := *prev
	if prev.State == Resolved {
		next.Told = nil // what comes is a new episode: who was told of the last one may not be asked now
	}
	if v.Answer == risk.Unknown {
		return next.unanswered(v, now)
	}
	next.Unclear = false
	switch {
	case v.Answer == risk.OK && prev.State == Resolved:
		return next, None
	case v.Answer == risk.OK:
		v.Severity = prev.Verdict.Severity // who was told of the problem is told of its end
		next.State, next.Changed, next.Verdict, next.Doing, next.Acked = Resolved, now.UTC(), v, "", nil
		if prev.State == Open || prev.Unclear {
			next = next.turned(now)
		}
		if prev.State == Uncertain {
			return next, Answered
		}
		return next, Cleared
	case prev.State != Open:
		next.State, next.Opened, next.Changed, next.Verdict = Open, now.UTC(), now.UTC(), v
		next.Rung = rung(v, now)
		next.Episodes++
		return next.turned(now), Opened
	case v.Severity != prev.Verdict.Severity || v.Breaks != prev.Verdict.Breaks || lower(rung(v, now), prev.Rung):
		if v.Severity.Rank() > prev.Verdict.Severity.Rank() {
			next.Acked = nil // what was taken on was less
		}
		next.Changed, next.Verdict, next.Rung = now.UTC(), v, rung(v, now)
		return next, Updated
	}
	return next, None
}

// unanswered is what it becomes when its check cannot be answered.
func (i Incident) unanswered(v risk.Verdict, now time.Time) (Incident, Change) {
	switch {
	case i.State == Resolved:
		i.State, i.Changed, i.Verdict = Uncertain, now.UTC(), v
		return i, Blurred
	case i.State == Uncertain && !i.Unclear && len(i.Told) == 0 && now.Sub(i.Changed) >= UnclearAfter:
		i.Changed, i.Verdict, i.Unclear = now.UTC(), v, true
		return i.turned(now), Unclear
	}
	return i, None
}

// End returns what prev becomes when what it is about is gone, and why: it is
// resolved, though nobody can say that the check would be ok. If the thing comes
// back, its next verdict opens it again.
func End(prev Incident, why string, evidence []risk.Evidence, now time.Time) (Incident, Change) {
	if prev.State == Resolved {
		return prev, None
	}
	next := prev
	v := &next.Verdict
	v.Answer, v.Why, v.Evidence = risk.Unknown, why, evidence
	v.Breaks, v.By, v.Remedy, v.Reasons = "", nil, "", nil
	next.State, next.Changed, next.Doing, next.Rung, next.Unclear = Resolved, now.UTC(), "", 0, false
	return next, Ended
}

func first(v risk.Verdict, now time.Time) (Incident, Change) {
	i := Incident{Schema: 1, Check: v.Check, Subject: v.Subject, Opened: now.UTC(), Changed: now.UTC(), Verdict: v}
	switch v.Answer {
	case risk.Broken:
		i.State, i.Episodes, i.Rung = Open, 1, rung(v, now)
		return i.turned(now), Opened
	case risk.Unknown:
		i.State = Uncertain
		return i, Blurred
	case risk.OK:
	}
	return Incident{}, None
}

// An incident that turns more than flapTurns times within flapWithin comes and goes,
// until it was quiet for flapQuiet.
const (
	flapTurns  = 4
	flapWithin = time.Hour
	flapQuiet  = 30 * time.Minute
)

// turned is the incident after it opened or was mended now.
func (i Incident) turned(now time.Time) Incident {
	now = now.UTC()
	i.Turns = slices.DeleteFunc(slices.Clone(i.Turns), func(t time.Time) bool { return now.Sub(t) >= flapWithin })
	i.Turns = append(i.Turns, now)
	i.Turns = i.Turns[max(0, len(i.Turns)-2*flapTurns):]
	goesOn := i.Settles != nil && now.Before(*i.Settles)
	if !goesOn && len(i.Turns) <= flapTurns {
		i.Flaps, i.Settles = nil, nil
		return i
	}
	if !goesOn {
		i.Flaps = &now
	}
	settles := now.Add(flapQuiet)
	i.Settles = &settles
	return i
}

// rung is the ladder's rung that the time left stands on: what breaks in a while is
// told again when 90, 60, 30, 14, 7 and 1 days are left. 0: no date, or none yet.
func rung(v risk.Verdict, now time.Time) int {
	if v.By == nil {
		return 0
	}
	left := v.By.Sub(now)
	for _, days := range [...]int{1, 7, 14, 30, 60, 90} {
		if left <= time.Duration(days)*24*time.Hour {
			return days
		}
	}
	return 0
}

// lower reports whether a rung was passed since people were last told.
func lower(now, told int) bool { return now != 0 && (told == 0 || now < told) }
