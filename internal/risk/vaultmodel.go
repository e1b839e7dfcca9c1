package risk

import (
	"strings"

	"cmkguard/internal/event"
)

func checkRetention() spec {
	return spec{Check{
		ID: "CMK-032", Title: "Deleted keys stay recoverable for long enough",
		Family: FamilyVault, Severity: Low, SubjectKind: event.SubjectVault, Remedy: remedyNone, Cadence: CadenceSweep,
		Breaks: "after an unnoticed deletion there are fewer days to recover the key",
		Guidance: "The retention is fixed when a vault is created. For a longer one create a new vault (90 days is the default and the " +
			"most), create a key in it, and change the cluster's key in a maintenance window.",
	}, judgeRetention}
}

func judgeRetention(s *scene) finding {
	v, ok := s.vault()
	switch {
	case !ok:
		return s.cannotTell()
	case v.RetentionDays == 0:
		return unknown("the vault does not say how long it keeps deleted keys")
	case v.RetentionDays < s.lim.RetentionDays:
		return broken(remedyNone, "deleted keys are kept for %d days; %d are asked for", v.RetentionDays, s.lim.RetentionDays)
	}
	return fine("deleted keys are kept for %d days", v.RetentionDays)
}

func checkTenant() spec {
	return spec{Check{
		ID: "CMK-034", Title: "The vault and the identity are of one tenant",
		Family: FamilyVault, Severity: Critical, SubjectKind: event.SubjectCluster, Remedy: remedyNone, Cadence: CadenceSweep,
		Breaks: "the vault takes tokens of its own tenant only: the identity cannot unwrap, and no grant changes that",
		Guidance: "This happens when a subscription moves to another tenant: identities are not moved with it. Create a vault, a key and " +
			"an identity in the cluster's tenant, or move the vault back, before the cluster needs its key again.",
	}, judgeTenant}
}

func judgeTenant(s *scene) finding {
	if _, ok := s.key(); !ok {
		return s.cannotTell()
	}
	id, ok := s.identity()
	if !ok {
		return s.cannotTell()
	}
	v, ok := s.vault()
	switch {
	case !ok:
		return s.cannotTell()
	case v.TenantID == "" || id.TenantID == "":
		return unknown("a tenant is not known: vault %q, identity %q", v.TenantID, id.TenantID)
	case !strings.EqualFold(v.TenantID, id.TenantID):
		return broken(remedyNone, "the vault is of tenant %s, the identity of tenant %s", v.TenantID, id.TenantID)
	}
	return fine("both are of tenant %s", v.TenantID)
}

func checkVaultModel() spec {
	return spec{Check{
		ID: "CMK-037", Title: "The vault uses Azure RBAC",
		Family: FamilyVault, Severity: Medium, SubjectKind: event.SubjectVault, Remedy: remedyNone, Cadence: CadenceSweep,
		Breaks: "with access policies whoever may write the vault can give himself its keys, and rights reach every key in it",
		Guidance: "Do not switch in a hurry: the switch makes every access policy void at once and takes every consumer offline that has " +
			"no role yet. First assign the roles that match the policies, wait for them to spread, then switch in a " +
			"maintenance window and judge the clusters again.",
	}, judgeVaultModel}
}

func judgeVaultModel(s *scene) finding {
	v, ok := s.vault()
	switch {
	case !ok:
		return s.cannotTell()
	case !v.RBAC:
		return broken(remedyNone, "the vault uses access policies (%d entries)", len(v.Policies))
	}
	return fine("the vault uses Azure RBAC")
}
