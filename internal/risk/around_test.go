package risk_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/risk"
	"cmkguard/internal/risk/risktest"
	"cmkguard/internal/wiring"
)

func aroundTheCluster() []around {
	const ok, broken, unknown = risk.OK, risk.Broken, risk.Unknown
	noKey := func(w *wiring.Wiring) { w.Cluster.Value.CMK = nil }
	cluster := refused(func(w *wiring.Wiring) *wiring.Fact[wiring.Cluster] { return &w.Cluster })
	sku := func(s string) func(*wiring.Wiring) { return func(w *wiring.Wiring) { w.Cluster.Value.SKU = s } }
	uses := func(id string, k azureid.Key) func(*wiring.Wiring) {
		return func(w *wiring.Wiring) {
			w.Posture.IdentityUses.Value = append(w.Posture.IdentityUses.Value, wiring.IdentityUse{ID: azureid.MustResource(id), Key: k})
		}
	}
	return []around{
		{"CMK-001", both(noKey, tag("dataclassification", "Secret")), broken, risk.High, "", "tagged dataclassification=Secret"},
		{"CMK-001", both(noKey, tag("x", "y")), broken, risk.Low, "", "only a Microsoft-managed key"},
		{"CMK-001", both(noKey, tag("env", "prod")), broken, risk.Medium, "", "only a Microsoft-managed key"},
		{"CMK-001", cluster, unknown, "", "", "403"},
		{"CMK-002", func(w *wiring.Wiring) { *w = classic("restricted") }, broken, risk.High, "", "Premium_P1"},
		{"CMK-002", func(w *wiring.Wiring) { *w = classic("public") }, broken, risk.Low, "", "does not support"},
		{"CMK-002", cluster, unknown, "", "", "403"},
		{"CMK-003", sku("EnterpriseFlash_F300"), broken, risk.Medium, "", "2027-03-31"},
		{"CMK-003", sku(""), unknown, "", "", "not given"},
		{"CMK-008", uses(risktest.ClusterID+"-2", risktest.Key("")), ok, "", "", "of this key only (2)"},
		{"CMK-008", uses(risktest.ClusterID+"-2", azureid.Key{Host: risktest.VaultHost, Name: "other"}), broken, risk.Low, "", "orders-cache-2"},
		{"CMK-008", uses(risktest.Group+"/providers/Microsoft.Compute/virtualMachines/vm1", azureid.Key{}), broken, risk.Medium, "", "vm1"},
		{"CMK-008", refused(func(w *wiring.Wiring) *wiring.Fact[[]wiring.IdentityUse] { return &w.Posture.IdentityUses }), unknown, "", "", "403"},
		{"CMK-060", func(w *wiring.Wiring) { w.Posture.Policy.Value.Compliance = "NonCompliant" }, broken, risk.Medium, "", "NonCompliant"},
		{"CMK-060", func(w *wiring.Wiring) {
			w.Posture.Policy = wiring.NotThere[wiring.PolicyState]("graph", clock(), "no row")
		}, broken, risk.Medium, "", "not assigned"},
		{"CMK-060", func(w *wiring.Wiring) { w.Posture.Policy.Value.Compliance = "Unknown" }, unknown, "", "", "Unknown"},
		{"CMK-061", func(w *wiring.Wiring) { w.Cluster.Value.Tags = nil }, broken, risk.Low, "", "owner on the cluster, costCentre on the cluster"},
		{"CMK-061", func(w *wiring.Wiring) { w.Versions.Value[1].Tags = map[string]string{"Owner": " "} }, broken, risk.Low, "", "owner on the key, costCentre on the key"},
		{"CMK-061", refused(func(w *wiring.Wiring) *wiring.Fact[wiring.Vault] { return &w.Vault }), unknown, "", "", "403"},
		{"CMK-065", geo(func(*wiring.Peer) {}), ok, "", "", "1 other members of group orders"},
		{"CMK-065", geo(func(p *wiring.Peer) { p.Cluster.Value.CMK = nil }), broken, risk.High, "", "has a customer-managed key: false"},
		{"CMK-065", geo(func(p *wiring.Peer) { p.VaultLocation.Value = "westeurope" }), broken, risk.High, "", "its vault in westeurope"},
		{"CMK-065", geo(func(p *wiring.Peer) { p.Cluster.Value.CMK.Key = risktest.Key("aa") }), broken, risk.High, "", "the same key"},
		{"CMK-065", geo(func(p *wiring.Peer) { p.Cluster = wiring.Failed[wiring.Cluster]("arm GET north", clock(), "403") }), unknown, "", "", "arm GET north"},
		{"CMK-065", geo(func(p *wiring.Peer) { p.VaultLocation = wiring.Fact[string]{} }), unknown, "", "", "vault of"},
		{"CMK-066", sku("FlashOptimized_A250"), broken, risk.Info, "", "NVMe"},
		{"CMK-066", func(w *wiring.Wiring) { w.Posture.Databases.Value[0].RDB = false }, broken, risk.Info, "", "no persistence"},
		{"CMK-066", func(w *wiring.Wiring) { w.Posture.Databases.At = clock().Add(-later) }, unknown, "", "", "too old"},
	}
}

