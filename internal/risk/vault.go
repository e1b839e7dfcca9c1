package risk

import (
	"strings"

	"cmkguard/internal/event"
)

func checkSoftDelete() spec {
	return spec{Check{
		ID: "CMK-030", Title: "The vault has soft delete",
		Family: FamilyVault, Severity: High, SubjectKind: event.SubjectVault, Remedy: remedyNone,
		Breaks:   "a deleted key is gone at once, and with it the cluster's persisted data; the service requires soft delete",
		Guidance: "Turn soft delete on (az keyvault update --enable-soft-delete true). It cannot be turned off again and does no harm.",
	}, judgeSoftDelete}
}

func judgeSoftDelete(s *scene) finding {
	v, ok := s.vault()
	switch {
	case !ok:
		return s.cannotTell()
	case !v.SoftDelete:
		return broken(remedyNone, "soft delete is off")
	}
	return fine("soft delete is on, %d days", v.RetentionDays)
}

func checkPurgeProtection() spec {
	return spec{Check{
		ID: "CMK-031", Title: "The vault has purge protection",
		Family: FamilyVault, Severity: Critical, SubjectKind: event.SubjectVault, Remedy: remedyPurgeGuard,
		Breaks: "whoever may purge can destroy the key for good, and with it the cluster's persisted data; the service requires purge protection",
		Guidance: "Turn purge protection on (az keyvault update --enable-purge-protection true). Nobody can turn it off again, not " +
			"even Microsoft: the vault's name stays taken for the retention period after a delete.",
	}, judgePurgeProtection}
}

// judgePurgeProtection compares the vault with its key: a recovery level that
// contains "Purgeable" means exactly that there is no purge protection.
func judgePurgeProtection(s *scene) finding {
	v, ok := s.vault()
	if !ok {
		return s.cannotTell()
	}
	if !v.PurgeProtection {
		return broken(remedyPurgeGuard, "purge protection is off")
	}
	if s.w.Versions.OK() && s.stale(s.w.Versions.At) == "" {
		if in, ok := s.w.Version(s.w.Key()); ok && strings.Contains(strings.ToLower(in.RecoveryLevel), "purgeable") {
			return unknown("the vault says that purge protection is on, the key says %q: one of them changed just now", in.RecoveryLevel)
		}
	}
	return fine("purge protection is on")
}

func checkRegion() spec {
	return spec{Check{
		ID: "CMK-033", Title: "The vault is in the cluster's region",
		Family: FamilyVault, Severity: High, SubjectKind: event.SubjectCluster, Remedy: remedyNone,
		Breaks: "the service requires one region for both; changes of the key can be refused, and another region's outage takes the cluster along",
		Guidance: "Create a vault and a key in the cluster's region, grant the identity access, and change the cluster's key in a " +
			"maintenance window.",
	}, judgeRegion}
}

func judgeRegion(s *scene) finding {
	c, ok := s.cluster()
	if !ok {
		return s.cannotTell()
	}
	v, ok := s.vault()
	if !ok {
		return s.cannotTell()
	}
	a, b := region(c.Location), region(v.Location)
	switch {
	case a == "" || b == "":
		return unknown("a location is missing: cluster %q, vault %q", c.Location, v.Location)
	case a != b:
		return broken(remedyNone, "the cluster is in %s, the vault in %s", a, b)
	}
	return fine("both are in %s", a)
}

// region returns a location's short name: "West Europe" and "westeurope" are
// the same place, and which of them an answer has differs by resource type.
func region(location string) string {
	return strings.ToLower(strings.ReplaceAll(location, " ", ""))
}
