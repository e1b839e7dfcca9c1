// Package self judges our own ears and hands: whether what should reach us does,
// whether we may still read and act, whether our own work gets done. Its checks
// are SELF-001 and so on; like those of internal/risk they answer ok, broken or
// unknown, with reasons and evidence. It is pure: facts and now go in, verdicts
// come out.
//
// It reads nothing, tells nobody and changes nothing (internal/guard does), and
// it does not judge a vault's own settings: those are CMK-040 and CMK-063, whose
// remedies give them back.
package self

import (
	"fmt"
	"slices"
	"time"

	"cmkguard/internal/event"
	"cmkguard/internal/risk"
)

// The checks about ourselves.
const (
	Events     = "SELF-001"
	DeadLetter = "SELF-002"
	Kept       = "SELF-003"
	Sight      = "SELF-004"
	Reads      = "SELF-005"
	Hands      = "SELF-006"
	Sweeps     = "SELF-007"
	Backlog    = "SELF-008"
	Owner      = "SELF-009"
	Clock      = "SELF-010"
	Settings   = "SELF-011"
	Observes   = "SELF-021"
	Remediates = "SELF-022"
	Drills     = "SELF-031"
)

// Check is one question of the catalogue.
type Check struct {
	ID       string
	Title    string
	Severity risk.Severity
	Breaks   string // what breaks if it stays
	Guidance string // what a person does
}

// Catalogue lists the checks by id. docs/selfguard.md explains each.
func Catalogue() []Check {
	return slices.Concat(firstChecks(), moreChecks(), lastChecks())
}

func firstChecks() []Check {
	return []Check{
		{
			Events, "What is done in the subscription reaches us", risk.High,
			"what is done to clusters, vaults, identities, grants and our own ears there is seen by the next sweep only, and nobody is told who did it",
			"Deploy infra again as you did before (infra/README.md): it makes the system topic of the subscription and its two event subscriptions " +
				"cmkguard-chain and cmkguard-governance. Where the topic is another's, put them at that one.",
		},
		{
			DeadLetter, "Nothing lies in the dead-letter container", risk.High,
			"Event Grid gave up delivering these events to us, after a day of tries: what they told of is known only if a sweep has found it since",
			"The sweep takes in what it can read: what stays it could not. `cmkguard deadletter list` says why, and why each was given up. Mend what " +
				"refused them (the app stopped, its identity, its network), then replay or drop them: the container is empty when that is done.",
		},
		{
			Kept, "What could not be handled is looked at", risk.Medium,
			"input that nobody could read is kept and waits for a person; what it told of is known only if a sweep has found it since",
			"See what is kept and why: `cmkguard poison list`. Mend its sender, then replay or drop each.",
		},
		{
			Sight, "Every cluster of the subscription can be seen", risk.High,
			"clusters may be hidden from us: nobody looks after their keys, and rotations count consumers that are not all",
			"Give the observer identity Reader, or the role of infra/access.bicep, on the whole subscription again. If the subscription was ended on " +
				"purpose, take it out of CMKGUARD_SUBSCRIPTIONS.",
		},
		{
			Reads, "What is watched may be read", risk.High,
			"what stands behind the refused read can break and nobody is told",
			"Give the observer identity back what the refused read needs (infra/access.bicep; in a vault with access policies: get, list and " +
				"getrotationpolicy), or let it through the vault's firewall.",
		},
	}
}

func moreChecks() []Check {
	return []Check{
		{
			Hands, "The remediator may do what the policy lets it do", risk.High,
			"what the policy lets run by itself or by approval would fail as refused when it is needed",
			"Give the remediator identity the named right at the named scope (infra/remediate.bicep, docs/remedies.md), or let the policy no longer " +
				"switch the remedy on there.",
		},
		{
			Sweeps, "The sweep runs", risk.Critical,
			"nothing is looked at by itself any more: lost events, escalations, alerts that wait to be sent again, and the journal's seal wait for ever",
			"Look at the app's log for invocations of the function sweep: is its timer enabled, is the app running, does each invocation fail or time out? " +
				"`cmkguard health` shows when one last got to its end.",
		},
		{
			Backlog, "Work is worked off", risk.High,
			"events are taken in and not acted on: rotations, repairs and alerts come late or not at all",
			"Look at the app's log for invocations of the function work: does it run, does each invocation fail or time out, is the storage account throttled? " +
				"What is named is tried again by itself.",
		},
		{
			Owner, "Nobody else acts on what is ours", risk.High,
			"two installations that act on the same key can make two versions, and undo what the other does",
			"Agree which installation acts: owner in each policy file (installation, subscriptions, tags), and the tag cmkguard-owner. Take the other's remediator " +
				"role away here, or name its object id under owner.others where it is meant to be.",
		},
	}
}

func lastChecks() []Check {
	return []Check{
		{
			Clock, "Our clock is right", risk.High,
			"expiry, deadlines and freeze windows are judged by a wrong time, and another instance's work is taken for late or not yet due",
			"Set this machine's clock by a time server (chrony, w32time; in a container it is the host's). If only Azure's answers look wrong, see whether a proxy " +
				"answers from a cache.",
		},
		{
			Settings, "Settings and policy are in force", risk.High,
			"nothing is changed anywhere; problems are seen and told, and not mended",
			"Mend the setting or the policy line that is named and restart: cmkguard policy check FILE tells whether it is right.",
		},
		{
			Observes, "The observer may only read", risk.Medium,
			"whoever gets a token of the observer may do the rest too; what it may write is not held by any gate of ours",
			"Take the named roles away from the observer's identity and leave it the role of infra/access.bicep. `cmkguard identities` lists all of it.",
		},
		{
			Remediates, "The remediator may do no more than its remedies need", risk.Medium,
			"whoever gets a token of the remediator may do the rest too, though the policy switches it off",
			"Take the named rights away from the remediator's identity, or switch on in the policy what they are for. docs/remedies.md says what each remedy needs.",
		},
		{
			Drills, "Scheduled exercises get through", risk.High,
			"nobody knows whether the path from an event to people works: a broken one is noticed when it is needed",
			"Run the named exercise by hand and see where it ends: cmkguard drill SCENARIO.",
		},
	}
}

// Us is the subject of what concerns this installation as a whole.
func Us() event.Subject { return event.Subject{Kind: event.SubjectScope, ID: "cmkguard"} }

// find returns the check of the id; an id that is none is a check of critical
// severity without a title, which a test of the catalogue finds.
func find(id string) Check {
	for _, c := range Catalogue() {
		if c.ID == id {
			return c
		}
	}
	return Check{ID: id, Severity: risk.Critical}
}

// verdict joins an answer to its check.
func verdict(id string, about event.Subject, answer risk.Answer, evidence []risk.Evidence, format string, args ...any) risk.Verdict {
	c := find(id)
	v := risk.Verdict{
		Check: c.ID, Title: c.Title, Subject: about, Answer: answer, Severity: c.Severity, Guidance: c.Guidance,
		Why: fmt.Sprintf(format, args...), Evidence: evidence,
	}
	if answer == risk.Broken {
		v.Breaks, v.Reasons = c.Breaks, []string{string(c.Severity) + ": " + c.Breaks}
	}
	return v
}

// moment is how verdicts write a time for people.
func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// span is how they write a duration: to the second, or in hours and minutes.
func span(d time.Duration) string {
	if d >= time.Hour {
		return d.Round(time.Minute).String()
	}
	return d.Round(time.Second).String()
}
