package risk

import (
	"strings"

	"cmkguard/internal/event"
	"cmkguard/internal/wiring"
)

func checkLeastRights() spec {
	return spec{Check{
		ID: "CMK-051", Title: "The cluster's identity may do nothing beyond get, wrap and unwrap",
		Family: FamilyAccess, Severity: Medium, SubjectKind: event.SubjectCluster, Remedy: remedyNone, Cadence: CadenceSweep,
		Breaks: "nothing by itself; whoever gets a token of the identity can also do the rest, such as copying or deleting the key",
		Guidance: "First assign Key Vault Crypto Service Encryption User to the identity at the vault, wait ten minutes, and check CMK-050. " +
			"Only then take the wider role or permissions away, by hand.",
	}, judgeLeastRights}
}

func judgeLeastRights(s *scene) finding {
	a, f, ok := s.access()
	switch {
	case !ok:
		return f
	case len(a.Excess) > 0:
		return broken(remedyNone, "the identity may also do: %s", strings.Join(a.Excess, ", "))
	case a.hidden != "":
		return unknown("the identity's rights are not all known: %s", a.hidden)
	}
	return fine("the identity's own grants give nothing beyond get, wrap and unwrap")
}

// access judges the identity's rights for the checks that look at how it has
// them; the finding says why it could not.
func (s *scene) access() (Access, finding, bool) {
	id, f, ok := s.principal()
	if !ok {
		if f.answer == Broken {
			f = unknown("%s", f.why) // CMK-007 and CMK-050 say it
		}
		return Access{}, f, false
	}
	v, ok := s.vault()
	if !ok || v.RBAC && !s.freshRoles() {
		return Access{}, s.cannotTell(), false
	}
	g := s.grants(v, id)
	a := g.Judge(s.now, s.lim)
	if v.RBAC {
		a.hidden = unreadGrants(g)
	}
	return a, finding{}, true
}

// unreadGrants says which of the reads behind the grants is missing, or "".
func unreadGrants(g AccessFacts) string {
	switch {
	case !g.Assignments.OK():
		return "the role assignments could not be read (" + because(g.Assignments.Call, g.Assignments.Why) + ")"
	case !g.Definitions.OK():
		return "the role definitions could not be read (" + because(g.Definitions.Call, g.Definitions.Why) + ")"
	}
	for _, as := range g.Assignments.Value {
		if _, ok := roleOf(g.Definitions.Value, as.RoleID); !ok && strings.EqualFold(as.PrincipalID, g.PrincipalID) {
			return "the definition of role " + lastSegment(as.RoleID) + " was not read"
		}
	}
	return ""
}

func checkNotDenied() spec {
	return spec{Check{
		ID: "CMK-052", Title: "No deny assignment withholds the key from the identity",
		Family: FamilyAccess, Severity: Critical, SubjectKind: event.SubjectCluster, Remedy: remedyNone, Cadence: CadenceSweep,
		Breaks: "a deny assignment beats every grant: the cluster cannot unwrap its data key",
		Guidance: "Deny assignments are made by deployment stacks and managed applications, not by hand. Find the one that is named, and " +
			"change the stack or application that owns it so that it excludes the identity.",
	}, judgeNotDenied}
}

func judgeNotDenied(s *scene) finding {
	id, f, ok := s.principal()
	if !ok {
		if f.answer == Broken {
			f = unknown("%s", f.why)
		}
		return f
	}
	v, ok := s.vault()
	switch {
	case !ok:
		return s.cannotTell()
	case !v.RBAC:
		return fine("the vault uses access policies, on which deny assignments have no effect")
	case !s.freshDenies():
		return s.cannotTell()
	}
	r := s.grants(v, id).rbac(s.now, s.lim)
	worstAnswer, why := OK, "no deny assignment reaches the identity at the key's scope"
	for _, action := range []string{actionUnwrap, actionRead, actionWrap} {
		if answer, reason := r.denied(action); answer != OK && worstAnswer != Broken && answer != worstAnswer {
			worstAnswer, why = answer, reason
		}
	}
	switch worstAnswer {
	case Broken:
		return broken(remedyNone, "%s", why)
	case OK:
		return fine("%s", why)
	case Unknown:
	}
	return unknown("%s", why)
}

