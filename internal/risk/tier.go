package risk

import (
	"strings"
	"time"

	"cmkguard/internal/event"
	"cmkguard/internal/wiring"
)

// typeClassic is Azure Cache for Redis (Basic, Standard, Premium), which has no
// customer-managed keys.
const typeClassic = "microsoft.cache/redis"

// The days on which tiers end (Azure Cache for Redis, "What's new", October 2025).
func enterpriseEnds() time.Time { return time.Date(2027, 3, 31, 0, 0, 0, 0, time.UTC) }
func classicEnds() time.Time    { return time.Date(2028, 9, 30, 0, 0, 0, 0, time.UTC) }

// notice is how long before its end a tier's retirement becomes high.
const notice = 180 * 24 * time.Hour

func isClassic(w *wiring.Wiring) bool { return w.ID.Type() == typeClassic }

func checkSensitiveHasKey() spec {
	return spec{Check{
		ID: "CMK-001", Title: "The cluster has a customer-managed key",
		Family: FamilyCluster, Severity: High, SubjectKind: event.SubjectCluster, Remedy: remedyNone, Cadence: CadenceSweep, WithoutKey: true,
		Breaks: "nothing goes offline; the data at rest is under Microsoft's key alone, and nobody here can revoke it",
		Guidance: "Decide whether the workload needs a key of your own. Never switch a live cluster: going from one kind of key to the " +
			"other is a long maintenance operation with service disruption. Create a new cluster with a customer-managed key, " +
			"move the data in a maintenance window, and retire the old one.",
	}, judgeSensitiveHasKey}
}

func judgeSensitiveHasKey(s *scene) finding {
	c, ok := s.cluster()
	switch {
	case !ok:
		return s.cannotTell()
	case c.CMK != nil:
		return fine("the cluster names a customer-managed key")
	}
	if tag := s.sensitive(); tag != "" {
		f := broken(remedyNone, "the cluster is tagged %s and has only a Microsoft-managed key", tag)
		f.reasons = []string{"high: its data is marked as sensitive"}
		return f
	}
	f := broken(remedyNone, "the cluster has only a Microsoft-managed key")
	f.severity = Low
	f.reasons = []string{"low: no tag marks its data as sensitive"}
	return f
}

func checkTierSupports() spec {
	return spec{Check{
		ID: "CMK-002", Title: "The cache is of a tier that supports customer-managed keys",
		Family: FamilyPolicy, Severity: High, SubjectKind: event.SubjectCluster, Remedy: remedyNone, Cadence: CadenceSweep, WithoutKey: true,
		Breaks: "the cache cannot have a customer-managed key at all, and its tier ends on 2028-09-30",
		Guidance: "Basic, Standard and Premium caches (Microsoft.Cache/redis) cannot have a customer-managed key. Plan the move to Azure " +
			"Managed Redis with a key from the start; a key cannot be added later without disruption.",
	}, judgeTierSupports}
}

func judgeTierSupports(s *scene) finding {
	c, ok := s.cluster()
	switch {
	case !ok:
		return s.cannotTell()
	case !isClassic(s.w):
		return fine("%s supports customer-managed keys", c.SKU)
	}
	f := broken(remedyNone, "%s of Azure Cache for Redis does not support customer-managed keys", c.SKU)
	f.by = classicEnds()
	if tag := s.sensitive(); tag != "" {
		f.reasons = []string{"high: its data is marked as sensitive (" + tag + ")"}
		return f
	}
	f.severity, f.reasons = Low, []string{"low: no tag marks its data as sensitive"}
	return f
}

func checkTierRetires() spec {
	return spec{Check{
		ID: "CMK-003", Title: "The cluster's tier is not being retired",
		Family: FamilyPolicy, Severity: Medium, SubjectKind: event.SubjectCluster, Remedy: remedyNone, Cadence: CadenceSweep, WithoutKey: true,
		Breaks: "the Enterprise and Enterprise Flash tiers end on 2027-03-31; after a migration the encryption settings must be checked again",
		Guidance: "Plan the move to Azure Managed Redis (no roll-back, no control of the moment of cut-over, no other operation while it " +
			"runs). Whether the migration carries the customer-managed key over is not documented: judge the cluster again " +
			"right after it, and keep the old key version enabled.",
	}, judgeTierRetires}
}

func judgeTierRetires(s *scene) finding {
	c, ok := s.cluster()
	switch {
	case !ok:
		return s.cannotTell()
	case c.SKU == "":
		return unknown("the cluster's SKU was not given")
	case !strings.HasPrefix(strings.ToLower(c.SKU), "enterprise"):
		return fine("%s is a current tier", c.SKU)
	}
	f := broken(remedyNone, "%s is retired on %s", c.SKU, enterpriseEnds().Format(time.DateOnly))
	f.by = enterpriseEnds()
	switch left := enterpriseEnds().Sub(s.now); {
	case left <= 0:
		f.severity, f.reasons = High, []string{"high: the tier has ended"}
	case left <= notice:
		f.severity, f.reasons = High, []string{"high: " + days(left) + " left, " + days(notice) + " or less"}
	default:
		f.reasons = []string{"medium: " + days(left) + " left"}
	}
	return f
}
