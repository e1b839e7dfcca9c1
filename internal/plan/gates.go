package plan

import (
	"fmt"
	"strings"
	"time"

	"cmkguard/internal/approval"
	"cmkguard/internal/policy"
	"cmkguard/internal/risk"
	"cmkguard/internal/wiring"
)

// Answer is a gate's answer.
type Answer string

// The answers, from best to worst.
const (
	Allow  Answer = "allow"
	Hold   Answer = "hold"   // not now, or not without a person
	Refuse Answer = "refuse" // not ever with these facts and this policy
)

// Ruling is one gate's answer with its reason.
type Ruling struct {
	Gate   string     `json:"gate"`
	Answer Answer     `json:"answer"`
	Reason string     `json:"reason"`
	Until  *time.Time `json:"until,omitempty"` // a hold that time lifts
}

// Inputs are what gates compare a plan with.
type Inputs struct {
	Policy   *policy.Policy
	Observe  string   // not empty: observing only, and why (bad policy, missing setting)
	CanWrite bool     // a remediator credential is configured
	History  *History // what was done before; nil holds everything
	// Decisions are what people decided, each with a genuine seal.
	Decisions []approval.Decision
	// Causes are the object ids that events and logs claim as who caused the
	// problem. They keep people from approving, and release nothing.
	Causes []string
	Now    time.Time
}

// Verdict is the worst of the rulings; an empty list is a Hold, because no
// gate was asked.
func Verdict(rs []Ruling) Answer {
	if len(rs) == 0 {
		return Hold
	}
	out := Allow
	for _, r := range rs {
		switch {
		case r.Answer == Refuse:
			return Refuse
		case r.Answer != Allow:
			out = Hold
		}
	}
	return out
}

// Holding returns the rulings that do not allow.
func Holding(rs []Ruling) []Ruling {
	var out []Ruling
	for _, r := range rs {
		if r.Answer != Allow {
			out = append(out, r)
		}
	}
	return out
}

type gate func(Plan, Facts, Inputs) Ruling

// Gates asks every gate of the plan. All answer, so that a person sees every
// reason at once and not one per try.
func Gates(p Plan, f Facts, in Inputs) []Ruling {
	list := []gate{gateObserve, gatePause, gateFreeze, gateCredential, gateHold, gateOwner, gateExempt, gateMode}
	switch {
	case Deaf(p.Remedy): // an erasure is logged too
	case p.Remedy == Quarantine:
		list = append(list, gateConsumers, gateAsked, gateFresh, gateTarget)
	case p.Remedy == SetRotationPolicy:
		list = append(append(list, gateErasure, gateLeft), forRotationPolicy()...)
	case Repair(p.Remedy):
		list = append(list, gateErasure)
	case p.Remedy == Undo:
		list = append(list, gateConsumers, gateBack)
	case p.Remedy == Rotate:
		list = append(list, gateUndone, gateLeft, gateConsumers, gateFollow, gateMaterial, gateNewest, gateAge, gateDue, gateCap)
	default:
		list = append(list, gateUndone, gateLeft, gateConsumers, gateFollow, gateProvenance)
	}
	if Moves(p.Remedy) {
		list = append(list, gateGroup, gateGroupHealth)
	}
	out := make([]Ruling, 0, len(list)+5)
	for _, g := range list {
		out = append(out, g(p, f, in))
	}
	return append(out, lookBack(p, f, in)...)
}

func allow(gate, format string, args ...any) Ruling {
	return Ruling{Gate: gate, Answer: Allow, Reason: fmt.Sprintf(format, args...)}
}

func hold(gate, format string, args ...any) Ruling {
	return Ruling{Gate: gate, Answer: Hold, Reason: fmt.Sprintf(format, args...)}
}

func gateObserve(_ Plan, _ Facts, in Inputs) Ruling {
	if in.Observe != "" {
		return hold("observe", "observing only: %s", in.Observe)
	}
	return allow("observe", "settings and policy are in force")
}

func gatePause(_ Plan, _ Facts, in Inputs) Ruling {
	if in.Policy.Pause {
		return hold("pause", "the policy says pause: true")
	}
	return allow("pause", "not paused")
}

