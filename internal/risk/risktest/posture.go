package risktest

import (
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/wiring"
)

// Complete returns Healthy's wiring with the facts around it read as well: every
// check of the catalogue answers OK.
func Complete(now time.Time) wiring.Wiring {
	w := Healthy(now)
	locks := []wiring.Lock{{ID: Group + "/providers/Microsoft.Authorization/locks/keep", Scope: azureid.MustResource(VaultID).Scopes()[0], Level: "CanNotDelete"}}
	w.Posture = wiring.Posture{
		Sharers: wiring.Read(1, "graph clusters", now),
		IdentityUses: wiring.Read([]wiring.IdentityUse{{ID: azureid.MustResource(ClusterID), Key: Key(Version)}},
			"graph resources by identity", now),
		DeletedVault: wiring.NotThere[wiring.DeletedVault]("arm GET deletedVaults", now, "none of this name"),
		Databases:    wiring.Read([]wiring.Database{{Name: "default", RDB: true}}, "arm GET databases", now),
		Contents:     wiring.Read(wiring.Contents{Keys: []string{KeyName}, ByRedis: []string{KeyName}}, "arm GET vault contents", now),
		Diagnostics: wiring.Read([]wiring.DiagnosticSetting{{Name: "audit", Logs: []string{"AuditEvent"}, Destinations: []string{Group + "/x/workspaces/log"}}},
			"arm GET diagnosticSettings", now),
		VaultLocks:    wiring.Read(locks, "arm GET locks", now),
		IdentityLocks: wiring.Read(locks, "arm GET locks", now),
		Metrics:       wiring.Read(wiring.VaultMetrics{Availability: 100, Saturation: 3}, "arm GET metrics", now),
		Holders:       wiring.Read([]wiring.RoleAssignment{Assignment(now)}, "graph role assignments", now),
		HolderRoles:   wiring.Read(map[string]wiring.RoleDefinition{RoleID: Role()}, "graph role definitions", now),
		Events: wiring.Read([]wiring.EventSubscription{{ID: VaultID + "/eventSubscriptions/cmkguard", State: "Succeeded", Kind: "AzureFunction",
			To: Group + "/providers/Microsoft.Web/sites/cmkguard/functions/keyvaultevents"}}, "arm GET eventSubscriptions", now),
		Defender: wiring.Read(true, "arm GET pricings", now),
		Alerting: wiring.Read(wiring.Alerting{Own: []string{"rotation-failure", "pending-expiry", "access-change"}}, "own channels", now),
		Policy:   wiring.Read(wiring.PolicyState{Compliance: "Compliant", Assignment: "/a/cmk"}, "graph policy states", now),
		Use: wiring.Read(wiring.KeyUse{Version: Version, Last: now.Add(-time.Hour), Count: 4, LongestGap: 24 * time.Hour},
			"audit log KeyUnwrap", now),
		Backups: wiring.Read([]wiring.KeyEvent{}, "audit log KeyBackup", now),
		Changes: wiring.Read([]wiring.Change{}, "resource events", now),
	}
	return w
}
