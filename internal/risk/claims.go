package risk

import (
	"fmt"
	"strings"

	"cmkguard/internal/event"
	"cmkguard/internal/wiring"
)

func checkBackups() spec {
	return spec{Check{
		ID: "CMK-028", Title: "Nobody copied the key lately",
		Family: FamilyUse, Severity: High, SubjectKind: event.SubjectKey, Remedy: remedyNone, Cadence: CadenceEvent,
		Breaks: "a backup can be restored in another vault, where deleting, disabling or revoking here has no effect on it",
		Guidance: "Ask the one who is named. If the copy is not wanted, treat the key as compromised: first contain (take the backup and " +
			"restore rights away), then create a new key in a separate vault and change the cluster to it, verify, and only then " +
			"disable the old one. Do not disable it first.",
	}, judgeBackups}
}

func judgeBackups(s *scene) finding {
	if _, ok := s.key(); !ok {
		return s.cannotTell()
	}
	list, ok := around(s, "the log of backups and restores", s.w.Posture.Backups, func(l []wiring.KeyEvent) string { return fmt.Sprintf("%d entries", len(l)) })
	if !ok {
		return s.cannotTell()
	}
	for _, e := range list {
		if !containsFold(s.lim.BreakGlass, e.Actor) {
			return broken(remedyNone, "%s by %s on %s", e.Operation, e.Actor, day(e.At))
		}
	}
	return fine("the log holds no backup or restore by anybody but break-glass")
}

func checkProofOfUse() spec {
	return spec{Check{
		ID: "CMK-057", Title: "The identity is seen to unwrap with the version in use",
		Family: FamilyUse, Severity: Info, SubjectKind: event.SubjectCluster, Remedy: remedyNone, Cadence: CadenceEvent,
		Breaks: "nothing by itself; that the chain works is then concluded, not seen",
		Guidance: "Look in the vault's audit log for KeyUnwrap by the identity. Clusters may unwrap only when they start or follow a " +
			"rotation, so silence is normal until one unwrap was seen; a refusal after that is not: check CMK-050 and CMK-011.",
	}, judgeProofOfUse}
}

// judgeProofOfUse learns the cadence: silence is judged only by the longest gap
// that this cluster had before. It is proof for, hardly ever against.
func judgeProofOfUse(s *scene) finding {
	k, ok := s.key()
	if !ok {
		return s.cannotTell()
	}
	if goneAround(s, s.w.Posture.Use) {
		return unknown("the audit log was read and shows no unwrap by the identity yet: it may unwrap only at start and rotation")
	}
	u, ok := around(s, "the log of unwraps", s.w.Posture.Use, func(u wiring.KeyUse) string {
		return fmt.Sprintf("%d unwraps, the last on %s with version %s", u.Count, day(u.Last), u.Version)
	})
	silence := s.now.Sub(u.Last)
	switch {
	case !ok:
		return s.cannotTell()
	case u.Denied.After(u.Last):
		f := broken(remedyNone, "an unwrap by the identity was refused on %s, after the last that succeeded (%s)", day(u.Denied), day(u.Last))
		f.severity, f.breaks = High, "the cluster asked for its key and did not get it: it can go offline"
		f.reasons = []string{"high: the vault's own log shows a refusal; the live chain decides (CMK-050)"}
		return f
	case u.Count >= 3 && u.LongestGap > 0 && silence > 2*u.LongestGap:
		return broken(remedyNone, "no unwrap for %s; the longest pause before was %s", days(silence), days(u.LongestGap))
	case !strings.EqualFold(u.Version, k.Version):
		return unknown("the last unwrap, on %s, was with version %s; one with %s was not seen yet", day(u.Last), u.Version, k.Version)
	}
	return fine("the identity unwrapped with version %s on %s", u.Version, day(u.Last))
}

func checkKnownActors() spec {
	return spec{Check{
		ID: "CMK-067", Title: "Every change of the chain was made by a known actor",
		Family: FamilyUse, Severity: Medium, SubjectKind: event.SubjectCluster, Remedy: remedyNone, Cadence: CadenceEvent,
		Breaks: "somebody else steers the encryption: infrastructure code that puts an old version back, or a person who should not",
		Guidance: "Ask the actor that is named. Infrastructure code that holds a versioned key URL sets the old version back at its next run: " +
			"let it ignore the version. Name actors that may do this in the policy.",
	}, judgeKnownActors}
}

func judgeKnownActors(s *scene) finding {
	if _, ok := s.key(); !ok {
		return s.cannotTell()
	}
	list, ok := around(s, "the log of changes", s.w.Posture.Changes, func(l []wiring.Change) string { return fmt.Sprintf("%d changes", len(l)) })
	if !ok {
		return s.cannotTell()
	}
	var found *wiring.Change
	for i, c := range list {
		if !c.Known && (found == nil || c.Downgrade && !found.Downgrade) {
			found = &list[i]
		}
	}
	if found == nil {
		return fine("%d changes, all by known actors", len(list))
	}
	f := broken(remedyNone, "%s by %s on %s", found.What, found.Actor, day(found.At))
	if found.Downgrade {
		f.remedy, f.severity = remedyRollBack, High
		f.reasons = []string{"high: the cluster was pointed back to an older version"}
	}
	return f
}
