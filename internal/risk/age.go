package risk

import (
	"strings"

	"cmkguard/internal/event"
	"cmkguard/internal/wiring"
)

// backupLimit is the number of versions above which Key Vault refuses to back a
// key up (Key Vault backup: 500 past versions).
const backupLimit = 500

func checkKeyAge() spec {
	return spec{Check{
		ID: "CMK-019", Title: "The key version in use is neither too old nor valid for too long",
		Family: FamilyVersion, Severity: Medium, SubjectKind: event.SubjectKey, Remedy: remedyRotate, Cadence: CadenceSweep,
		Breaks: "the longer one version is in use, the more is lost with it; two years is the usual limit",
		Guidance: "Rotate the key and let every cluster follow. Give it a rotation policy with an expiry time inside the limit, so that " +
			"the next version keeps to it.",
	}, judgeKeyAge}
}

func judgeKeyAge(s *scene) finding {
	v, all, ok := s.inUse()
	if !ok {
		return s.cannotTell()
	}
	var problems []string
	if age := s.now.Sub(v.Created); age > s.lim.MaxActive {
		problems = append(problems, "it is "+days(age)+" old, more than "+days(s.lim.MaxActive))
	}
	if v.Expires != nil && v.Expires.Sub(v.Created) > s.lim.MaxValidity {
		problems = append(problems, "it was made to be valid for "+days(v.Expires.Sub(v.Created))+", more than "+days(s.lim.MaxValidity))
	}
	if len(problems) == 0 {
		return fine("version %s is %s old", v.Key.Version, days(s.now.Sub(v.Created)))
	}
	remedy := remedyRotate
	if n, ok := newestUsable(all, s.now); ok && newer(n, v) {
		remedy = remedyRewire
	}
	return broken(remedy, "version %s: %s", v.Key.Version, strings.Join(problems, "; "))
}

func checkVersionCount() spec {
	return spec{Check{
		ID: "CMK-026", Title: "The key can still be backed up",
		Family: FamilyVersion, Severity: Low, SubjectKind: event.SubjectKey, Remedy: remedyNone, Cadence: CadenceSweep,
		Breaks: "Key Vault refuses to back up a key with more than 500 past versions; single versions cannot be deleted",
		Guidance: "Rotate less often. To be able to back up again, create a new key and change the cluster to it in a maintenance " +
			"window; keep the old key as long as anything may need it.",
	}, judgeVersionCount}
}

func judgeVersionCount(s *scene) finding {
	if _, ok := s.key(); !ok {
		return s.cannotTell()
	}
	all, ok := s.versions()
	switch {
	case !ok:
		return s.cannotTell()
	case len(all) == 0:
		return unknown("the list of versions is empty (CMK-010)")
	case len(all) > backupLimit:
		return broken(remedyNone, "the key has %d versions; above %d it cannot be backed up", len(all), backupLimit)
	}
	return fine("the key has %d versions", len(all))
}

func checkAdherence() spec {
	return spec{Check{
		ID: "CMK-023", Title: "The key was rotated when its policy says",
		Family: FamilyRotation, Severity: Medium, SubjectKind: event.SubjectKey, Remedy: remedyRotate, Cadence: CadenceSweep,
		Breaks: "the rotation that everybody counts on does not happen; the version in use runs towards its expiry",
		Guidance: "See why Key Vault did not rotate (the audit log has KeyRotateIfDue with its result; a key that is disabled or denied by a " +
			"policy does not rotate). Rotate the key, and let every cluster follow.",
	}, judgeAdherence}
}

func judgeAdherence(s *scene) finding {
	if _, ok := s.key(); !ok {
		return s.cannotTell()
	}
	all, ok := s.versions()
	if !ok {
		return s.cannotTell()
	}
	newest, found := wiring.Newest(all)
	p, ok := s.rotation()
	switch {
	case !ok:
		return s.cannotTell()
	case !found:
		return unknown("the list of versions is empty (CMK-010)")
	}
	due, ok, why := dueBy(p, newest)
	switch late := s.now.Sub(due); {
	case !ok:
		return unknown("when a rotation is due cannot be told: %s", why)
	case late <= s.lim.RotationSlack:
		return fine("version %s is of %s; the next is due on %s", newest.Key.Version, day(newest.Created), day(due))
	case late > 4*s.lim.RotationSlack:
		f := broken(remedyRotate, "a rotation was due on %s, %s ago", day(due), days(late))
		f.severity, f.by, f.reasons = High, due, []string{"high: " + days(late) + " late"}
		return f
	default:
		f := broken(remedyRotate, "a rotation was due on %s, %s ago", day(due), days(late))
		f.by, f.reasons = due, []string{"medium: " + days(late) + " late, more than " + days(s.lim.RotationSlack)}
		return f
	}
}