func checkNotByGroup() spec {
	return spec{Check{
		ID: "CMK-053", Title: "The identity's access does not hang on a group",
		Family: FamilyAccess, Severity: Low, SubjectKind: event.SubjectCluster, Remedy: remedyNone, Cadence: CadenceSweep,
		Breaks: "a managed identity's token shows a change of its groups only after many hours, and whoever manages the group decides over the key",
		Guidance: "Assign Key Vault Crypto Service Encryption User to the identity itself, at the vault. Leave the group's assignment " +
			"until CMK-050 names the new one.",
	}, judgeNotByGroup}
}

func judgeNotByGroup(s *scene) finding {
	return s.how(func(as wiring.RoleAssignment) bool { return strings.EqualFold(as.PrincipalType, "Group") },
		"a group gives the identity %s, and no assignment of its own does (%s)", "no needed right comes through a group alone")
}

func checkNoCondition() spec {
	return spec{Check{
		ID: "CMK-054", Title: "No condition stands on the grant that the identity needs",
		Family: FamilyAccess, Severity: Medium, SubjectKind: event.SubjectCluster, Remedy: remedyNone, Cadence: CadenceSweep,
		Breaks: "conditions on key rights are not documented to work (Key Vault's are for secrets): nobody can say whether the grant holds",
		Guidance: "Assign the role once more without a condition, at the vault, and check CMK-050. Then remove the conditional " +
			"assignment by hand.",
	}, judgeNoCondition}
}

func judgeNoCondition(s *scene) finding {
	return s.how(func(as wiring.RoleAssignment) bool { return strings.TrimSpace(as.Condition) != "" },
		"only a conditional assignment gives the identity %s (%s)", "no needed right comes through a condition alone")
}

// how judges by which assignments the identity has its rights: broken when
// those of the kind give one that no other assignment does.
func (s *scene) how(kind func(wiring.RoleAssignment) bool, bad, good string) finding {
	a, f, ok := s.access()
	v := s.w.Vault.Value
	switch {
	case !ok:
		return f
	case !v.RBAC && worst(a.Get, a.Wrap, a.Unwrap) == Unknown:
		return unknown("%s", strings.Join(a.Why, "; "))
	case !v.RBAC:
		return fine("the vault uses access policies, and no group's is needed")
	case a.hidden != "":
		return unknown("how the identity has its rights is not known: %s", a.hidden)
	}
	for _, need := range []struct{ name, action string }{{"unwrap", actionUnwrap}, {"get", actionRead}} {
		by, others := s.givers(kind, need.action)
		if by != "" && !others {
			return broken(remedyNone, bad, need.name, by)
		}
	}
	return fine("%s", good)
}

// givers returns an assignment of the kind that gives the action at the key's
// scope, and whether one of another kind does too.
func (s *scene) givers(kind func(wiring.RoleAssignment) bool, action string) (by string, others bool) {
	scope := keyScope(s.w.Vault.Value, s.w.Key())
	for _, as := range s.w.Assignments.Value {
		role, ok := roleOf(s.w.Definitions.Value, as.RoleID)
		group := strings.EqualFold(as.PrincipalType, "Group")
		if !ok || !covers(as.Scope, scope) || !allows(role.Permissions, action) ||
			!group && !strings.EqualFold(as.PrincipalID, s.w.Identity.Value.PrincipalID) ||
			group && s.notMember(as.PrincipalID) {
			continue
		}
		if kind(as) {
			by = "assignment " + lastSegment(as.ID) + " to " + as.PrincipalID
			continue
		}
		others = true
	}
	return by, others
}

// notMember reports whether it is known that the identity is not in the group.
func (s *scene) notMember(group string) bool {
	g := s.groups()
	return g.OK() && !containsFold(g.Value, group)
}
