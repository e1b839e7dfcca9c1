package risk

import (
	"strings"

	"cmkguard/internal/event"
	"cmkguard/internal/wiring"
)

func checkNetworkPath() spec {
	return spec{Check{
		ID: "CMK-038", Title: "The service can reach the vault through its firewall",
		Family: FamilyVault, Severity: Critical, SubjectKind: event.SubjectVault, Remedy: remedyBypass,
		Breaks: "the service's calls are refused (ForbiddenByFirewall): the cluster cannot unwrap its data key",
		Guidance: "Let trusted Microsoft services through (az keyvault update --bypass AzureServices). If the firewall was closed on " +
			"purpose, as a way to revoke the key, ask the vault's owner first. A network security perimeter keeps even trusted " +
			"services out: take the vault out of it, or add the rules that it needs.",
	}, judgeNetworkPath}
}

// judgeNetworkPath: bypass defaults to AzureServices where the vault has no
// network rules (vaults resource reference); a network security perimeter
// overrides it, plain "Disabled" does not.
func judgeNetworkPath(s *scene) finding {
	v, ok := s.vault()
	trusted := v.Bypass == "" || strings.Contains(strings.ToLower(v.Bypass), "azureservices")
	switch {
	case !ok:
		return s.cannotTell()
	case strings.EqualFold(v.PublicNetworkAccess, "SecuredByPerimeter"):
		return broken(remedyNone, "the vault is inside a network security perimeter, which keeps trusted services out too")
	case isOpen(v):
		return fine("the vault's firewall is open to all networks (CMK-039)")
	case !trusted:
		return broken(remedyBypass, "the firewall is closed (public access %q, default action %q) and trusted services may not pass (bypass %q)",
			v.PublicNetworkAccess, v.DefaultAction, v.Bypass)
	}
	return fine("trusted services may pass the vault's firewall")
}

// isOpen reports whether any network reaches the vault; what is not set is open.
func isOpen(v wiring.Vault) bool {
	return (v.PublicNetworkAccess == "" || strings.EqualFold(v.PublicNetworkAccess, "Enabled")) && !strings.EqualFold(v.DefaultAction, "Deny")
}

func checkFirewall() spec {
	return spec{Check{
		ID: "CMK-039", Title: "The vault is not open to every network",
		Family: FamilyVault, Severity: Medium, SubjectKind: event.SubjectVault, Remedy: remedyNone, Cadence: CadenceSweep,
		Breaks: "nothing by itself; a stolen credential can use the key from anywhere",
		Guidance: "First make sure that trusted Microsoft services may pass (bypass AzureServices), then set the default action to Deny " +
			"or turn public network access off, and check the clusters again at once.",
	}, judgeFirewall}
}

func judgeFirewall(s *scene) finding {
	v, ok := s.vault()
	switch {
	case !ok:
		return s.cannotTell()
	case isOpen(v):
		return broken(remedyNone, "the vault can be reached from every network (public access %q, default action %q)", v.PublicNetworkAccess, v.DefaultAction)
	}
	return fine("the vault's firewall is closed (public access %q, default action %q)", v.PublicNetworkAccess, v.DefaultAction)
}
