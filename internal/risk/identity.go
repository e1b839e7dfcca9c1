package risk

import (
	"strings"

	"cmkguard/internal/event"
	"cmkguard/internal/wiring"
)

func checkIdentityAttached() spec {
	return spec{Check{
		ID: "CMK-006", Title: "The encryption identity is user-assigned and attached to the cluster",
		Family: FamilyIdentity, Severity: Critical, SubjectKind: event.SubjectCluster, Remedy: remedyAttach,
		Breaks: "the cluster cannot get a token for the key and goes offline at the next unwrap",
		Guidance: "Attach the identity named in the encryption settings to the cluster again (identity.userAssignedIdentities, " +
			"sending the full current map). If it was detached on purpose, as a way to revoke the key, ask its owner first.",
	}, judgeIdentityAttached}
}

func judgeIdentityAttached(s *scene) finding {
	c, m, ok := s.cmk()
	switch {
	case !ok:
		return s.cannotTell()
	case !strings.EqualFold(m.IdentityType, userAssignedCMK):
		return broken(remedyNone, "the encryption identity is %q; only user-assigned identities are supported", m.IdentityType)
	case m.IdentityID.IsZero():
		return broken(remedyNone, "the encryption settings name no identity")
	}
	if _, ok := attached(c, m); !ok || !hasUserAssigned(c.IdentityType) {
		return broken(remedyAttach, "identity %s is named for encryption but not attached to the cluster (identity type %q)",
			m.IdentityID, c.IdentityType)
	}
	return fine("identity %s is attached", m.IdentityID.Name())
}

// hasUserAssigned reads identity.type, a comma-separated list.
func hasUserAssigned(identityType string) bool {
	for part := range strings.SplitSeq(identityType, ",") {
		if strings.EqualFold(strings.TrimSpace(part), userAssignedInARM) {
			return true
		}
	}
	return false
}

func attached(c wiring.Cluster, m wiring.CMK) (wiring.ClusterIdentity, bool) {
	for _, i := range c.Identities {
		if i.ID.Equal(m.IdentityID) && !i.ID.IsZero() {
			return i, true
		}
	}
	return wiring.ClusterIdentity{}, false
}

func checkIdentityExists() spec {
	return spec{Check{
		ID: "CMK-007", Title: "The encryption identity exists and is the one that was attached",
		Family: FamilyIdentity, Severity: Critical, SubjectKind: event.SubjectCluster, Remedy: remedyNone,
		Breaks: "the cluster holds the principal of an identity that is no more; no grant to the new one helps it",
		Guidance: "An identity that was deleted and made again under the same name has a new principal id. Grant the new " +
			"principal access to the key, then detach and attach the identity on the cluster, and check CMK-050 again.",
	}, judgeIdentityExists}
}

func judgeIdentityExists(s *scene) finding {
	c, m, ok := s.cmk()
	if !ok {
		return s.cannotTell()
	}
	if gone(s, s.w.Identity) {
		return broken(remedyNone, "the identity %s does not exist (%s)", m.IdentityID, because(s.w.Identity.Call, s.w.Identity.Why))
	}
	id, ok := s.identity()
	if !ok {
		return s.cannotTell()
	}
	on, ok := attached(c, m)
	switch {
	case !id.ID.IsZero() && !id.ID.Equal(m.IdentityID):
		return unknown("the identity that was read, %s, is not the cluster's, %s", id.ID, m.IdentityID)
	case !ok:
		return unknown("the identity is not attached to the cluster (CMK-006), so there is no principal to compare")
	case on.PrincipalID == "" || id.PrincipalID == "":
		return unknown("a principal id is missing: cluster %q, identity %q", on.PrincipalID, id.PrincipalID)
	case !strings.EqualFold(on.PrincipalID, id.PrincipalID):
		return broken(remedyNone, "the cluster holds principal %s but the identity is %s now: it was deleted and made again",
			on.PrincipalID, id.PrincipalID)
	}
	return fine("the identity exists with the principal that the cluster holds, %s", id.PrincipalID)
}
