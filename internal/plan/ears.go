package plan

import (
	"strings"

	"cmkguard/internal/wiring"
)

// Deaf reports whether the remedy gives us back what tells us of a vault. It touches
// no key and no cluster.
func Deaf(remedy string) bool { return remedy == RestoreDiagnostics }

func diagnosticsStep(f Facts, w wiring.Wiring) (Step, string) {
	d := f.Declared.Diagnostics
	switch {
	case !d.Set():
		return Step{}, "the policy does not say where the audit log is to be sent: set diagnostics"
	case !w.Vault.OK():
		return Step{}, "the vault was not read: " + w.Vault.Why
	}
	id := w.Vault.Value.ID.String()
	args := map[string]string{"name": d.Name}
	for name, v := range map[string]string{"workspace": d.Workspace, "eventHubRule": d.HubRule, "eventHub": d.Hub, "storage": d.Storage} {
		if v != "" {
			args[name] = v
		}
	}
	call := id + "/providers/Microsoft.Insights/diagnosticSettings/" + d.Name
	return Step{
		Target: id, From: "not sent", To: "AuditEvent to " + strings.Join(d.Destinations(), ", "), Args: args,
		Call:     "PUT " + call + " (what it holds, and AuditEvent)",
		ReadBack: "GET " + call + " shows AuditEvent enabled and each destination",
		Undo:     Irreversible + ": removing a log is its owner's",
	}, ""
}
