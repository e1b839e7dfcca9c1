// Package risk asks the checks of a wiring and answers each with a verdict:
// ok, broken or unknown, always with the reason and the reads behind it. It is
// pure: facts, limits and now go in, values come out.
//
// It plans nothing and tells nobody.
package risk

import (
	"time"

	"cmkguard/internal/event"
)

// Answer is a verdict's three-valued answer.
type Answer string

// The answers. Unknown is never shown or counted as OK.
const (
	OK      Answer = "ok"
	Broken  Answer = "broken"
	Unknown Answer = "unknown"
)

// Severity orders verdicts, incidents and alerts.
type Severity string

// The severities, worst first.
const (
	Critical Severity = "critical"
	High     Severity = "high"
	Medium   Severity = "medium"
	Low      Severity = "low"
	Info     Severity = "info"
)

// Rank returns 5 for critical down to 1 for info, 0 for anything else.
func (s Severity) Rank() int {
	switch s {
	case Critical:
		return 5
	case High:
		return 4
	case Medium:
		return 3
	case Low:
		return 2
	case Info:
		return 1
	}
	return 0
}

// Evidence is one read that a verdict rests on.
type Evidence struct {
	Call  string    `json:"call"`
	At    time.Time `json:"at"`
	Value string    `json:"value"` // short, for people; no secrets
}

// Verdict is the answer of one check about one subject.
type Verdict struct {
	Check    string        `json:"check"` // CMK-001...
	Title    string        `json:"title"`
	Subject  event.Subject `json:"subject"`
	Cluster  string        `json:"cluster"` // ARM id of the cluster whose wiring was judged, lower case
	Answer   Answer        `json:"answer"`
	Why      string        `json:"why"`
	Severity Severity      `json:"severity"`          // of the problem; for ok and unknown, what it would be if broken
	Reasons  []string      `json:"reasons,omitempty"` // why this severity
	Breaks   string        `json:"breaks,omitempty"`  // what breaks if it stays
	By       *time.Time    `json:"by,omitempty"`      // and by when, if that is known
	Remedy   string        `json:"remedy,omitempty"`  // name of the remedy that could fix it
	Guidance string        `json:"guidance"`          // what a person does
	Evidence []Evidence    `json:"evidence"`
}

// Limits are the policy's numbers that checks compare with.
type Limits struct {
	ExpiryWarning time.Duration       // CMK-013: warn this long before expiry (default 30 days)
	AdoptionWait  time.Duration       // CMK-024: how long a v2 cluster may take to follow (2 hours, redis-cmk fact 1)
	GrantSettle   time.Duration       // CMK-050: a grant younger than this is pending (10 minutes, redis-cmk 2.7.9)
	SensitiveTags map[string][]string // tag name to the values that mark sensitive data, any case
	MaxFactAge    time.Duration       // a fact older than this is not judged: unknown (15 minutes)

	DailyFactAge  time.Duration // the same for the facts of the daily sweep (26 hours)
	MinRSABits    int           // CMK-015 (2048)
	MaxValidity   time.Duration // CMK-019: from creation to expiry (731 days: NIST SP 800-57 and Microsoft: two years)
	MaxActive     time.Duration // CMK-019: age in use (731 days)
	RotationSlack time.Duration // CMK-023: how late a rotation may be (7 days)
	RetentionDays int           // CMK-032 (90)
	MaxKeyAdmins  int           // CMK-055: principals that could destroy the key (3)
	ManyConsumers int           // clusters on one key from which each weighs more (10)
	BreakGlass    []string      // CMK-027, 055, 056: object ids that may hold such rights
	RequiredTags  []string      // CMK-061 (owner, costCentre; case, hyphens and centre/center are the same)
	RequireHSM    bool          // CMK-017: of every key, not only of sensitive data
	Regions       []string      // CMK-043: that cluster and vault may be in; empty: any
	AuditTargets  []string      // CMK-040: ids that the audit log must be sent to, any case; empty: anywhere
	EventTargets  []string      // CMK-063: parts of destinations that are ours, any case; empty: any destination counts
}

// Defaults returns the limits that hold where the policy says nothing.
func Defaults() Limits {
	return Limits{
		ExpiryWarning: 30 * 24 * time.Hour,
		AdoptionWait:  2 * time.Hour,
		GrantSettle:   10 * time.Minute,
		SensitiveTags: map[string][]string{"dataClassification": {"confidential", "restricted", "secret"}},
		MaxFactAge:    15 * time.Minute,
		DailyFactAge:  26 * time.Hour,
		MinRSABits:    2048,
		MaxValidity:   731 * 24 * time.Hour,
		MaxActive:     731 * 24 * time.Hour,
		RotationSlack: 7 * 24 * time.Hour,
		RetentionDays: 90,
		MaxKeyAdmins:  3,
		ManyConsumers: 10,
		RequiredTags:  []string{"owner", "costCentre"},
	}
}

// orDefaults fills what is not positive: a limit of zero is a forgotten one,
// and judging by it would call every grant settled and every version late.
func (l Limits) orDefaults() Limits {
	d := Defaults()
	l.ExpiryWarning = positive(l.ExpiryWarning, d.ExpiryWarning)
	l.AdoptionWait = positive(l.AdoptionWait, d.AdoptionWait)
	l.GrantSettle = positive(l.GrantSettle, d.GrantSettle)
	l.MaxFactAge = positive(l.MaxFactAge, d.MaxFactAge)
	l.DailyFactAge = positive(l.DailyFactAge, d.DailyFactAge)
	l.MinRSABits = positive(l.MinRSABits, d.MinRSABits)
	l.MaxValidity = positive(l.MaxValidity, d.MaxValidity)
	l.MaxActive = positive(l.MaxActive, d.MaxActive)
	l.RotationSlack = positive(l.RotationSlack, d.RotationSlack)
	l.RetentionDays = positive(l.RetentionDays, d.RetentionDays)
	l.MaxKeyAdmins = positive(l.MaxKeyAdmins, d.MaxKeyAdmins)
	l.ManyConsumers = positive(l.ManyConsumers, d.ManyConsumers)
	if l.SensitiveTags == nil {
		l.SensitiveTags = d.SensitiveTags
	}
	if l.RequiredTags == nil {
		l.RequiredTags = d.RequiredTags
	}
	return l
}

func positive[T int | time.Duration](v, def T) T {
	if v > 0 {
		return v
	}
	return def
}
