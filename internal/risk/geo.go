package risk

import (
	"fmt"
	"strings"

	"cmkguard/internal/event"
	"cmkguard/internal/wiring"
)

func (s *scene) databases() ([]wiring.Database, bool) {
	return around(s, "the cluster's databases", s.w.Posture.Databases, func(l []wiring.Database) string {
		return fmt.Sprintf("%d databases", len(l))
	})
}

func checkGeoPeers() spec {
	return spec{Check{
		ID: "CMK-065", Title: "Every member of the geo-replication group has its own key in its own region",
		Family: FamilyCluster, Severity: Medium, SubjectKind: event.SubjectCluster, Remedy: remedyNone, Cadence: CadenceDaily, WithoutKey: true,
		Breaks: "the data leaves the protection that one member has, or the loss of one key takes members of several regions down",
		Guidance: "Members of a group should be encrypted alike: each with a key in a vault of its own region. A member without a key " +
			"cannot be given one without disruption: link a new member that has one, then retire the old one.",
	}, judgeGeoPeers}
}

func judgeGeoPeers(s *scene) finding {
	c, ok := s.cluster()
	if !ok {
		return s.cannotTell()
	}
	dbs, ok := s.databases()
	if !ok {
		return s.cannotTell()
	}
	group := ""
	for _, d := range dbs {
		if d.GeoGroup != "" {
			group = d.GeoGroup
		}
	}
	if group == "" {
		return fine("the cluster is not geo-replicated")
	}
	peers, ok := around(s, "the group's other members", s.w.Posture.Peers, func(l []wiring.Peer) string { return fmt.Sprintf("%d members", len(l)) })
	if !ok {
		return s.cannotTell()
	}
	var bad, hidden []string
	for _, p := range peers {
		problem, why := s.peer(c, p)
		if problem != "" {
			bad = append(bad, problem)
		} else if why != "" {
			hidden = append(hidden, why)
		}
	}
	switch {
	case len(bad) > 0:
		return broken(remedyNone, "in group %s %s", group, strings.Join(bad, "; "))
	case len(hidden) > 0:
		return unknown("%s", strings.Join(hidden, "; "))
	}
	return fine("the %d other members of group %s are encrypted like this one", len(peers), group)
}

// peer compares another member with this cluster: a problem, or why it cannot.
func (s *scene) peer(c wiring.Cluster, p wiring.Peer) (problem, why string) {
	name := p.ID.Name()
	if !p.Cluster.OK() || s.older(p.Cluster.At, s.lim.DailyFactAge) != "" {
		return "", name + " could not be read (" + because(p.Cluster.Call, p.Cluster.Why) + ")"
	}
	switch other := p.Cluster.Value; {
	case (other.CMK == nil) != (c.CMK == nil):
		return fmt.Sprintf("%s has a customer-managed key: %t, this cluster: %t", name, other.CMK != nil, c.CMK != nil), ""
	case other.CMK == nil:
		return "", ""
	case !p.VaultLocation.OK():
		return "", "the vault of " + name + " could not be read (" + because(p.VaultLocation.Call, p.VaultLocation.Why) + ")"
	case region(p.VaultLocation.Value) != region(other.Location):
		return fmt.Sprintf("%s is in %s, its vault in %s", name, region(other.Location), region(p.VaultLocation.Value)), ""
	case region(other.Location) != region(c.Location) && other.CMK.Key.SameKey(c.CMK.Key):
		return fmt.Sprintf("%s of another region uses the same key", name), ""
	}
	return "", ""
}

func checkCoverage() spec {
	return spec{Check{
		ID: "CMK-066", Title: "The key covers what the cluster stores",
		Family: FamilyCluster, Severity: Info, SubjectKind: event.SubjectCluster, Remedy: remedyNone, Cadence: CadenceDaily, WithoutKey: true,
		Breaks: "nothing; know that data in memory, the transient NVMe disk of the Flash tiers and exported files are not under this key",
		Guidance: "A note, not a fault. Encrypt exports by the storage account's own key; where the class of the data asks for every disk " +
			"to be under your key, choose a tier without Flash.",
	}, judgeCoverage}
}

func judgeCoverage(s *scene) finding {
	c, ok := s.cluster()
	if !ok {
		return s.cannotTell()
	}
	dbs, ok := s.databases()
	if !ok {
		return s.cannotTell()
	}
	if strings.Contains(strings.ToLower(c.SKU), "flash") {
		return broken(remedyNone, "%s keeps part of its data on NVMe, which is encrypted by Microsoft's key only", c.SKU)
	}
	for _, d := range dbs {
		if !d.AOF && !d.RDB {
			return broken(remedyNone, "database %s has no persistence: the key covers the system disk and files of an export only", d.Name)
		}
	}
	return fine("persisted data is under the cluster's key (%d databases)", len(dbs))
}
