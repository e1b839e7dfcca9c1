package risk

import (
	"slices"
	"strings"

	"cmkguard/internal/event"
)

func checkRegions() spec {
	return spec{Check{
		ID: "CMK-043", Title: "Data and key are in the regions that the policy allows",
		Family: FamilyVault, Severity: High, SubjectKind: event.SubjectCluster, Remedy: remedyNone, Cadence: CadenceSweep,
		Breaks: "data or the key to it lies under another jurisdiction than it was promised",
		Guidance: "Neither a cluster nor a vault can be moved to another region. Create the cluster, and a vault with a key, in an allowed " +
			"region, move the data in a maintenance window, and retire the old ones.",
	}, judgeRegions}
}

func judgeRegions(s *scene) finding {
	c, ok := s.cluster()
	if !ok {
		return s.cannotTell()
	}
	v, ok := s.vault()
	switch {
	case !ok:
		return s.cannotTell()
	case len(s.lim.Regions) == 0:
		return fine("the policy names no regions")
	case c.Location == "" || v.Location == "":
		return unknown("a location is missing: cluster %q, vault %q", c.Location, v.Location)
	}
	var outside []string
	for _, at := range [][2]string{{"the cluster", c.Location}, {"the vault", v.Location}} {
		if !slices.ContainsFunc(s.lim.Regions, func(r string) bool { return region(r) == region(at[1]) }) {
			outside = append(outside, at[0]+" is in "+region(at[1]))
		}
	}
	if len(outside) > 0 {
		return broken(remedyNone, "%s; allowed are %s", strings.Join(outside, " and "), strings.Join(s.lim.Regions, ", "))
	}
	return fine("cluster and vault are in allowed regions")
}
