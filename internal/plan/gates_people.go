package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/approval"
	"cmkguard/internal/policy"
	"cmkguard/internal/wiring"
)

// HoldTag on a key, a cluster or a vault holds everything about it, whatever
// its value. Tags have too many writers to release anything.
const HoldTag = "cmkguard-hold"

func gateHold(p Plan, f Facts, _ Inputs) Ruling {
	var held []string
	for _, c := range clustersOf(p, f) {
		held = append(held, holdOn("cluster "+c.Name, c.Tags)...)
	}
	for _, w := range f.Wirings {
		held = append(held, Holds(w)...)
	}
	if newest, ok := wiring.Newest(f.Versions.Value); ok {
		held = append(held, holdOn("key "+newest.Key.Name, newest.Tags)...)
	}
	if len(held) > 0 {
		slices.Sort(held)
		return hold("hold", "the tag %s is on %s", HoldTag, strings.Join(slices.Compact(held), ", "))
	}
	return allow("hold", "no tag %s", HoldTag)
}

// Holds names what bears the hold tag in a chain.
func Holds(w wiring.Wiring) []string {
	out := append(holdOn("cluster "+w.Cluster.Value.Name, w.Cluster.Value.Tags), holdOn("vault "+w.Vault.Value.Name, w.Vault.Value.Tags)...)
	if newest, ok := wiring.Newest(w.Versions.Value); ok {
		out = append(out, holdOn("key "+newest.Key.Name, newest.Tags)...)
	}
	return append(out, holdOn("the deleted key "+w.Deleted.Value.Key.Name, w.Deleted.Value.Tags)...)
}

func holdOn(what string, tags map[string]string) []string {
	for name := range tags {
		if strings.EqualFold(name, HoldTag) {
			return []string{what}
		}
	}
	return nil
}

func gateExempt(p Plan, f Facts, in Inputs) Ruling {
	for _, c := range clustersOf(p, f) {
		if e, yes := in.Policy.ExemptionFor(p.Remedy, targetOf(c, f), in.Now); yes {
			until := e.Expires
			r := hold("exempt", "%s is exempt: %s (%s, owner %s, ticket %s)", c.Name, e.Reason, e.Name, e.Owner, orSelf(e.Ticket, "none"))
			r.Until = &until
			return r
		}
	}
	return allow("exempt", "no exemption")
}

// gateErasure refuses to rescue what people have decided to erase, and to
// protect from purging what a policy wants to be erasable.
func gateErasure(p Plan, f Facts, in Inputs) Ruling {
	const name = "erasure"
	for _, k := range f.Keys() {
		if p.Remedy == EnablePurgeProtection && in.Policy.Erasable(k) {
			return Ruling{Gate: name, Answer: Refuse, Reason: "the policy's erasable keys are in this vault: purge protection would delay their end"}
		}
		if s := approval.Judge(in.Decisions, EraseMatter(k), "", approval.Need{Persons: 2}, in.Now); s.Approved {
			return Ruling{Gate: name, Answer: Refuse, Reason: "the key " + k.Name + " is to be erased, decided by " + strings.Join(s.By, " and ")}
		}
	}
	return allow(name, "nobody decided to erase the key")
}

// EraseMatter is what people decide on who erase a key.
func EraseMatter(k interface{ ID() string }) string { return "erase~" + k.ID() }

// StandingMatter is what people decide on who let a remedy run by itself for a key.
func StandingMatter(remedy string, k interface{ ID() string }) string {
	return "standing~" + remedy + "~" + k.ID()
}

// approved answers for a plan whose mode is approve.
func approved(p Plan, f Facts, in Inputs, why string) Ruling {
	sum, err := p.Fingerprint()
	if err != nil {
		return hold("mode", "the plan cannot be hashed: %v", err)
	}
	need := Need(p.Remedy, in)
	s := approval.Judge(in.Decisions, p.ID, sum, need, in.Now)
	standing := standingOf(p, f, in, need)
	switch {
	case s.Denied:
		return Ruling{Gate: "mode", Answer: Refuse, Reason: "denied by " + strings.Join(s.By, " and ")}
	case s.Approved:
		return until(allow("mode", "approved by %s until %s", strings.Join(s.By, " and "), s.Until.Format(time.RFC3339)), s.Until)
	case standing.Approved:
		return until(allow("mode", "standing approval of %s until %s", strings.Join(standing.By, " and "), standing.Until.Format(time.RFC3339)), standing.Until)
	}
	text := fmt.Sprintf(Waits+" (%s): %d of %d persons", why, len(s.By), need.Persons)
	if s.Why != "" {
		text += "; " + s.Why
	}
	return hold("mode", "%s", text)
}

// standingOf is the standing approval of every key that the plan is about.
func standingOf(p Plan, f Facts, in Inputs, need approval.Need) approval.Standing {
	var out approval.Standing
	for n, k := range f.Keys() {
		s := approval.Judge(in.Decisions, StandingMatter(p.Remedy, k), "", approval.Need{Persons: 2, Causes: need.Causes}, in.Now)
		if !s.Approved {
			return s
		}
		if n == 0 || s.Until.Before(out.Until) {
			out = s
		}
	}
	return out
}

func until(r Ruling, t time.Time) Ruling {
	r.Until = &t
	return r
}

// Waits begins the reason of a plan that only people can release.
const Waits = "waits for an approval"

// Dry begins the reason of a plan that is only shown.
const Dry = "dry run"

// ByPeople reports whether the ruling allows because people approved.
func (r Ruling) ByPeople() bool {
	return r.Gate == "mode" && r.Answer == Allow && r.Until != nil
}

// Need says how many people a plan needs. What may have been taken away on
// purpose needs two, unless the policy is content with one; and two always
// where nobody is known to have caused it.
func Need(remedy string, in Inputs) approval.Need {
	n := approval.Need{Persons: max(1, in.Policy.Approvals.Persons)}
	known := false
	for _, c := range in.Causes {
		object, suspect := strings.CutPrefix(c, Suspect)
		n.Causes, known = append(n.Causes, object), known || !suspect
	}
	known = known || remedy == Undo // what is undone was ours
	if Ceilings()[remedy] == policy.Approve && (in.Policy.Approvals.Persons == 0 || !known) {
		n.Persons = 2
	}
	return n
}

// Suspect before a cause says that whoever it names tried something, and may not
// be the one who did it: kept from approving, and not known as the cause.
const Suspect = "suspect:"
