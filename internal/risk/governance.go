package risk

import (
	"fmt"
	"slices"
	"strings"

	"cmkguard/internal/event"
	"cmkguard/internal/wiring"
)

func checkAzurePolicy() spec {
	return spec{Check{
		ID: "CMK-060", Title: "Azure Policy asks for a customer-managed key, and the cluster complies",
		Family: FamilyPolicy, Severity: Medium, SubjectKind: event.SubjectCluster, Remedy: remedyNone, Cadence: CadenceDaily, WithoutKey: true,
		Breaks: "nothing; the next cluster can be made without a key and no compliance report shows it",
		Guidance: "Assign the built-in policy \"Azure Cache for Redis Enterprise should use customer-managed keys for encrypting disk " +
			"data\" (09aa11bb-87ec-409f-bf0b-49b7c1561a87), with Audit first. It looks only at whether the setting exists.",
	}, judgeAzurePolicy}
}

func judgeAzurePolicy(s *scene) finding {
	if _, ok := s.cluster(); !ok {
		return s.cannotTell()
	}
	if goneAround(s, s.w.Posture.Policy) {
		return broken(remedyNone, "the policy is not assigned where the cluster is")
	}
	p, ok := around(s, "the cluster's policy state", s.w.Posture.Policy, func(p wiring.PolicyState) string { return p.Compliance })
	switch {
	case !ok:
		return s.cannotTell()
	case strings.EqualFold(p.Compliance, "Compliant"):
		return fine("the cluster complies with assignment %s", lastSegment(p.Assignment))
	case strings.EqualFold(p.Compliance, "NonCompliant"), strings.EqualFold(p.Compliance, "Exempt"):
		return broken(remedyNone, "the cluster is %s under assignment %s", p.Compliance, lastSegment(p.Assignment))
	}
	return unknown("the policy's answer about the cluster is %q", p.Compliance)
}

func checkTags() spec {
	return spec{Check{
		ID: "CMK-061", Title: "Owner and cost centre are tagged on cluster, vault and key",
		Family: FamilyPolicy, Severity: Low, SubjectKind: event.SubjectCluster, Remedy: remedyNone, Cadence: CadenceSweep, WithoutKey: true,
		Breaks:   "nothing; at night nobody knows whom to call, and costs cannot be told apart",
		Guidance: "Set the tags that are named, on the cluster, the vault and the key (az tag update --operation merge; az keyvault key set-attributes --tags).",
	}, judgeTags}
}

func judgeTags(s *scene) finding {
	c, ok := s.cluster()
	if !ok {
		return s.cannotTell()
	}
	var lacks []string
	look := func(where string, tags map[string]string) {
		for _, want := range s.lim.RequiredTags {
			if !hasTag(tags, want) {
				lacks = append(lacks, want+" on the "+where)
			}
		}
	}
	look("cluster", c.Tags)
	if c.CMK != nil && !isClassic(s.w) {
		v, ok := s.vault()
		if !ok {
			return s.cannotTell()
		}
		k, _, ok := s.inUse()
		if !ok {
			return s.cannotTell()
		}
		look("vault", v.Tags)
		look("key", k.Tags)
	}
	if len(lacks) > 0 {
		return broken(remedyNone, "missing tags: %s", strings.Join(lacks, ", "))
	}
	return fine("all have the tags %s", strings.Join(s.lim.RequiredTags, ", "))
}

func hasTag(tags map[string]string, want string) bool {
	for name, value := range tags {
		if plainTag(name) == plainTag(want) && strings.TrimSpace(value) != "" {
			return true
		}
	}
	return false
}

// plainTag makes cost-center, CostCentre and cost_centre one name.
func plainTag(name string) string {
	return strings.NewReplacer("-", "", "_", "", " ", "", "center", "centre").Replace(strings.ToLower(name))
}

// alertTopics are what somebody must be told about, and for each the operations
// by which an activity log alert covers it.
func alertTopics() map[string][]string {
	return map[string][]string{
		"rotation-failure": nil,
		"pending-expiry":   nil,
		"access-change": {"microsoft.authorization/roleassignments/write", "microsoft.authorization/roleassignments/delete",
			"microsoft.keyvault/vaults/write", "microsoft.keyvault/vaults/accesspolicies/write", "microsoft.keyvault/vaults/delete"},
	}
}

func checkAlerting() spec {
	return spec{Check{
		ID: "CMK-062", Title: "Somebody is told of failed rotation, pending expiry and changed access",
		Family: FamilyWatch, Severity: Medium, SubjectKind: event.SubjectVault, Remedy: remedyNone, Cadence: CadenceDaily,
		Breaks: "the failure is recorded and nobody reads it",
		Guidance: "Give this installation a channel beyond its console (channels and alerts in the policy file), or make alert rules in " +
			"Azure Monitor on the vault for what is named.",
	}, judgeAlerting}
}

func judgeAlerting(s *scene) finding {
	if _, ok := s.key(); !ok {
		return s.cannotTell()
	}
	a, ok := around(s, "who is alerted", s.w.Posture.Alerting, func(a wiring.Alerting) string {
		return fmt.Sprintf("own topics %s, %d rules", strings.Join(a.Own, " "), len(a.Rules))
	})
	if !ok {
		return s.cannotTell()
	}
	var lacks []string
	for topic, operations := range alertTopics() {
		if !slices.Contains(a.Own, topic) && !slices.ContainsFunc(a.Rules, func(r wiring.AlertRule) bool { return r.Enabled && coversTopic(r, operations) }) {
			lacks = append(lacks, topic)
		}
	}
	slices.Sort(lacks)
	if len(lacks) > 0 {
		return broken(remedyNone, "nobody is told of %s", strings.Join(lacks, ", "))
	}
	return fine("rotation failure, pending expiry and access change are alerted on")
}

func coversTopic(r wiring.AlertRule, operations []string) bool {
	return slices.ContainsFunc(operations, func(o string) bool { return matchAny(r.Operations, o) })
}
