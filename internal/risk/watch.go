package risk

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/event"
	"cmkguard/internal/wiring"
)

func checkDiagnostics() spec {
	return spec{Check{
		ID: "CMK-040", Title: "The vault's audit log is kept",
		Family: FamilyWatch, Severity: High, SubjectKind: event.SubjectVault, Remedy: remedyLogs, Cadence: CadenceDaily,
		Breaks: "nobody can tell who deleted, disabled or used the key; deletions are then found by the sweep only",
		Guidance: "Create a diagnostic setting on the vault that sends AuditEvent (or the category group audit) to a workspace, an event " +
			"hub or a storage account, and keep it for a year.",
	}, judgeDiagnostics}
}

func judgeDiagnostics(s *scene) finding {
	if _, ok := s.key(); !ok {
		return s.cannotTell()
	}
	list, ok := around(s, "the vault's diagnostic settings", s.w.Posture.Diagnostics, func(l []wiring.DiagnosticSetting) string {
		return fmt.Sprintf("%d settings", len(l))
	})
	if !ok {
		return s.cannotTell()
	}
	sent := map[string]string{} // destinations in lower case, with the setting that sends there
	for _, d := range list {
		audits := slices.ContainsFunc(d.Logs, func(l string) bool { return containsFold([]string{"AuditEvent", "audit", "allLogs"}, l) })
		for _, to := range d.Destinations {
			if audits {
				sent[strings.ToLower(to)] = d.Name
			}
		}
	}
	if len(sent) == 0 {
		return broken(remedyLogs, "none of %d diagnostic settings sends the audit log anywhere", len(list))
	}
	for _, to := range s.lim.AuditTargets {
		if sent[strings.ToLower(to)] == "" {
			return broken(remedyLogs, "none of %d diagnostic settings sends the audit log to %s, which the policy names", len(list), lastSegment(to))
		}
	}
	first := slices.Min(slices.Collect(maps.Keys(sent)))
	return fine("diagnostic setting %s sends the audit log to %s", sent[first], lastSegment(first))
}

func checkLocks() spec {
	return spec{Check{
		ID: "CMK-041", Title: "A lock keeps the vault and the identity from being deleted",
		Family: FamilyWatch, Severity: Medium, SubjectKind: event.SubjectCluster, Remedy: remedyNone, Cadence: CadenceDaily,
		Breaks: "one wrong command can delete the vault or the identity; a new identity of the same name has no access",
		Guidance: "Put a CanNotDelete lock on the vault and on the identity, or on their resource group. A lock does not keep keys from " +
			"being deleted: that is what soft delete and purge protection are for.",
	}, judgeLocks}
}

func judgeLocks(s *scene) finding {
	if _, ok := s.key(); !ok {
		return s.cannotTell()
	}
	show := func(l []wiring.Lock) string { return fmt.Sprintf("%d locks", len(l)) }
	vault, ok := around(s, "the vault's locks", s.w.Posture.VaultLocks, show)
	if !ok {
		return s.cannotTell()
	}
	identity, ok := around(s, "the identity's locks", s.w.Posture.IdentityLocks, show)
	switch {
	case !ok:
		return s.cannotTell()
	case len(vault) == 0 && len(identity) == 0:
		return broken(remedyNone, "no lock protects the vault or the identity")
	case len(vault) == 0:
		return broken(remedyNone, "no lock protects the vault")
	case len(identity) == 0:
		return broken(remedyNone, "no lock protects the identity")
	}
	return fine("the vault is under a lock (%s), and so is the identity (%s)", vault[0].Level, identity[0].Level)
}

// The levels at which Microsoft's baseline alerts on a vault.
const (
	leastAvailability = 90
	mostSaturation    = 75
)

func checkVaultHealth() spec {
	return spec{Check{
		ID: "CMK-042", Title: "The vault answers and is not overloaded",
		Family: FamilyWatch, Severity: Medium, SubjectKind: event.SubjectVault, Remedy: remedyNone, Cadence: CadenceDaily,
		Breaks: "unwrap and wrap are throttled or fail with the rest; a node that starts just then comes up without its key",
		Guidance: "See which caller fills the vault (metric ServiceApiHit by activity). Move the loud one to another vault. If it is the " +
			"service's availability, follow Azure's service health; nothing needs to be changed.",
	}, judgeVaultHealth}
}

