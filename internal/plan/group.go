package plan

import (
	"cmp"
	"fmt"
	"strings"

	"cmkguard/internal/wiring"
)

// The names of the gates of geo-replication groups: what keeps members apart comes to
// its turn by itself, what a failure stops does not.
const (
	GateGroup       = "geo-group"
	GateGroupHealth = "geo-health"
)

// gateGroup keeps the members of an active geo-replication group from being moved
// together, whichever plans move them and whatever keys they have: one member that
// is down makes the others keep what it missed, and two of them are an outage
// (learn.microsoft.com redis/how-to-active-geo-replication). A group that cannot be
// read holds.
func gateGroup(p Plan, f Facts, in Inputs) Ruling {
	const name = GateGroup
	members := 0
	for _, w := range movedBy(p, f) {
		if why := GroupTrouble(p.Remedy, w.Posture.Peers); why.Text != "" && !why.Failed {
			return hold(name, "%s: %s", w.ID.Name(), why.Text)
		}
		if in.History == nil {
			return hold(name, "what was done before could not be read")
		}
		for _, m := range w.Posture.Peers.Value {
			members++
			if why := actedOn(p, m, *in.History); why != "" {
				return hold(name, "%s is of the group of %s, and %s", m.ID.Name(), w.ID.Name(), why)
			}
			if why := together(p, f, w, m); why != "" {
				return hold(name, "%s", why)
			}
		}
	}
	if members == 0 {
		return allow(name, "no cluster that is moved is geo-replicated")
	}
	return allow(name, "nothing else moves one of the %d other members", members)
}

// gateGroupHealth stops a group at its first failure: no further member is moved by
// itself while one is down, or while a move of ours did not succeed on one.
func gateGroupHealth(p Plan, f Facts, in Inputs) Ruling {
	const name = GateGroupHealth
	for _, w := range movedBy(p, f) {
		if why := GroupTrouble(p.Remedy, w.Posture.Peers); why.Failed {
			return hold(name, "%s: %s", w.ID.Name(), why.Text)
		}
		if in.History == nil {
			return hold(name, "what was done before could not be read")
		}
		if why := GroupFailure(p, w.Posture.Peers, *in.History); why != "" {
			return hold(name, "%s: %s", w.ID.Name(), why)
		}
	}
	return allow(name, "no other member of a geo-replication group is down or was left behind")
}

// movedBy are the chains whose cluster the plan moves: of a repair the one that
// shows the problem.
func movedBy(p Plan, f Facts) []wiring.Wiring {
	if Repair(p.Remedy) && len(f.Wirings) > 0 {
		return f.Wirings[:1]
	}
	return f.Wirings
}

// Trouble is why a member of a geo-replication group must not be moved now.
type Trouble struct {
	Text   string // "": none
	Failed bool   // another member ended badly: waiting alone does not mend it
}

// GroupTrouble says why a cluster must not be moved now, by the other members of
// its geo-replication group. What people released, perhaps to rescue the group, waits
// only for what is under way; what runs by itself wants every member well.
func GroupTrouble(remedy string, peers wiring.Fact[[]wiring.Peer]) Trouble {
	if !peers.OK() {
		return Trouble{Text: "whether it is geo-replicated, and with whom, could not be read: " + orSelf(peers.Why, "it was not asked")}
	}
	for _, m := range peers.Value {
		c := m.Cluster
		switch {
		case c.State == wiring.Absent:
			return Trouble{Text: "the other member " + m.ID.Name() + " of its geo-replication group is gone: unlink it", Failed: true}
		case !c.OK():
			return Trouble{Text: "the other member " + m.ID.Name() + " of its geo-replication group could not be read: " + c.Why}
		case c.Value.Running():
		case c.Value.EndedBadly() && !automatic(remedy):
		default:
			text := fmt.Sprintf("the other member %s of its geo-replication group is %s (provisioning %s)", m.ID.Name(), c.Value.ResourceState, c.Value.ProvisioningState)
			return Trouble{Text: text, Failed: c.Value.EndedBadly()}
		}
	}
	return Trouble{}
}

func automatic(remedy string) bool { return remedy == Rotate || remedy == Rewire }

// actedOn says what another plan of ours has under way on the member or its key. Of
// two that were begun side by side the earlier goes first.
func actedOn(p Plan, m wiring.Peer, h History) string {
	var own Action
	for _, a := range h.Actions {
		if a.Plan == p.ID && a.Ended == Running {
			own = a
		}
	}
	for _, a := range h.Actions {
		first := own.Plan != "" && cmp.Or(own.At.Compare(a.At), strings.Compare(own.Plan, a.Plan)) < 0
		if a.Plan != p.ID && a.Plan != h.Own && a.Ended == Running && a.on(m) && !first {
			return fmt.Sprintf("%s (plan %s) is under way on it", a.Remedy, a.Plan)
		}
	}
	return ""
}

// GroupFailure says which other member was not brought to its end: the last that was
// tried there failed, and so the next member is not moved by itself.
func GroupFailure(p Plan, peers wiring.Fact[[]wiring.Peer], h History) string {
	if !automatic(p.Remedy) {
		return ""
	}
	for _, m := range peers.Value {
		var last Action
		for _, a := range h.Actions {
			if automatic(a.Remedy) && a.on(m) && !a.At.Before(last.At) {
				last = a
			}
		}
		if last.Plan != p.ID && (last.Ended == Failed || last.Ended == Unexpected) {
			return fmt.Sprintf("%s (plan %s) did not succeed on the other member %s of its geo-replication group: the next waits until it did, or for seven days", last.Remedy, last.Plan, m.ID.Name())
		}
	}
	return ""
}

// on reports whether the action concerns the member or its key.
func (a Action) on(m wiring.Peer) bool {
	c := m.Cluster.Value.CMK
	return c != nil && a.Key == c.Key.ID() || strings.EqualFold(a.Subject, "cluster:"+m.ID.Key())
}

// together says that a rotation would move two members at a time of the service's
// choosing: managed caches take a new version of a shared key up by themselves.
func together(p Plan, f Facts, w wiring.Wiring, m wiring.Peer) string {
	if p.Remedy != Rotate || w.Cluster.Value.Kind != "v2" {
		return ""
	}
	for _, c := range f.Consumers.Clusters {
		if c.ID.Equal(m.ID) && c.Kind == "v2" {
			return fmt.Sprintf("%s and %s of one geo-replication group use this key and would take a new version up by themselves, perhaps at once: give each a key of its own", w.ID.Name(), c.Name)
		}
	}
	return ""
}
