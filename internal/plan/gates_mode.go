package plan

import (
	"fmt"
	"slices"

	"cmkguard/internal/event"
	"cmkguard/internal/policy"
	"cmkguard/internal/wiring"
)

// gateMode asks ceiling and policy for every consumer: one that is held, off or
// dry-run holds them all, because a new version reaches every consumer.
func gateMode(p Plan, f Facts, in Inputs) Ruling {
	mode, why, scoped := modeOf(p, f, in)
	switch {
	case !scoped:
		return hold("mode", "%s", why)
	case mode == policy.Auto:
		return allow("mode", "auto for the key and every consumer")
	case mode == policy.Approve:
		return approved(p, f, in, why)
	case mode == policy.DryRun:
		return hold("mode", Dry+" (%s): this is what would be done", why)
	}
	return Ruling{Gate: "mode", Answer: Refuse, Reason: "off (" + why + ")"}
}

// modeOf is the tightest mode of all that the plan touches, and why; scoped is
// false, and why says so, if a consumer is out of scope.
func modeOf(p Plan, f Facts, in Inputs) (worst policy.Mode, why string, scoped bool) {
	ceiling, known := Ceilings()[p.Remedy]
	if !known {
		return policy.Off, "remedy " + p.Remedy + " has no compiled ceiling", true
	}
	worst, why = ceiling, "compiled ceiling "+string(ceiling)
	lower := func(m policy.Mode, reason string) {
		if m.Rank() < worst.Rank() {
			worst, why = m, reason
		}
	}
	clusters := clustersOf(p, f)
	if len(clusters) == 0 {
		lower(in.Policy.ModeFor(p.Remedy, policy.Target{Key: f.Key}))
	}
	for _, c := range clusters {
		if ok, reason := in.Policy.InScope(targetOf(c, f)); !ok {
			return worst, fmt.Sprintf("%s uses the key too and is out of scope: %s", c.Name, reason), false
		}
		for _, remedy := range asTightAs(p.Remedy, c) {
			m, reason := in.Policy.ModeFor(remedy, targetOf(c, f))
			lower(m, c.Name+": "+reason)
		}
	}
	return worst, why, true
}

// asTightAs names the remedies whose modes a plan is held by for a cluster: its own,
// and those of what follows from it. A rotation moves a v1 cluster by a PATCH; a
// rotation policy makes rotations.
func asTightAs(remedy string, c wiring.Cluster) []string {
	out := []string{remedy}
	if remedy == SetRotationPolicy {
		out = append(out, Rotate)
	}
	if slices.Contains(out, Rotate) && c.Kind != "v2" {
		out = append(out, Rewire)
	}
	return out
}

func targetOf(c wiring.Cluster, f Facts) policy.Target {
	k := f.Key
	if c.CMK != nil && !c.CMK.Key.IsZero() { // of a vault's plan: each cluster has its own
		k = c.CMK.Key
	}
	return policy.Target{
		Subscription: c.ID.Subscription(), ResourceGroup: c.ID.ResourceGroup(),
		Cluster: c.ID.String(), ClusterName: c.Name, Key: k, Tags: c.Tags,
	}
}

func clustersOf(p Plan, f Facts) []wiring.Cluster {
	switch {
	case p.Remedy == Rewire:
		return []wiring.Cluster{f.Cluster}
	case p.Remedy == Rotate:
		return f.Consumers.Clusters
	case p.Subject.Kind == event.SubjectVault:
		return ofVault(f)
	}
	return read(f)
}

func read(f Facts) []wiring.Cluster {
	var out []wiring.Cluster
	for _, w := range f.Wirings {
		if w.Cluster.OK() {
			out = append(out, w.Cluster.Value)
		}
	}
	return out
}

// ofVault are the clusters whose key lies in the vault: as they were read, where
// they were, else as a list names them.
func ofVault(f Facts) []wiring.Cluster {
	out := read(f)
	for _, c := range f.Consumers.Clusters {
		if !slices.ContainsFunc(out, func(o wiring.Cluster) bool { return o.ID.Equal(c.ID) }) {
			out = append(out, c)
		}
	}
	return out
}
