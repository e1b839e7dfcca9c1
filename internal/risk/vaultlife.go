package risk

import (
	"fmt"
	"slices"
	"strings"

	"cmkguard/internal/event"
	"cmkguard/internal/wiring"
)

func checkDedicated() spec {
	return spec{Check{
		ID: "CMK-035", Title: "The vault is for the keys of Redis clusters only",
		Family: FamilyVault, Severity: Medium, SubjectKind: event.SubjectVault, Remedy: remedyNone, Cadence: CadenceDaily,
		Breaks: "others' rights, throttling limits and mistakes reach the key; and its rights reach their secrets",
		Guidance: "Keep customer-managed keys in a vault of their own. Move the other keys, secrets and certificates that are named to " +
			"another vault; the cluster's key stays where it is.",
	}, judgeDedicated}
}

func judgeDedicated(s *scene) finding {
	if _, ok := s.key(); !ok {
		return s.cannotTell()
	}
	c, ok := around(s, "what the vault holds", s.w.Posture.Contents, func(c wiring.Contents) string {
		return fmt.Sprintf("%d keys (%d of Redis clusters), %d secrets and certificates", len(c.Keys), len(c.ByRedis), len(c.Secrets))
	})
	if !ok {
		return s.cannotTell()
	}
	var foreign []string
	for _, name := range c.Keys {
		if !containsFold(c.ByRedis, name) {
			foreign = append(foreign, "key "+name)
		}
	}
	for _, name := range c.Secrets {
		foreign = append(foreign, "secret "+name)
	}
	if len(foreign) == 0 {
		return fine("the vault holds only keys of Redis clusters (%d)", len(c.Keys))
	}
	slices.Sort(foreign)
	shown := foreign[:min(len(foreign), 10)]
	return broken(remedyNone, "the vault also holds %d other things: %s", len(foreign), strings.Join(shown, ", "))
}

func checkVaultLive() spec {
	return spec{Check{
		ID: "CMK-036", Title: "The vault is not deleted",
		Family: FamilyVault, Severity: Critical, SubjectKind: event.SubjectCluster, Remedy: remedyVault,
		Breaks: "every key in the vault is out of reach: the cluster can go offline within about an hour, and after the purge its data is lost",
		Guidance: "Find out who deleted the vault and whether it was on purpose. If not, recover it before its purge date " +
			"(az keyvault recover). A recovered vault comes back without its role assignments and without its event " +
			"subscriptions: make both again, then check CMK-050 and CMK-063.",
	}, judgeVaultLive}
}

func judgeVaultLive(s *scene) finding {
	k, ok := s.key()
	if !ok {
		return s.cannotTell()
	}
	if v, ok := s.vault(); ok {
		return fine("the vault %s is there", v.Host)
	}
	why := s.cannotTell()
	vaultGone := gone(s, s.w.Vault)
	d, isDeleted := around(s, "the list of deleted vaults", s.w.Posture.DeletedVault, func(d wiring.DeletedVault) string {
		return "deleted " + day(d.DeletedAt) + ", purged " + day(d.PurgeAt)
	})
	switch {
	case isDeleted:
		f := broken(remedyVault, "the vault %s was deleted on %s and can be recovered", k.Host, day(d.DeletedAt))
		if d.DeletedAt.IsZero() {
			f.why = fmt.Sprintf("the vault %s is deleted and can be recovered", k.Host)
		}
		if !d.PurgeAt.IsZero() {
			f.by = d.PurgeAt
			f.why += " until " + day(d.PurgeAt)
		}
		f.reasons = []string{"critical: no key of the vault can be used"}
		return f
	case vaultGone && goneAround(s, s.w.Posture.DeletedVault):
		return broken(remedyNone, "the vault of %s is not there and not among the deleted ones: purged, or of another subscription", k.ID())
	case vaultGone:
		return broken(remedyNone, "the vault of %s is not there; whether it can be recovered is unknown: %s", k.ID(), s.missing[len(s.missing)-1])
	}
	return why
}