func aroundTheKey() []around {
	const ok, broken, unknown = risk.OK, risk.Broken, risk.Unknown
	bundle := func(f func(*wiring.KeyBundle)) func(*wiring.Wiring) {
		return func(w *wiring.Wiring) { f(&w.InUse.Value) }
	}
	noBundle := refused(func(w *wiring.Wiring) *wiring.Fact[wiring.KeyBundle] { return &w.InUse })
	noVersions := refused(func(w *wiring.Wiring) *wiring.Fact[[]wiring.KeyVersion] { return &w.Versions })
	noPolicy := refused(func(w *wiring.Wiring) *wiring.Fact[wiring.RotationPolicy] { return &w.Rotation })
	old := inUse(func(v *wiring.KeyVersion) { v.Created = clock().AddDate(-3, 0, 0) })
	return []around{
		{"CMK-029", bundle(func(b *wiring.KeyBundle) { b.Exportable = true }), broken, risk.High, "", "exportable"},
		{"CMK-029", refused(func(w *wiring.Wiring) *wiring.Fact[wiring.KeyBundle] { return &w.InUse }), unknown, "", "", "403"},
		{"CMK-015", bundle(func(b *wiring.KeyBundle) { b.Bits = 1024 }), broken, risk.Medium, "", "1024 bits"},
		{"CMK-015", bundle(func(b *wiring.KeyBundle) { b.Bits = 0 }), unknown, "", "", "not given"},
		{"CMK-017", both(bundle(func(b *wiring.KeyBundle) { b.Type = "RSA" }), tag("dataClassification", "secret")), broken, risk.Medium, "", "RSA"},
		{"CMK-017", bundle(func(b *wiring.KeyBundle) { b.Type = "RSA" }), ok, "", "", "no tag marks"},
		{"CMK-017", noBundle, unknown, "", "", "403"},
		{"CMK-019", both(old, func(w *wiring.Wiring) { w.Versions.Value = w.Versions.Value[1:] }), broken, risk.Medium, "rotate", "days old, more than 731 days"},
		{"CMK-019", old, broken, risk.Medium, "rewire", "days old"},
		{"CMK-019", inUse(expires(900 * dayLong)), broken, risk.Medium, "rotate", "valid for 930 days"},
		{"CMK-019", noVersions, unknown, "", "", "403"},
		{"CMK-020", bundle(func(b *wiring.KeyBundle) { b.Managed = true }), broken, risk.Medium, "", "certificate"},
		{"CMK-020", noBundle, unknown, "", "", "403"},
		{"CMK-022", rotation("P2Y", "P90D", "", ""), broken, risk.Medium, "set-rotation-policy", "no Notify"},
		{"CMK-022", rotation("P27D", "P10D", "", "P5D"), broken, risk.Medium, "set-rotation-policy", "less than 28 days"},
		{"CMK-022", rotation("P90D", "P6D", "", "P5D"), broken, risk.Medium, "set-rotation-policy", "less than seven days after creation"},
		{"CMK-022", rotation("P90D", "P84D", "", "P5D"), broken, risk.Medium, "set-rotation-policy", "less than seven days before expiry"},
		{"CMK-022", rotation("P90D", "", "P6D", "P5D"), broken, risk.Medium, "set-rotation-policy", "less than seven days before expiry"},
		{"CMK-022", rotation("P90D", "", "P84D", "P5D"), broken, risk.Medium, "set-rotation-policy", "less than seven days after creation"},
		{"CMK-022", rotation("", "P90D", "", "P5D"), broken, risk.Medium, "set-rotation-policy", "no expiry time"},
		{"CMK-022", rotation("soon", "90 days", "", "P5D"), broken, risk.Medium, "set-rotation-policy", "cannot be read"},
		{"CMK-022", rotation("P1Y", "", "P30D", "P30D"), ok, "", "", "sound"},
		{"CMK-022", noPolicy, unknown, "", "", "403"},
		{"CMK-023", rotation("P2Y", "P20D", "", "P5D"), broken, risk.Medium, "rotate", "10 days ago"},
		{"CMK-023", rotation("P2Y", "PT24H", "", "P5D"), broken, risk.High, "rotate", "29 days ago"},
		{"CMK-023", rotation("P2Y", "P1Y", "", "P5D"), ok, "", "", "the next is due on"},
		{"CMK-023", rotation("P2Y", "P23D", "", "P5D"), ok, "", "", "due on"},
		{"CMK-023", both(rotation("P2Y", "", "P30D", "P5D"), inUse(func(v *wiring.KeyVersion) { v.Expires = nil })), unknown, "", "", "does not have"},
		{"CMK-023", func(w *wiring.Wiring) { w.Rotation.Value.Actions = nil }, unknown, "", "", "no Rotate action"},
		{"CMK-026", func(w *wiring.Wiring) {
			w.Versions.Value = append(w.Versions.Value, slices.Repeat(w.Versions.Value[:1], 499)...)
		}, broken, risk.Low, "", "501 versions"},
		{"CMK-026", noVersions, unknown, "", "", "403"},
		{"CMK-028", func(w *wiring.Wiring) {
			w.Posture.Backups.Value = []wiring.KeyEvent{{Operation: "KeyBackup", Actor: "mallory", At: clock()}}
		}, broken, risk.High, "", "KeyBackup by mallory"},
		{"CMK-028", func(w *wiring.Wiring) { w.Posture.Backups = wiring.Fact[[]wiring.KeyEvent]{} }, unknown, "", "", "not read in this run"},
		{"CMK-057", func(w *wiring.Wiring) { w.Posture.Use.Value.Denied = clock() }, broken, risk.High, "", "was refused"},
		{"CMK-057", func(w *wiring.Wiring) { w.Posture.Use.Value.Last = clock().Add(-49 * time.Hour) }, broken, risk.Info, "", "no unwrap for 2 days"},
		{"CMK-057", func(w *wiring.Wiring) {
			w.Posture.Use.Value.Count, w.Posture.Use.Value.Last = 2, clock().AddDate(-1, 0, 0)
		}, ok, "", "", "unwrapped with"},
		{"CMK-057", func(w *wiring.Wiring) { w.Posture.Use.Value.Version = risktest.OldVersion }, unknown, "", "", "was not seen yet"},
		{"CMK-057", func(w *wiring.Wiring) { w.Posture.Use = wiring.NotThere[wiring.KeyUse]("log", clock(), "none") }, unknown, "", "", "no unwrap by the identity yet"},
		{"CMK-067", func(w *wiring.Wiring) {
			w.Posture.Changes.Value = []wiring.Change{{What: "tags", Actor: "us", Known: true}, {What: "network", Actor: "eve"}, {What: "key URL set back", Actor: "terraform", Downgrade: true}}
		}, broken, risk.High, "roll-back-downgrade", "key URL set back by terraform"},
		{"CMK-067", func(w *wiring.Wiring) { w.Posture.Changes.Value = []wiring.Change{{What: "network", Actor: "eve"}} }, broken, risk.Medium, "", "network by eve"},
		{"CMK-067", refused(func(w *wiring.Wiring) *wiring.Fact[[]wiring.Change] { return &w.Posture.Changes }), unknown, "", "", "403"},
	}
}

