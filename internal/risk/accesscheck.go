package risk

import (
	"fmt"
	"strings"

	"cmkguard/internal/event"
	"cmkguard/internal/wiring"
)

func checkAccess() spec {
	return spec{Check{
		ID: "CMK-050", Title: "The cluster's identity can get, wrap and unwrap with the key",
		Family: FamilyAccess, Severity: Critical, SubjectKind: event.SubjectCluster, Remedy: remedyGrant,
		Breaks: "the cluster cannot unwrap its data key: it can go offline within about an hour, and at any restart, scaling or patch before that",
		Guidance: "Find out who removed the access and whether it was on purpose. If not, assign the role Key Vault Crypto Service " +
			"Encryption User to the identity at the vault (or, in a vault with access policies, get, wrapKey and unwrapKey), " +
			"wait ten minutes for it to spread, and check again.",
	}, judgeAccessCheck}
}

func judgeAccessCheck(s *scene) finding {
	id, f, ok := s.principal()
	if !ok {
		return f
	}
	v, ok := s.vault()
	if !ok || v.RBAC && (!s.freshRoles() || !s.freshDenies()) {
		return s.cannotTell()
	}
	a := s.grants(v, id).Judge(s.now, s.lim)
	why := strings.Join(a.Why, "; ")
	switch a.Answer() {
	case OK:
		return fine("the identity can get, wrap and unwrap (%s)", why)
	case Broken:
		f := broken(remedyGrant, "the identity cannot use the key: %s", why)
		if v.RBAC && s.deniedOnly(v, id) {
			f.remedy = remedyNone // a grant does not beat a deny assignment
		}
		return f
	case Unknown:
	}
	return unknown("whether the identity can use the key cannot be told: %s", why)
}

// principal returns the identity that the cluster authenticates as, or the
// finding that says why there is none to judge.
func (s *scene) principal() (wiring.Identity, finding, bool) {
	c, m, ok := s.cmk()
	if !ok {
		return wiring.Identity{}, s.cannotTell(), false
	}
	if gone(s, s.w.Identity) {
		return wiring.Identity{}, broken(remedyNone, "the identity does not exist (CMK-007), so nothing can unwrap as it"), false
	}
	id, ok := s.identity()
	if !ok {
		return id, s.cannotTell(), false
	}
	on, ok := attached(c, m)
	if ok && !strings.EqualFold(on.PrincipalID, id.PrincipalID) {
		return id, unknown("the cluster holds principal %s and the identity is %s (CMK-007): which one is used cannot be told",
			on.PrincipalID, id.PrincipalID), false
	}
	return id, finding{}, true
}

// freshRoles notes the reads behind the grants and reports whether each that was
// read is fresh. One that could not be read is left to the judge: a refusal may
// be certain without it.
func (s *scene) freshRoles() bool {
	before := len(s.missing)
	note(s, "the role assignments", s.w.Assignments, len(s.w.Assignments.Value))
	note(s, "the role definitions", s.w.Definitions, len(s.w.Definitions.Value))
	return len(s.missing) == before
}

// freshDenies is freshRoles for the deny assignments.
func (s *scene) freshDenies() bool {
	before := len(s.missing)
	note(s, "the deny assignments", s.w.Denies, len(s.w.Denies.Value))
	return len(s.missing) == before
}

func note[T any](s *scene, name string, f wiring.Fact[T], n int) {
	if !f.OK() {
		if f.State != wiring.NotRead {
			s.note(Evidence{Call: f.Call, At: f.At, Value: string(f.State) + ": " + f.Why})
		}
		return
	}
	use(s, name, f, func(T) string { return fmt.Sprintf("%d read", n) })
}

// grants are the facts about what the identity may do.
func (s *scene) grants(v wiring.Vault, id wiring.Identity) AccessFacts {
	return AccessFacts{
		Vault: v, Key: s.w.Key(), PrincipalID: id.PrincipalID, TenantID: id.TenantID, Groups: s.groups(),
		Assignments: s.w.Assignments, Definitions: s.w.Definitions, Denies: s.w.Denies,
	}
}

// groups returns the identity's groups if they were read and are fresh; memberships
// of long ago decide nothing.
func (s *scene) groups() wiring.Fact[[]string] {
	g := s.w.Posture.Groups
	if !g.OK() || s.stale(g.At) != "" {
		return wiring.Fact[[]string]{}
	}
	s.note(Evidence{Call: g.Call, At: g.At, Value: fmt.Sprintf("member of %d groups", len(g.Value))})
	return g
}

// deniedOnly reports whether the access would be there but for a deny assignment.
func (s *scene) deniedOnly(v wiring.Vault, id wiring.Identity) bool {
	g := s.grants(v, id)
	g.Denies = wiring.Read([]wiring.DenyAssignment{}, s.w.Denies.Call, s.w.Denies.At)
	a := g.Judge(s.now, s.lim)
	return a.Answer() == OK
}