func judgeVaultHealth(s *scene) finding {
	if _, ok := s.key(); !ok {
		return s.cannotTell()
	}
	m, ok := around(s, "the vault's metrics", s.w.Posture.Metrics, func(m wiring.VaultMetrics) string {
		return fmt.Sprintf("availability %.1f%%, saturation %.1f%%", m.Availability, m.Saturation)
	})
	switch {
	case !ok:
		return s.cannotTell()
	case m.Availability < leastAvailability:
		return broken(remedyNone, "the vault's availability was %.1f%% in the last hour, below %d%%", m.Availability, leastAvailability)
	case m.Saturation >= mostSaturation:
		return broken(remedyNone, "the vault was filled to %.1f%% of its capacity in the last hour, %d%% or more", m.Saturation, mostSaturation)
	}
	return fine("availability %.1f%%, saturation %.1f%% in the last hour", m.Availability, m.Saturation)
}

func checkDefender() spec {
	return spec{Check{
		ID: "CMK-064", Title: "Defender for Key Vault is on",
		Family: FamilyWatch, Severity: Low, SubjectKind: event.SubjectVault, Remedy: remedyNone, Cadence: CadenceDaily,
		Breaks:   "nothing; unusual access to the vault is not reported",
		Guidance: "Turn Defender for Key Vault on for the vault's subscription (az security pricing create -n KeyVaults --tier Standard). It costs per vault.",
	}, judgeDefender}
}

func judgeDefender(s *scene) finding {
	if _, ok := s.key(); !ok {
		return s.cannotTell()
	}
	on, ok := around(s, "the plan of Defender for Key Vault", s.w.Posture.Defender, func(on bool) string { return fmt.Sprintf("on: %t", on) })
	switch {
	case !ok:
		return s.cannotTell()
	case !on:
		return broken(remedyNone, "Defender for Key Vault is off in the vault's subscription")
	}
	return fine("Defender for Key Vault is on")
}

func checkEvents() spec {
	return spec{Check{
		ID: "CMK-063", Title: "The vault's events reach us",
		Family: FamilyWatch, Severity: High, SubjectKind: event.SubjectVault, Remedy: remedyEvents, Cadence: CadenceDaily,
		Breaks: "near-expiry and new-version events of this vault are lost; changes are found by the sweep only. A recovered vault has lost its subscriptions",
		Guidance: "Create the Event Grid subscription of the vault again (infra holds it), to the keyvaultevents function or the events " +
			"queue, with the key events and VaultAccessPolicyChanged. Events of before are not sent again: sweep once.",
	}, judgeEvents}
}

const eventPrefix = "Microsoft.KeyVault."

func judgeEvents(s *scene) finding {
	if _, ok := s.key(); !ok {
		return s.cannotTell()
	}
	list, ok := around(s, "the vault's event subscriptions", s.w.Posture.Events, func(l []wiring.EventSubscription) string {
		return fmt.Sprintf("%d subscriptions", len(l))
	})
	if !ok {
		return s.cannotTell()
	}
	why := "none of them leads to us"
	for _, e := range list {
		lacks := missingTypes(e.Types)
		switch {
		case !s.ours(e.To):
		case !strings.EqualFold(e.State, "Succeeded"):
			why = fmt.Sprintf("%s is in state %s", lastSegment(e.ID), e.State)
		case !e.Expires.IsZero() && !s.now.Before(e.Expires):
			why = fmt.Sprintf("%s expired at %s", lastSegment(e.ID), e.Expires.UTC().Format(time.RFC3339))
		case len(lacks) > 0:
			why = fmt.Sprintf("%s leaves out %s", lastSegment(e.ID), strings.Join(lacks, ", "))
		default:
			return fine("event subscription %s sends the vault's key events to %s", lastSegment(e.ID), lastSegment(e.To))
		}
	}
	return broken(remedyEvents, "no working event subscription: %d found, %s", len(list), why)
}

func (s *scene) ours(to string) bool {
	return to != "" && (len(s.lim.EventTargets) == 0 ||
		slices.ContainsFunc(s.lim.EventTargets, func(t string) bool { return strings.Contains(strings.ToLower(to), strings.ToLower(t)) }))
}

// missingTypes returns those of the events that this product works from that a
// subscription leaves out; an empty list of types is all of them.
func missingTypes(types []string) []string {
	if len(types) == 0 {
		return nil
	}
	var out []string
	for _, want := range []string{"KeyNewVersionCreated", "KeyNearExpiry", "KeyExpired", "VaultAccessPolicyChanged"} {
		if !containsFold(types, eventPrefix+want) {
			out = append(out, want)
		}
	}
	return out
}