func aroundTheVault() []around {
	const ok, broken, unknown = risk.OK, risk.Broken, risk.Unknown
	noVault := refused(func(w *wiring.Wiring) *wiring.Fact[wiring.Vault] { return &w.Vault })
	deleted := func(w *wiring.Wiring) {
		w.Posture.DeletedVault = wiring.Read(wiring.DeletedVault{DeletedAt: clock(), PurgeAt: clock().AddDate(0, 0, 90)}, "arm GET deletedVaults", clock())
	}
	absent := func(w *wiring.Wiring) { w.Vault = wiring.NotThere[wiring.Vault]("arm GET vault", clock(), "404") }
	event := func(f func(*wiring.EventSubscription)) func(*wiring.Wiring) {
		return func(w *wiring.Wiring) { f(&w.Posture.Events.Value[0]) }
	}
	return []around{
		{"CMK-043", vaultOf(func(v *wiring.Vault) { v.Location = "East US" }), broken, risk.High, "", "the vault is in eastus; allowed are West Europe"},
		{"CMK-043", vaultOf(func(v *wiring.Vault) { v.Location = "" }), unknown, "", "", "a location is missing"},
		{"CMK-043", noVault, unknown, "", "", "403"},
		{"CMK-043", vaultOf(func(v *wiring.Vault) { v.Location = "WestEurope" }), ok, "", "", "allowed regions"},
		{"CMK-032", vaultOf(func(v *wiring.Vault) { v.RetentionDays = 7 }), broken, risk.Low, "", "7 days"},
		{"CMK-032", vaultOf(func(v *wiring.Vault) { v.RetentionDays = 0 }), unknown, "", "", "does not say"},
		{"CMK-034", vaultOf(func(v *wiring.Vault) { v.TenantID = "other" }), broken, risk.Critical, "", "tenant other"},
		{"CMK-034", vaultOf(func(v *wiring.Vault) { v.TenantID = "" }), unknown, "", "", "not known"},
		{"CMK-035", func(w *wiring.Wiring) { w.Posture.Contents.Value.Secrets = []string{"db"} }, broken, risk.Medium, "", "secret db"},
		{"CMK-035", func(w *wiring.Wiring) { w.Posture.Contents.Value.Keys = []string{"REDIS-KEK", "sql"} }, broken, risk.Medium, "", "1 other things: key sql"},
		{"CMK-035", func(w *wiring.Wiring) { w.Posture.Contents.At = clock().Add(-later) }, unknown, "", "", "too old"},
		{"CMK-036", both(noVault, deleted), broken, risk.Critical, "recover-vault", "can be recovered until"},
		{"CMK-036", both(absent, deleted), broken, risk.Critical, "recover-vault", "deleted on"},
		{"CMK-036", absent, broken, risk.Critical, "", "not among the deleted"},
		{"CMK-036", both(absent, refused(func(w *wiring.Wiring) *wiring.Fact[wiring.DeletedVault] { return &w.Posture.DeletedVault })), broken, risk.Critical, "", "recovered is unknown"},
		{"CMK-036", noVault, unknown, "", "", "403"},
		{"CMK-037", policies("get"), broken, risk.Medium, "", "access policies (2 entries)"},
		{"CMK-037", noVault, unknown, "", "", "403"},
		{"CMK-038", vaultOf(func(v *wiring.Vault) { v.Bypass = "None" }), broken, risk.Critical, "open-trusted-bypass", "may not pass"},
		{"CMK-038", vaultOf(func(v *wiring.Vault) { v.PublicNetworkAccess = "SecuredByPerimeter" }), broken, risk.Critical, "", "perimeter"},
		{"CMK-038", vaultOf(func(v *wiring.Vault) { v.Bypass, v.DefaultAction = "", "" }), ok, "", "", "may pass"},
		{"CMK-038", vaultOf(func(v *wiring.Vault) { v.Bypass, v.DefaultAction, v.PublicNetworkAccess = "None", "Allow", "Enabled" }), ok, "", "", "open to all"},
		{"CMK-038", noVault, unknown, "", "", "403"},
		{"CMK-039", vaultOf(func(v *wiring.Vault) { v.PublicNetworkAccess, v.DefaultAction = "", "" }), broken, risk.Medium, "", "every network"},
		{"CMK-039", vaultOf(func(v *wiring.Vault) { v.PublicNetworkAccess = "Enabled" }), ok, "", "", "closed"},
		{"CMK-039", noVault, unknown, "", "", "403"},
		{"CMK-040", func(w *wiring.Wiring) { w.Posture.Diagnostics.Value = nil }, broken, risk.High, "restore-diagnostics", "none of 0"},
		{"CMK-040", func(w *wiring.Wiring) { w.Posture.Diagnostics.Value[0].Logs = []string{"AllMetrics"} }, broken, risk.High, "restore-diagnostics", "none of 1"},
		{"CMK-040", func(w *wiring.Wiring) { w.Posture.Diagnostics.Value[0].Destinations = nil }, broken, risk.High, "restore-diagnostics", "none of 1"},
		{"CMK-040", func(w *wiring.Wiring) { w.Posture.Diagnostics.Value[0].Logs = []string{"allLogs"} }, ok, "", "", "sends the audit log"},
		{"CMK-040", refused(func(w *wiring.Wiring) *wiring.Fact[[]wiring.DiagnosticSetting] { return &w.Posture.Diagnostics }), unknown, "", "", "403"},
		{"CMK-041", func(w *wiring.Wiring) { w.Posture.VaultLocks.Value = nil }, broken, risk.Medium, "", "protects the vault"},
		{"CMK-041", func(w *wiring.Wiring) { w.Posture.IdentityLocks.Value = nil }, broken, risk.Medium, "", "protects the identity"},
		{"CMK-041", refused(func(w *wiring.Wiring) *wiring.Fact[[]wiring.Lock] { return &w.Posture.IdentityLocks }), unknown, "", "", "403"},
		{"CMK-042", func(w *wiring.Wiring) { w.Posture.Metrics.Value.Saturation = 75 }, broken, risk.Medium, "", "75.0%"},
		{"CMK-042", func(w *wiring.Wiring) { w.Posture.Metrics.Value.Availability = 89.9 }, broken, risk.Medium, "", "89.9%"},
		{"CMK-042", refused(func(w *wiring.Wiring) *wiring.Fact[wiring.VaultMetrics] { return &w.Posture.Metrics }), unknown, "", "", "403"},
		{"CMK-062", func(w *wiring.Wiring) { w.Posture.Alerting.Value.Own = []string{"pending-expiry", "rotation-failure"} }, broken, risk.Medium, "", "nobody is told of access-change"},
		{"CMK-062", func(w *wiring.Wiring) {
			w.Posture.Alerting.Value = wiring.Alerting{Own: []string{"pending-expiry", "rotation-failure"},
				Rules: []wiring.AlertRule{{Enabled: true, Operations: []string{"Microsoft.KeyVault/vaults/write"}}}}
		}, ok, "", "", "alerted on"},
		{"CMK-062", refused(func(w *wiring.Wiring) *wiring.Fact[wiring.Alerting] { return &w.Posture.Alerting }), unknown, "", "", "403"},
		{"CMK-063", func(w *wiring.Wiring) { w.Posture.Events.Value = nil }, broken, risk.High, "recreate-event-subscription", "0 found"},
		{"CMK-063", event(func(e *wiring.EventSubscription) { e.State = "Failed" }), broken, risk.High, "recreate-event-subscription", "state Failed"},
		{"CMK-063", event(func(e *wiring.EventSubscription) { e.Types = []string{"Microsoft.KeyVault.KeyNearExpiry"} }), broken, risk.High, "recreate-event-subscription", "KeyNewVersionCreated"},
		{"CMK-063", event(func(e *wiring.EventSubscription) { e.Expires = clock() }), broken, risk.High, "recreate-event-subscription", "cmkguard expired at "},
		{"CMK-063", event(func(e *wiring.EventSubscription) { e.Expires = clock().Add(time.Second) }), ok, "", "", "sends the vault's key events"},
		{"CMK-063", event(func(e *wiring.EventSubscription) { e.To = "" }), broken, risk.High, "recreate-event-subscription", "leads to us"},
		{"CMK-063", refused(func(w *wiring.Wiring) *wiring.Fact[[]wiring.EventSubscription] { return &w.Posture.Events }), unknown, "", "", "403"},
		{"CMK-064", func(w *wiring.Wiring) { w.Posture.Defender.Value = false }, broken, risk.Low, "", "off"},
		{"CMK-064", func(w *wiring.Wiring) { w.Posture.Defender = wiring.Fact[bool]{} }, unknown, "", "", "not read in this run"},
	}
}