// gateFreeze holds what begins inside of a window; what began before goes on to
// its next step, which is asked again.
func gateFreeze(_ Plan, _ Facts, in Inputs) Ruling {
	for _, f := range in.Policy.Freezes {
		until, frozen := f.Frozen(in.Now)
		if !frozen {
			continue
		}
		r := hold("freeze", "the policy's freeze window %s is open (%s)", f.Name, f.Zone)
		if !until.IsZero() {
			r.Reason += " until " + until.In(f.Zone).Format("Monday 15:04 MST")
			r.Until = &until
		}
		return r
	}
	return allow("freeze", "no freeze window is open")
}

func gateCredential(_ Plan, _ Facts, in Inputs) Ruling {
	if !in.CanWrite {
		return hold("credential", "no remediator is configured (CMKGUARD_REMEDIATOR_CLIENT_ID), so nothing can write")
	}
	return allow("credential", "a remediator is configured")
}

func gateConsumers(p Plan, f Facts, in Inputs) Ruling {
	const name = "consumers"
	n := len(clustersOf(p, f))
	switch {
	case n == 0:
		return hold(name, "no consumer of the key can be seen (%s)", orSelf(p.ConsumersWhy, "none was found"))
	case n > in.Policy.Limits.ConsumersPerRun:
		return hold(name, "%d clusters would be touched, the cap is %d (limits.consumersPerRun)", n, in.Policy.Limits.ConsumersPerRun)
	case !p.ConsumersAll && in.Policy.ConsumersMustBeKnown:
		return hold(name, "consumers may be missing (%s) and the policy says consumersMustBeKnown", p.ConsumersWhy)
	case !p.ConsumersAll:
		return allow(name, "%d seen; others may exist (%s): the old version stays enabled for them", n, p.ConsumersWhy)
	}
	return allow(name, "%d, all that can exist in the watched subscriptions", n)
}

