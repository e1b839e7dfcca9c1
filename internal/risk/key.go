package risk

import (
	"fmt"
	"slices"
	"strings"

	"cmkguard/internal/azureid"
	"cmkguard/internal/event"
)

func checkKeyExists() spec {
	return spec{Check{
		ID: "CMK-010", Title: "The key exists",
		Family: FamilyKey, Severity: Critical, SubjectKind: event.SubjectKey, Remedy: remedyRecoverKey,
		Breaks: "the cluster cannot unwrap its data key: it can go offline within about an hour, and after the purge persisted data is lost for good",
		Guidance: "Find out who deleted the key and whether it was on purpose (Key Vault audit log, KeyDelete). If not, recover " +
			"it (az keyvault key recover) before the purge date and check that the cluster can unwrap. If it cannot be " +
			"recovered, restore it from a backup. Never purge it.",
	}, judgeKeyExists}
}

func judgeKeyExists(s *scene) finding {
	k, ok := s.key()
	if !ok {
		return s.cannotTell()
	}
	if gone(s, s.w.Versions) {
		return s.lostKey()
	}
	all, ok := s.versions()
	if !ok {
		return s.keyWithoutList(k)
	}
	_, isDeleted := s.deleted()
	switch {
	case len(all) == 0:
		return s.lostKey()
	case isDeleted:
		return unknown("the key is listed both as live and as deleted: it was deleted or recovered between the two reads")
	}
	if _, ok := s.w.Version(k); !ok && k.Version != "" {
		return broken(remedyNone, "the key %s exists but not version %s: single versions cannot be deleted, so the key was made again "+
			"or restored from an older backup", k.ID(), k.Version)
	}
	return fine("the key %s exists", k.ID())
}

// keyWithoutList judges a key whose versions could not be listed by what else
// was read. Each of the other reads can prove that it is lost; none is asked to
// prove that it is there.
func (s *scene) keyWithoutList(k azureid.Key) finding {
	why := s.cannotTell()
	if _, isDeleted := s.deleted(); isDeleted || gone(s, s.w.InUse) {
		return s.lostKey()
	}
	if gone(s, s.w.Vault) {
		return broken(remedyNone, "the vault of %s is not there (%s)", k.ID(), because(s.w.Vault.Call, s.w.Vault.Why))
	}
	return why
}

// lostKey is the finding for a key that its vault says is not there: whether it
// can be recovered, and until when.
func (s *scene) lostKey() finding {
	id := s.w.Key().ID()
	if gone(s, s.w.Deleted) {
		f := broken(remedyNone, "the key %s does not exist and is not among the deleted keys: purged, or never there", id)
		f.reasons = []string{"critical: nothing is left in the vault to recover"}
		return f
	}
	s.missing = nil
	d, ok := s.deleted()
	if !ok {
		f := broken(remedyNone, "the key %s was not found; whether it can be recovered is unknown: %s", id, strings.Join(s.missing, "; "))
		f.reasons = []string{"critical: the key in use is not there"}
		return f
	}
	f := broken(remedyRecoverKey, "the key %s was deleted on %s and can be recovered", id, day(d.DeletedAt))
	f.reasons = []string{"critical: the key in use is deleted"}
	switch {
	case d.PurgeAt.IsZero():
		f.why += "; the vault names no purge date"
	case d.PurgeAt.After(s.now):
		f.by = d.PurgeAt
		f.why += " until " + day(d.PurgeAt)
	default:
		f.by = d.PurgeAt
		f.why += "; its purge date, " + day(d.PurgeAt) + ", has passed: it can be gone at any moment"
	}
	return f
}

func checkKeyType() spec {
	return spec{Check{
		ID: "CMK-014", Title: "The key is RSA",
		Family: FamilyKey, Severity: High, SubjectKind: event.SubjectKey, Remedy: remedyNone,
		Breaks: "the service supports RSA keys only; the next operation on the cluster can fail",
		Guidance: "A key's type cannot be changed. Create an RSA or RSA-HSM key, grant the identity access to it, and change the " +
			"cluster's encryption settings to it in a maintenance window.",
	}, judgeKeyType}
}

func judgeKeyType(s *scene) finding {
	b, ok := s.bundle()
	switch {
	case !ok:
		return s.cannotTell()
	case b.Type == "":
		return unknown("the key's type was not given")
	case strings.EqualFold(b.Type, "RSA") || strings.EqualFold(b.Type, "RSA-HSM"):
		return fine("the key is %s", b.Type)
	}
	return broken(remedyNone, "the key is %s; only RSA and RSA-HSM are supported", b.Type)
}

func checkKeyOps() spec {
	return spec{Check{
		ID: "CMK-016", Title: "The key allows wrapKey and unwrapKey, and nothing else",
		Family: FamilyKey, Severity: Critical, SubjectKind: event.SubjectKey, Remedy: remedyKeyOps,
		Breaks: "Key Vault refuses the operation (KeyOperationForbidden): the cluster cannot unwrap its data key",
		Guidance: "Set the key's permitted operations to wrapKey and unwrapKey (az keyvault key set-attributes --ops). If they " +
			"were stripped on purpose, as a way to revoke the key, ask its owner first. Operations beyond the two are not " +
			"needed; take them off when nothing else uses the key.",
	}, judgeKeyOps}
}

func judgeKeyOps(s *scene) finding {
	b, ok := s.bundle()
	if !ok {
		return s.cannotTell()
	}
	wanted := []string{"wrapKey", "unwrapKey"}
	var lacks, extra []string
	for _, op := range wanted {
		if !containsFold(b.Ops, op) {
			lacks = append(lacks, op)
		}
	}
	for _, op := range b.Ops {
		if !containsFold(wanted, op) {
			extra = append(extra, op)
		}
	}
	switch {
	case len(lacks) > 0:
		f := broken(remedyKeyOps, "the key does not permit %s", strings.Join(lacks, " and "))
		f.reasons = []string{"critical: the cluster needs both operations"}
		return f
	case len(extra) > 0:
		f := broken(remedyNone, "the key also permits %s", strings.Join(extra, ", "))
		f.severity = Low
		f.breaks = "nothing by itself; the key can be used for more than encryption at rest"
		f.reasons = []string{fmt.Sprintf("low: %d operations more than encryption at rest needs", len(extra))}
		return f
	}
	return fine("the key permits wrapKey and unwrapKey only")
}

func containsFold(list []string, want string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, want) })
}