func aroundTheAccess() []around {
	const ok, broken, unknown = risk.OK, risk.Broken, risk.Unknown
	const data = "Microsoft.KeyVault/vaults/"
	vaultScope := strings.ToLower(risktest.VaultID)
	admin := func(p string) func(*wiring.Wiring) {
		return holder(p, vaultScope, wiring.Permission{DataActions: []string{data + "keys/*"}, Actions: []string{"Microsoft.Cache/*"}})
	}
	destroy := wiring.Permission{DataActions: []string{data + "keys/purge/action"}}
	noRoles := refused(func(w *wiring.Wiring) *wiring.Fact[map[string]wiring.RoleDefinition] { return &w.Posture.HolderRoles })
	noAssignments := refused(func(w *wiring.Wiring) *wiring.Fact[[]wiring.RoleAssignment] { return &w.Assignments })
	group := as(func(a *wiring.RoleAssignment) { a.PrincipalID, a.PrincipalType = "g1", "Group" })
	in := func(groups ...string) func(*wiring.Wiring) {
		return func(w *wiring.Wiring) { w.Posture.Groups = wiring.Read(groups, "graph memberOf", clock()) }
	}
	cond := as(func(a *wiring.RoleAssignment) { a.Condition = "x" })
	plain := func(w *wiring.Wiring) {
		w.Assignments.Value = append(w.Assignments.Value, risktest.Assignment(clock()))
	}
	return []around{
		{"CMK-027", admin("p1"), broken, risk.Medium, "", "p1 (role wide)"},
		{"CMK-027", policies("BACKUP"), broken, risk.Medium, "", "p-admin (access policy: backup)"},
		{"CMK-027", policies("delete"), ok, "", "", "nobody"},
		{"CMK-027", noRoles, unknown, "", "", "403"},
		{"CMK-027", func(w *wiring.Wiring) { delete(w.Posture.HolderRoles.Value, risktest.RoleID) }, unknown, "", "", "was not read"},
		{"CMK-055", both(holder("p1", "/", destroy), holder("p2", vaultScope, destroy), holder("p3", risktest.Group, destroy)), ok, "", "", "3 principals"},
		{"CMK-055", both(admin("p1"), admin("p2"), admin("p3"), admin("P4")), broken, risk.Medium, "", "4 principals"},
		{"CMK-055", both(admin("p1"), admin("p2"), admin("p3"), holder("p4", "/subscriptions/other", destroy)), ok, "", "", "3 principals"},
		{"CMK-055", both(policies("all"), holder("p1", "/", wiring.Permission{Actions: []string{"*"}}), holder("p2", "/", wiring.Permission{Actions: []string{"*"}}),
			holder("p3", "/", wiring.Permission{Actions: []string{"microsoft.keyvault/*"}})), broken, risk.Medium, "", "4 principals"},
		{"CMK-055", noRoles, unknown, "", "", "403"},
		{"CMK-056", holder("p1", "/", wiring.Permission{DataActions: []string{"*"}, Actions: []string{"*"}}), broken, risk.Low, "", "p1 (role wide and role wide)"},
		{"CMK-056", admin("p1"), ok, "", "", "of 1 principals"}, // its scope is the vault, not the cluster
		{"CMK-056", noRoles, unknown, "", "", "403"},
		{"CMK-051", role(wiring.Permission{DataActions: []string{data + "keys/*"}}), broken, risk.Medium, "", "keys/backup/action"},
		{"CMK-051", noAssignments, unknown, "", "", "403"},
		{"CMK-051", func(w *wiring.Wiring) { delete(w.Definitions.Value, risktest.RoleID) }, unknown, "", "", "was not read"},
		{"CMK-052", deny(func(*wiring.DenyAssignment) {}), broken, risk.Critical, "", "denied by"},
		{"CMK-052", deny(func(d *wiring.DenyAssignment) { d.Principals = []wiring.Principal{{ID: "g1", Type: "Group"}} }), unknown, "", "", "may apply"},
		{"CMK-052", both(in(), deny(func(d *wiring.DenyAssignment) { d.Principals = []wiring.Principal{{ID: "g1", Type: "Group"}} })), ok, "", "", "no deny"},
		{"CMK-052", both(policies("get"), deny(func(*wiring.DenyAssignment) {})), ok, "", "", "no effect"},
		{"CMK-053", group, broken, risk.Low, "", "to g1"},
		{"CMK-053", both(group, plain), ok, "", "", "through a group alone"},
		{"CMK-053", both(group, in("g2")), ok, "", "", "through a group alone"},
		{"CMK-053", noAssignments, unknown, "", "", "403"},
		{"CMK-054", cond, broken, risk.Medium, "", "conditional"},
		{"CMK-054", both(cond, plain), ok, "", "", "condition alone"},
		{"CMK-054", noAssignments, unknown, "", "", "403"},
	}
}

// Where the policy names destinations, the audit log must reach each of them.
func TestTheAuditLogReachesWhatThePolicyNames(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		to   []string
		want risk.Answer
		why  string
	}{
		"anywhere":        {nil, risk.OK, "to log"},
		"there":           {[]string{strings.ToUpper(risktest.Group + "/x/workspaces/log")}, risk.OK, "to log"},
		"there and a hub": {[]string{risktest.Group + "/x/workspaces/log", "/x/rules/send"}, risk.Broken, "to send, which the policy names"},
	} {
		got := risk.Judge(risktest.Complete(clock()), risk.Limits{AuditTargets: c.to}, clock(), risk.Select("CMK-040"))
		if len(got) != 1 || got[0].Answer != c.want || !strings.Contains(got[0].Why, c.why) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
