package guard

import (
	"regexp"
	"strings"

	"cmkguard/internal/alert"
	"cmkguard/internal/event"
	"cmkguard/internal/risk"
	"cmkguard/internal/wiring"
)

// site is where a command acts: the real names of one cluster's chain.
type site struct {
	vault, key, version string // key's flags included: --vault-name kv-a --name kek
	vaultName, vaultID  string
	cluster, principal  string
	policies            bool // the vault goes by access policies, not by roles
}

func siteOf(w wiring.Wiring) site {
	k := w.Key()
	s := site{cluster: w.ID.String(), version: k.Version, vaultName: k.VaultName(), vaultID: w.Vault.Value.ID.String(), principal: w.Identity.Value.PrincipalID}
	s.policies = w.Vault.OK() && !w.Vault.Value.RBAC
	if s.principal == "" && w.Cluster.Value.CMK != nil {
		for _, i := range w.Cluster.Value.Identities {
			if i.ID.Equal(w.Cluster.Value.CMK.IdentityID) {
				s.principal = i.PrincipalID
			}
		}
	}
	if !k.IsZero() {
		flag := "--vault-name "
		if strings.Contains(k.Host, ".managedhsm.") {
			flag = "--hsm-name "
		}
		s.vault = flag + shell(k.VaultName())
		s.key = s.vault + " --name " + shell(k.Name)
	}
	return s
}

// commandsFor returns what can be pasted about a problem, a look first. What gives
// back something that may have been taken away on purpose says so: the kill switch
// is its owner's.
func commandsFor(v risk.Verdict, w wiring.Wiring) []alert.Command {
	s := siteOf(w)
	if v.Answer == risk.Unknown {
		return []alert.Command{{Does: "looks again", Line: "cmkguard check " + shell(s.cluster)}}
	}
	var out []alert.Command
	add := func(does, line string, needs ...string) {
		for _, n := range needs {
			if n == "" {
				return
			}
		}
		out = append(out, alert.Command{Does: does, Line: line})
	}
	s.look(v, add)
	s.mend(v, add)
	return out
}

// meant goes with what undoes a revocation.
const meant = ", if its owner did not mean it"

func (s site) look(v risk.Verdict, add func(does, line string, needs ...string)) {
	switch v.Check {
	case "CMK-004", "CMK-006":
		add("shows who changed the cluster lately", "az monitor activity-log list --offset 2d --resource-id "+shell(s.cluster)+" --output table")
	case "CMK-005", "CMK-024":
		add("shows the cluster's encryption settings", "az resource show --ids "+shell(s.cluster)+" --query properties.encryption")
	case "CMK-010":
		add("shows the deleted key and its purge date", "az keyvault key show-deleted "+s.key, s.key)
	case "CMK-011", "CMK-012", "CMK-013", "CMK-018", "CMK-067":
		add("lists the key's versions", "az keyvault key list-versions "+s.key+" --output table", s.key)
	case "CMK-021":
		add("shows the rotation policy", "az keyvault key rotation-policy show "+s.key, s.key)
	case "CMK-030", "CMK-031", "CMK-038":
		add("shows who changed the vault lately", "az monitor activity-log list --offset 2d --resource-id "+shell(s.vaultID)+" --output table", s.vaultID)
	case "CMK-036":
		add("shows the deleted vault and its purge date", "az keyvault show-deleted --name "+shell(s.vaultName), s.vaultName)
	case "CMK-050":
		if s.policies {
			add("shows the vault's access policies", "az keyvault show --name "+shell(s.vaultName)+" --query properties.accessPolicies", s.vaultName)
			return
		}
		add("lists the identity's roles on the vault", "az role assignment list --include-inherited --assignee "+shell(s.principal)+" --scope "+shell(s.vaultID)+" --output table", s.principal, s.vaultID)
	}
}

func (s site) mend(v risk.Verdict, add func(does, line string, needs ...string)) {
	version := " --version " + shell(s.version)
	switch {
	case v.Check == "CMK-010" && v.Remedy != "":
		add("gives the key back"+meant, "az keyvault key recover "+s.key, s.key)
	case v.Check == "CMK-011":
		add("enables the version again"+meant, "az keyvault key set-attributes "+s.key+version+" --enabled true", s.key, s.version)
	case v.Check == "CMK-016" && v.Remedy != "":
		add("permits both operations again"+meant, "az keyvault key set-attributes "+s.key+version+" --ops wrapKey unwrapKey", s.key, s.version)
	case v.Check == "CMK-030":
		add("turns soft delete on, for ever", "az keyvault update --name "+shell(s.vaultName)+" --enable-soft-delete true", s.vaultName)
	case v.Check == "CMK-031":
		add("turns purge protection on, for ever", "az keyvault update --name "+shell(s.vaultName)+" --enable-purge-protection true", s.vaultName)
	case v.Check == "CMK-036":
		add("gives the vault back"+meant, "az keyvault recover --name "+shell(s.vaultName), s.vaultName)
	case v.Check == "CMK-038":
		add("lets trusted services through again"+meant, "az keyvault update --name "+shell(s.vaultName)+" --bypass AzureServices", s.vaultName)
	case v.Check == "CMK-050" && s.policies:
		add("gives the access back"+meant, "az keyvault set-policy --name "+shell(s.vaultName)+" --key-permissions get wrapKey unwrapKey --object-id "+shell(s.principal), s.vaultName, s.principal)
	case v.Check == "CMK-050" && v.Remedy != "":
		add("gives the access back"+meant, "az role assignment create --role 'Key Vault Crypto Service Encryption User' --assignee-principal-type ServicePrincipal --assignee-object-id "+
			shell(s.principal)+" --scope "+shell(s.vaultID), s.principal, s.vaultID)
	}
}

// impactCommand shows what hangs on a signal's key.
func impactCommand(s event.Signal) []alert.Command {
	if s.Key.IsZero() {
		return nil
	}
	return []alert.Command{{Does: "shows what hangs on the key", Line: "cmkguard impact " + shell(s.Key.String())}}
}

// decide are the commands about a plan that waits for people.
func decide(planID string) []alert.Command {
	id := shell(planID)
	return []alert.Command{
		{Does: "shows call by call what would be done", Line: "cmkguard plan " + id},
		{Does: "releases it (see docs/remedies.md for who may)", Line: "cmkguard approve " + id + " --reason 'WHY'"},
		{Does: "refuses it", Line: "cmkguard deny " + id + " --reason 'WHY'"},
	}
}

// shell quotes a word for a POSIX shell where it must be; names come from outside.
func shell(s string) string {
	if regexp.MustCompile(`^[A-Za-z0-9._:/@%+=,~-]+$`).MatchString(s) && s[0] != '~' && s[0] != '-' {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
