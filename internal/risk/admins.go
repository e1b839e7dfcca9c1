package risk

import (
	"strings"

	"cmkguard/internal/event"
)

const cacheWrite = "Microsoft.Cache/redisEnterprise/write"

func checkBackupRights() spec {
	return spec{Check{
		ID: "CMK-027", Title: "Only break-glass principals may back up or restore the key",
		Family: FamilyAccess, Severity: Medium, SubjectKind: event.SubjectKey, Remedy: remedyNone, Cadence: CadenceDaily,
		Breaks: "nothing by itself; a backup is a copy of the key that no later revocation reaches, restorable in another vault of the geography",
		Guidance: "Give the principals that are named a role without backup and restore (Key Vault Crypto Service Encryption User to " +
			"use the key, a custom role to manage it) and take the wide one away by hand. Name your break-glass principals in the limits.",
	}, judgeBackupRights}
}

func judgeBackupRights(s *scene) finding {
	h, ok := s.holdersOf(powerToCopy())
	switch {
	case !ok:
		return s.cannotTell()
	case len(h) > 0:
		return broken(remedyNone, "%d principals may back up or restore the key: %s", len(h), h)
	}
	return fine("nobody but break-glass may back up or restore the key")
}

func checkKeyAdmins() spec {
	return spec{Check{
		ID: "CMK-055", Title: "Few principals can delete, purge or disable the key",
		Family: FamilyAccess, Severity: Medium, SubjectKind: event.SubjectKey, Remedy: remedyNone, Cadence: CadenceDaily,
		Breaks: "the more can take the key away, by mistake or on purpose, the likelier it is that one does",
		Guidance: "Go through the principals that are named. In a vault with access policies every Contributor counts: he can give " +
			"himself the permissions. Keep two or three, put the rest on eligible (not active) assignments.",
	}, judgeKeyAdmins}
}

func judgeKeyAdmins(s *scene) finding {
	h, ok := s.holdersOf(powerToDestroy())
	switch {
	case !ok:
		return s.cannotTell()
	case len(h) > s.lim.MaxKeyAdmins:
		return broken(remedyNone, "%d principals can take the key away, more than %d: %s", len(h), s.lim.MaxKeyAdmins, h)
	}
	return fine("%d principals can take the key away", len(h))
}

func checkSeparation() spec {
	return spec{Check{
		ID: "CMK-056", Title: "Who can take the key away cannot change the cluster",
		Family: FamilyAccess, Severity: Low, SubjectKind: event.SubjectCluster, Remedy: remedyNone, Cadence: CadenceDaily,
		Breaks: "nothing by itself; one person alone can point the cluster elsewhere and destroy the key behind it",
		Guidance: "Separate the duties: those who manage the key should not manage the cluster. Move one of the two roles to somebody " +
			"else, or make it eligible with approval.",
	}, judgeSeparation}
}

func judgeSeparation(s *scene) finding {
	c, ok := s.cluster()
	if !ok {
		return s.cannotTell()
	}
	admins, ok := s.holdersOf(powerToDestroy())
	if !ok {
		return s.cannotTell()
	}
	list, roles, ok := s.everybody()
	if !ok {
		return s.cannotTell()
	}
	both := holders{}
	for _, as := range list {
		role, _ := roleOf(roles, as.RoleID)
		if why := admins[strings.ToLower(as.PrincipalID)]; why != "" && covers(as.Scope, c.ID.Key()) && allowsControl(role.Permissions, cacheWrite) {
			both[strings.ToLower(as.PrincipalID)] = why + " and role " + role.Name
		}
	}
	if len(both) > 0 {
		return broken(remedyNone, "%d principals can do both: %s", len(both), both)
	}
	return fine("of %d principals that can take the key away none can change the cluster", len(admins))
}
