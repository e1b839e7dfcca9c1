package risk

import (
	"fmt"
	"slices"
	"strings"

	"cmkguard/internal/azureid"
	"cmkguard/internal/event"
	"cmkguard/internal/wiring"
)

func checkIdentityShared() spec {
	return spec{Check{
		ID: "CMK-008", Title: "The encryption identity serves this key's clusters only",
		Family: FamilyIdentity, Severity: Medium, SubjectKind: event.SubjectCluster, Remedy: remedyNone, Cadence: CadenceSweep,
		Breaks: "nothing by itself; whoever runs code where the identity is attached gets tokens that can unwrap with this key",
		Guidance: "Give the clusters of one key an identity of their own: create it, grant it access, attach it beside the old one, and " +
			"change the encryption identity in a maintenance window.",
	}, judgeIdentityShared}
}

func judgeIdentityShared(s *scene) finding {
	k, ok := s.key()
	if !ok {
		return s.cannotTell()
	}
	uses, ok := around(s, "what else uses the identity", s.w.Posture.IdentityUses, func(l []wiring.IdentityUse) string {
		return fmt.Sprintf("%d resources", len(l))
	})
	if !ok {
		return s.cannotTell()
	}
	var foreign, otherKey []string
	for _, u := range uses {
		switch {
		case u.ID.Equal(s.w.ID) || u.Key.SameKey(k):
		case u.ID.Type() == azureid.TypeRedisEnterprise:
			otherKey = append(otherKey, u.ID.Name())
		default:
			foreign = append(foreign, u.ID.Type()+" "+u.ID.Name())
		}
	}
	slices.Sort(foreign)
	slices.Sort(otherKey)
	switch {
	case len(foreign) > 0:
		f := broken(remedyNone, "the identity is also attached to %s", strings.Join(append(foreign, otherKey...), ", "))
		f.reasons = []string{"medium: code that runs there can get the identity's tokens"}
		return f
	case len(otherKey) > 0:
		f := broken(remedyNone, "the identity is also that of clusters with other keys: %s", strings.Join(otherKey, ", "))
		f.severity, f.reasons = Low, []string{"low: only clusters share it, so the reach is theirs"}
		return f
	}
	return fine("the identity is attached to clusters of this key only (%d)", len(uses))
}
