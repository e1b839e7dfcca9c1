package risk

import (
	"fmt"
	"strings"
	"time"

	"cmkguard/internal/event"
	"cmkguard/internal/wiring"
)

// Key Vault's own minimums (how to configure key rotation).
const (
	leastBeforeRotation = 7 * 24 * time.Hour
	leastExpiry         = 28 * 24 * time.Hour
)

func checkPolicySane() spec {
	return spec{Check{
		ID: "CMK-022", Title: "The rotation policy holds together",
		Family: FamilyRotation, Severity: Medium, SubjectKind: event.SubjectKey, Remedy: remedySetPolicy, Cadence: CadenceSweep,
		Breaks: "a policy that contradicts itself rotates too late or not at all, warns nobody, or makes versions without an expiry date",
		Guidance: "Set a policy with an expiry time of 28 days or more, a Rotate action at least seven days after creation and seven days " +
			"before that expiry, and a Notify action.",
	}, judgePolicySane}
}

func judgePolicySane(s *scene) finding {
	if _, ok := s.key(); !ok {
		return s.cannotTell()
	}
	if gone(s, s.w.Rotation) {
		if gone(s, s.w.Versions) { // a deleted key's policy answers 404 as well
			return unknown("the key is not there, nor is its rotation policy; see CMK-010")
		}
		return broken(remedySetPolicy, "the key has no rotation policy (CMK-021)")
	}
	p, ok := s.rotation()
	if !ok {
		return s.cannotTell()
	}
	if problems := PolicyProblems(p, s.now); len(problems) > 0 {
		return broken(remedySetPolicy, "the rotation policy %s", strings.Join(problems, "; it "))
	}
	return fine("the rotation policy is sound: versions expire after %s", p.ExpiryTime)
}

// PolicyProblems lists what is wrong with a rotation policy for versions made at a
// time; none says that it is sound. That it rotates at all is another question
// (CMK-021).
func PolicyProblems(p wiring.RotationPolicy, at time.Time) []string {
	var out []string
	var life time.Duration
	switch d, err := parsePeriod(p.ExpiryTime); {
	case p.ExpiryTime == "":
		out = append(out, "sets no expiry time, so new versions have no expiry date")
	case err != nil:
		out = append(out, "has an expiry time that cannot be read: "+err.Error())
	default:
		life = d.from(at)
		if life < leastExpiry {
			out = append(out, fmt.Sprintf("lets versions expire after %s, less than 28 days", p.ExpiryTime))
		}
	}
	notifies := false
	for _, a := range p.Actions {
		switch {
		case strings.EqualFold(a.Type, "Notify"):
			notifies = true
		case strings.EqualFold(a.Type, "Rotate"):
			out = append(out, rotateProblems(a, life, at)...)
		}
	}
	if !notifies {
		out = append(out, "has no Notify action")
	}
	return out
}

// rotateProblems judges the Rotate action; life is 0 where versions do not expire.
func rotateProblems(a wiring.RotationAction, life time.Duration, at time.Time) []string {
	text := a.TimeAfterCreate + a.TimeBeforeExpiry
	d, err := parsePeriod(text)
	if err != nil {
		return []string{"rotates at a time that cannot be read: " + err.Error()}
	}
	after, before := d.from(at), time.Duration(0)
	if a.TimeBeforeExpiry != "" {
		before, after = after, life-after
	} else if life > 0 {
		before = life - after
	}
	var out []string
	if after < leastBeforeRotation && (life > 0 || a.TimeBeforeExpiry == "") {
		out = append(out, fmt.Sprintf("rotates less than seven days after creation (%s)", text))
	}
	if before < leastBeforeRotation && (life > 0 || a.TimeBeforeExpiry != "") {
		out = append(out, fmt.Sprintf("rotates less than seven days before expiry (%s)", text))
	}
	return out
}

// dueBy returns when the policy wants the successor of the version.
func dueBy(p wiring.RotationPolicy, v wiring.KeyVersion) (due time.Time, ok bool, why string) {
	for _, a := range p.Actions {
		if !strings.EqualFold(a.Type, "Rotate") {
			continue
		}
		d, err := parsePeriod(a.TimeAfterCreate + a.TimeBeforeExpiry)
		switch {
		case err != nil:
			return due, false, err.Error()
		case a.TimeAfterCreate != "":
			return d.after(v.Created), true, ""
		case v.Expires == nil:
			return due, false, "the policy counts from an expiry date that the version does not have"
		default: // the calendar backwards: months are not all alike, so a day's slip is possible
			return v.Expires.AddDate(-d.years, -d.months, -d.days).Add(-d.clock), true, ""
		}
	}
	return due, false, "the policy has no Rotate action (CMK-021)"
}