func orSelf(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// gateFollow holds unless every cluster could follow: running, well wired, its
// identity able to unwrap. Unknown holds like broken.
func gateFollow(p Plan, f Facts, in Inputs) Ruling {
	const name = "preflight"
	if len(f.Wirings) == 0 {
		return hold(name, "no wiring was read")
	}
	if problems := followProblems(f.Wirings, in, isFollowCheck); len(problems) > 0 {
		return hold(name, "%s", strings.Join(problems, "; "))
	}
	return allow(name, "every cluster is Running, well wired, and its identity can unwrap")
}

// followProblems says which of the checks are not ok; unknown counts like broken.
func followProblems(ws []wiring.Wiring, in Inputs, asked func(check string) bool) (problems []string) {
	for _, w := range ws {
		for _, v := range risk.Evaluate(w, in.Policy.Limits.Risk, in.Now) {
			if v.Answer != risk.OK && asked(v.Check) {
				problems = append(problems, fmt.Sprintf("%s %s %s: %s", w.ID.Name(), v.Check, v.Answer, v.Why))
			}
		}
	}
	return problems
}

// isFollowCheck names the checks that must be ok for a cluster to be moved or
// to be left to move.
func isFollowCheck(id string) bool {
	switch id {
	case "CMK-004", "CMK-005", "CMK-006", "CMK-007", "CMK-010", "CMK-011", "CMK-014", "CMK-016", "CMK-050":
		return true
	}
	return false
}

func gateMaterial(_ Plan, f Facts, in Inputs) Ruling {
	if yes, why := in.Policy.Imported(f.Key); yes {
		return Ruling{Gate: "material", Answer: Refuse, Reason: why + ": import a version, then approve the rewire"}
	}
	return allow("material", "made inside Key Vault")
}

// gateNewest holds when the version to be replaced is not the newest: either
// somebody rotated already, or a version of unknown origin lies on top.
func gateNewest(_ Plan, f Facts, _ Inputs) Ruling {
	const name = "newest"
	if !f.Versions.OK() {
		return hold(name, "the versions could not be read: %s", f.Versions.Why)
	}
	newest, ok := wiring.Newest(f.Versions.Value)
	if !ok {
		return hold(name, "the key has no versions")
	}
	if newest.Key.Version != f.Key.Version {
		origin, why := OriginOf(newest, f.Versions.Value, f.Rotation, f.OurVersions)
		return hold(name, "version %s is newer than %s; its origin is %s: %s", newest.Key.Version, f.Key.Version, origin, why)
	}
	if !newest.Enabled {
		return hold(name, "the newest version %s is disabled; somebody may have revoked it on purpose", newest.Key.Version)
	}
	for _, c := range f.Consumers.Clusters {
		if c.CMK != nil && c.CMK.Key.Version == newest.Key.Version {
			return allow(name, "%s is the newest version and %s uses it", newest.Key.Version, c.Name)
		}
	}
	origin, why := OriginOf(newest, f.Versions.Value, f.Rotation, f.OurVersions)
	if origin == OriginUnknown {
		return hold(name, "no cluster uses the newest version %s and its origin is unknown: %s", newest.Key.Version, why)
	}
	return allow(name, "%s is the newest version (%s)", newest.Key.Version, why)
}

func gateAge(_ Plan, f Facts, in Inputs) Ruling {
	const name = "age"
	newest, ok := wiring.Newest(f.Versions.Value)
	if !ok {
		return hold(name, "the age of the newest version is not known")
	}
	age, want := in.Now.Sub(newest.Created), in.Policy.Limits.MinVersionAge
	if age < want {
		until := newest.Created.Add(want)
		r := hold(name, "the newest version is %s old; a rotation needs %s (limits.minVersionAge)", days(age), days(want))
		r.Until = &until
		return r
	}
	return allow(name, "the newest version is %s old", days(age))
}

func days(d time.Duration) string {
	if d < 48*time.Hour {
		return d.Round(time.Minute).String()
	}
	return fmt.Sprintf("%d days", int(d/(24*time.Hour)))
}

// gateDue leaves the rotation to Key Vault when its own policy is about to do
// it: two rotators would make two versions.
func gateDue(_ Plan, f Facts, in Inputs) Ruling {
	const name = "key-vault-rotation"
	if !f.Rotation.OK() {
		return hold(name, "the rotation policy could not be read: %s", f.Rotation.Why)
	}
	newest, ok := wiring.Newest(f.Versions.Value)
	if !ok {
		return hold(name, "the key has no versions")
	}
	due, ok := RotationDue(newest, f.Rotation.Value)
	if !ok {
		return allow(name, "Key Vault will not rotate this key by itself")
	}
	guard := in.Policy.Limits.RotationDueGuard
	if in.Now.Before(due.Add(slack)) && due.Sub(in.Now) < guard {
		until := due.Add(slack)
		r := hold(name, "Key Vault's own rotation is due %s; only verified after it", due.UTC().Format(time.RFC3339))
		r.Until = &until
		return r
	}
	return allow(name, "Key Vault's own rotation is due %s", due.UTC().Format(time.RFC3339))
}

func gateCap(p Plan, _ Facts, in Inputs) Ruling {
	if in.History == nil {
		return hold("cap", "what was done before could not be read")
	}
	rotated := 0
	for _, a := range in.History.others(p, in.Now, 24*time.Hour) {
		if a.Remedy == Rotate {
			rotated++
		}
	}
	if limit := in.Policy.Limits.RotationsPerDay; rotated >= limit {
		return hold("cap", "%d rotations were started in 24 hours, the cap is %d (limits.rotationsPerDay)", rotated, limit)
	}
	return allow("cap", "%d of %d rotations in 24 hours", rotated, in.Policy.Limits.RotationsPerDay)
}

// gateProvenance lets a cluster be moved only to a version whose maker is known.
func gateProvenance(_ Plan, f Facts, _ Inputs) Ruling {
	const name = "provenance"
	if !f.Versions.OK() {
		return hold(name, "the versions could not be read: %s", f.Versions.Why)
	}
	for _, v := range f.Versions.Value {
		if v.Key.Equal(f.To) {
			origin, why := OriginOf(v, f.Versions.Value, f.Rotation, f.OurVersions)
			switch {
			case origin == OriginUnknown:
				return hold(name, "version %s: %s", f.To.Version, why)
			case !v.Enabled:
				return hold(name, "version %s is disabled", f.To.Version)
			}
			return allow(name, "version %s: %s", f.To.Version, why)
		}
	}
	return hold(name, "version %s is not among the key's versions", f.To.Version)
}
