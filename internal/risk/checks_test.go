package risk_test

import (
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/risk"
	"cmkguard/internal/risk/risktest"
	"cmkguard/internal/wiring"
)

const dayLong = 24 * time.Hour

// row is one mutation of the healthy wiring and what a check says about it.
type row struct {
	name     string
	check    string
	change   func(*wiring.Wiring)
	answer   risk.Answer
	severity risk.Severity // of broken
	remedy   string
	why      string // a part of Why
	by       time.Time
}

func run(t *testing.T, rows []row) {
	t.Helper()
	for _, r := range rows {
		t.Run(r.check+"/"+r.name, func(t *testing.T) {
			v := judge(t, r.check, r.change)
			if v.Answer != r.answer || !strings.Contains(v.Why, r.why) {
				t.Fatalf("got %s: %s\nwant %s: ...%s...", v.Answer, v.Why, r.answer, r.why)
			}
			if r.answer != risk.Broken {
				return
			}
			if v.Severity != r.severity || v.Remedy != r.remedy || len(v.Reasons) == 0 || v.Breaks == "" {
				t.Errorf("severity %s (%q), remedy %q, breaks %q; want %s, %q", v.Severity, v.Reasons, v.Remedy, v.Breaks, r.severity, r.remedy)
			}
			switch {
			case r.by.IsZero() != (v.By == nil):
				t.Errorf("by = %v, want %v", v.By, r.by)
			case v.By != nil && !v.By.Equal(r.by):
				t.Errorf("by = %v, want %v", v.By, r.by)
			}
		})
	}
}

func states(prov, res string) func(*wiring.Wiring) {
	return func(w *wiring.Wiring) {
		w.Cluster.Value.ProvisioningState, w.Cluster.Value.ResourceState = prov, res
	}
}

func cmk(f func(*wiring.CMK)) func(*wiring.Wiring) {
	return func(w *wiring.Wiring) { f(w.Cluster.Value.CMK) }
}

// inUse changes the list's entry of the version in use.
func inUse(f func(*wiring.KeyVersion)) func(*wiring.Wiring) {
	return func(w *wiring.Wiring) { f(&w.Versions.Value[1]) }
}

func expires(in time.Duration) func(*wiring.KeyVersion) {
	at := clock().Add(in)
	return func(v *wiring.KeyVersion) { v.Expires = &at }
}

// rotated adds a version newer than the one in use.
func rotated(ago time.Duration, kind string, more ...func(*wiring.Wiring)) func(*wiring.Wiring) {
	return func(w *wiring.Wiring) {
		w.Cluster.Value.Kind = kind
		w.Versions.Value = append(w.Versions.Value,
			risktest.KeyVersion(risktest.NextVersion, clock().Add(-ago), clock().AddDate(2, 0, 0)))
		for _, m := range more {
			m(w)
		}
	}
}

func TestClusterChecks(t *testing.T) {
	run(t, []row{
		{"update failed", "CMK-004", states("Failed", "UpdateFailed"), risk.Broken, risk.Critical, "", "UpdateFailed", time.Time{}},
		{"disabled, any case", "CMK-004", states("succeeded", "DISABLED"), risk.Broken, risk.Critical, "", "DISABLED", time.Time{}},
		{"scaling failed", "CMK-004", states("Failed", "ScalingFailed"), risk.Broken, risk.High, "", "did not succeed", time.Time{}},
		{"canceled but running", "CMK-004", states("Canceled", "Running"), risk.Broken, risk.High, "", "Canceled", time.Time{}},
		{"updating", "CMK-004", states("Updating", "Updating"), risk.OK, "", "", "in progress", time.Time{}},
		{"finished early", "CMK-004", states("Succeeded", "Updating"), risk.Unknown, "", "", "not running yet", time.Time{}},
		{"deleting", "CMK-004", states("Deleting", "Deleting"), risk.Unknown, "", "", "Deleting", time.Time{}},
		{"no states", "CMK-004", states("", ""), risk.Unknown, "", "", "do not say", time.Time{}},
		{"unparsable", "CMK-005", cmk(func(c *wiring.CMK) { c.Key = azureid.Key{}; c.KeyProblem = "host evil.example is not a vault" }),
			risk.Broken, risk.High, "", "evil.example", time.Time{}},
		{"empty", "CMK-005", cmk(func(c *wiring.CMK) { c.Key = azureid.Key{}; c.KeyURL = "" }), risk.Broken, risk.High, "", "without a usable", time.Time{}},
		{"versionless", "CMK-005", cmk(func(c *wiring.CMK) { c.Key = c.Key.Base() }), risk.Broken, risk.High, "rewire", "no version", time.Time{}},
		{"other region", "CMK-033", func(w *wiring.Wiring) { w.Vault.Value.Location = "North Europe" }, risk.Broken, risk.High, "", "northeurope", time.Time{}},
		{"no region", "CMK-033", func(w *wiring.Wiring) { w.Vault.Value.Location = "" }, risk.Unknown, "", "", "missing", time.Time{}},
		{"cluster unreadable", "CMK-005", func(w *wiring.Wiring) { w.Cluster = wiring.Failed[wiring.Cluster]("arm GET", clock(), "429") }, risk.Unknown, "", "", "429", time.Time{}},
	})
}

func TestIdentityChecks(t *testing.T) {
	other := azureid.MustResource(risktest.IdentityID + "-2")
	run(t, []row{
		{"system assigned", "CMK-006", cmk(func(c *wiring.CMK) { c.IdentityType = "systemAssignedIdentity" }), risk.Broken, risk.Critical, "", "only user-assigned", time.Time{}},
		{"detached", "CMK-006", func(w *wiring.Wiring) { w.Cluster.Value.Identities = nil }, risk.Broken, risk.Critical, "attach-identity", "not attached", time.Time{}},
		{"another attached", "CMK-006", func(w *wiring.Wiring) { w.Cluster.Value.Identities[0].ID = other }, risk.Broken, risk.Critical, "attach-identity", "not attached", time.Time{}},
		{"both kinds", "CMK-006", func(w *wiring.Wiring) { w.Cluster.Value.IdentityType = "SystemAssigned, userassigned" }, risk.OK, "", "", "attached", time.Time{}},
		{"type none", "CMK-006", func(w *wiring.Wiring) { w.Cluster.Value.IdentityType = "None" }, risk.Broken, risk.Critical, "attach-identity", "None", time.Time{}},
		{"gone", "CMK-007", func(w *wiring.Wiring) { w.Identity = wiring.NotThere[wiring.Identity]("arm GET id", clock(), "404") }, risk.Broken, risk.Critical, "", "does not exist", time.Time{}},
		{"made again", "CMK-007", func(w *wiring.Wiring) { w.Identity.Value.PrincipalID = risktest.ClientID }, risk.Broken, risk.Critical, "", "made again", time.Time{}},
		{"refused", "CMK-007", func(w *wiring.Wiring) { w.Identity = wiring.Failed[wiring.Identity]("arm GET id", clock(), "403") }, risk.Unknown, "", "", "403", time.Time{}},
		{"wrong one read", "CMK-007", func(w *wiring.Wiring) { w.Identity.Value.ID = other }, risk.Unknown, "", "", "is not the cluster's", time.Time{}},
		{"no principal", "CMK-007", func(w *wiring.Wiring) { w.Identity.Value.PrincipalID = "" }, risk.Unknown, "", "", "missing", time.Time{}},
	})
}

func lost(deleted wiring.Fact[wiring.DeletedKey]) func(*wiring.Wiring) {
	return func(w *wiring.Wiring) {
		w.Versions = wiring.NotThere[[]wiring.KeyVersion]("keyvault GET versions", clock(), "404 KeyNotFound")
		w.Deleted = deleted
	}
}

func TestKeyChecks(t *testing.T) {
	purge := clock().AddDate(0, 2, 0)
	deleted := wiring.Read(wiring.DeletedKey{Key: risktest.Key(""), DeletedAt: clock(), PurgeAt: purge}, "keyvault GET deletedkeys", clock())
	refused := wiring.Failed[wiring.DeletedKey]("keyvault GET deletedkeys", clock(), "403 ForbiddenByRbac")
	purged := wiring.NotThere[wiring.DeletedKey]("keyvault GET deletedkeys", clock(), "404")
	run(t, []row{
		{"deleted", "CMK-010", lost(deleted), risk.Broken, risk.Critical, "recover-key", "can be recovered until 2026-09-01", purge},
		{"purged", "CMK-010", lost(purged), risk.Broken, risk.Critical, "", "purged, or never there", time.Time{}},
		{"recoverable unknown", "CMK-010", lost(refused), risk.Broken, risk.Critical, "", "whether it can be recovered is unknown", time.Time{}},
		{"empty list", "CMK-010", func(w *wiring.Wiring) { w.Versions.Value = nil; w.Deleted = deleted }, risk.Broken, risk.Critical, "recover-key", "deleted on", purge},
		{"list refused, deleted known", "CMK-010", func(w *wiring.Wiring) {
			w.Versions = wiring.Failed[[]wiring.KeyVersion]("list", clock(), "403")
			w.Deleted = deleted
		}, risk.Broken, risk.Critical, "recover-key", "can be recovered", purge},
		{"list refused, version gone", "CMK-010", func(w *wiring.Wiring) {
			w.Versions = wiring.Failed[[]wiring.KeyVersion]("list", clock(), "403")
			w.InUse = wiring.NotThere[wiring.KeyBundle]("get", clock(), "404")
			w.Deleted = refused
		}, risk.Broken, risk.Critical, "", "unknown", time.Time{}},
		{"vault gone", "CMK-010", func(w *wiring.Wiring) {
			w.Versions = wiring.Failed[[]wiring.KeyVersion]("list", clock(), "no such host")
			w.Vault = wiring.NotThere[wiring.Vault]("arm GET vault", clock(), "404")
			w.Deleted = refused
		}, risk.Broken, risk.Critical, "", "the vault of", time.Time{}},
		{"list refused", "CMK-010", func(w *wiring.Wiring) { w.Versions = wiring.Failed[[]wiring.KeyVersion]("list", clock(), "403") }, risk.Unknown, "", "", "403", time.Time{}},
		{"live and deleted", "CMK-010", func(w *wiring.Wiring) { w.Deleted = deleted }, risk.Unknown, "", "", "both", time.Time{}},
		{"version not listed", "CMK-010", func(w *wiring.Wiring) { w.Versions.Value = w.Versions.Value[:1] }, risk.Broken, risk.Critical, "", "but not version", time.Time{}},
		{"elliptic", "CMK-014", func(w *wiring.Wiring) { w.InUse.Value.Type = "EC-HSM" }, risk.Broken, risk.High, "", "EC-HSM", time.Time{}},
		{"software", "CMK-014", func(w *wiring.Wiring) { w.InUse.Value.Type = "rsa" }, risk.OK, "", "", "rsa", time.Time{}},
		{"no type", "CMK-014", func(w *wiring.Wiring) { w.InUse.Value.Type = "" }, risk.Unknown, "", "", "not given", time.Time{}},
		{"no unwrap", "CMK-016", func(w *wiring.Wiring) { w.InUse.Value.Ops = []string{"WRAPKEY"} }, risk.Broken, risk.Critical, "fix-key-ops", "not permit unwrapKey", time.Time{}},
		{"stripped", "CMK-016", func(w *wiring.Wiring) { w.InUse.Value.Ops = nil }, risk.Broken, risk.Critical, "fix-key-ops", "wrapKey and unwrapKey", time.Time{}},
		{"extra", "CMK-016", func(w *wiring.Wiring) { w.InUse.Value.Ops = append(w.InUse.Value.Ops, "sign") }, risk.Broken, risk.Low, "", "sign", time.Time{}},
		{"key refused", "CMK-016", func(w *wiring.Wiring) { w.InUse = wiring.Failed[wiring.KeyBundle]("get", clock(), "403") }, risk.Unknown, "", "", "403", time.Time{}},
	})
}

func TestVersionChecks(t *testing.T) {
	soon, week := clock().Add(20*dayLong), clock().Add(7*dayLong)
	later := clock().Add(dayLong)
	run(t, []row{
		{"disabled", "CMK-011", func(w *wiring.Wiring) { w.Versions.Value[1].Enabled = false; w.InUse.Value.Enabled = false }, risk.Broken, risk.Critical, "reenable-version", "is disabled", time.Time{}},
		{"reads disagree", "CMK-011", inUse(func(v *wiring.KeyVersion) { v.Enabled = false }), risk.Unknown, "", "", "changed between", time.Time{}},
		{"not listed", "CMK-011", func(w *wiring.Wiring) { w.Versions.Value = nil }, risk.Unknown, "", "", "CMK-010", time.Time{}},
		{"expired now", "CMK-012", inUse(expires(0)), risk.Broken, risk.Critical, "rotate", "expired on", time.Time{}},
		{"last second", "CMK-012", inUse(expires(time.Second)), risk.OK, "", "", "inside", time.Time{}},
		{"too early", "CMK-012", inUse(func(v *wiring.KeyVersion) { v.NotBefore = &later }), risk.Broken, risk.High, "rotate", "not valid before", later},
		{"versions refused", "CMK-012", func(w *wiring.Wiring) { w.Versions = wiring.Failed[[]wiring.KeyVersion]("list", clock(), "403") }, risk.Unknown, "", "", "403", time.Time{}},
		{"in 20 days", "CMK-013", inUse(expires(20 * dayLong)), risk.Broken, risk.Medium, "rotate", "in 20 days", soon},
		{"in 7 days", "CMK-013", inUse(expires(7 * dayLong)), risk.Broken, risk.High, "rotate", "in 7 days", week},
		{"in 31 days", "CMK-013", inUse(expires(31 * dayLong)), risk.OK, "", "", "expires on", time.Time{}},
		{"none", "CMK-013", inUse(func(v *wiring.KeyVersion) { v.Expires = nil }), risk.OK, "", "", "no expiry", time.Time{}},
		{"expired stays", "CMK-013", inUse(expires(-dayLong)), risk.Broken, risk.High, "rotate", "CMK-012", clock().Add(-dayLong)},
		{"rotated, not followed", "CMK-013", rotated(time.Hour, "v2", inUse(expires(20*dayLong))), risk.Broken, risk.Medium, "rewire", "in 20 days", soon},
		{"newest expires first", "CMK-013", rotated(time.Hour, "v2", func(w *wiring.Wiring) { expires(20 * dayLong)(&w.Versions.Value[2]) }),
			risk.Broken, risk.Medium, "rotate", risktest.NextVersion, soon},
		{"none set", "CMK-018", inUse(func(v *wiring.KeyVersion) { v.Expires = nil }), risk.Broken, risk.Medium, "set-rotation-policy", "no expiry", time.Time{}},
		{"newest has one", "CMK-018", rotated(time.Hour, "v2", inUse(func(v *wiring.KeyVersion) { v.Expires = nil })), risk.Broken, risk.Medium, "rewire", risktest.NextVersion, time.Time{}},
		{"versionless", "CMK-018", cmk(func(c *wiring.CMK) { c.Key = c.Key.Base() }), risk.Unknown, "", "", "CMK-005", time.Time{}},
	})
}

func TestRotationChecks(t *testing.T) {
	actions := func(a ...wiring.RotationAction) func(*wiring.Wiring) {
		return func(w *wiring.Wiring) { w.Rotation.Value = wiring.RotationPolicy{Actions: a} }
	}
	disable := func(i int, at time.Duration) func(*wiring.Wiring) {
		return func(w *wiring.Wiring) {
			w.Versions.Value[i].Enabled, w.Versions.Value[i].Updated = false, clock().Add(at)
		}
	}
	run(t, []row{
		{"none", "CMK-021", func(w *wiring.Wiring) { w.Rotation = wiring.NotThere[wiring.RotationPolicy]("get", clock(), "404") }, risk.Broken, risk.High, "set-rotation-policy", "no rotation policy", time.Time{}},
		{"gone with its key", "CMK-021", func(w *wiring.Wiring) {
			w.Versions, w.Rotation = wiring.NotThere[[]wiring.KeyVersion]("list", clock(), "404"), wiring.NotThere[wiring.RotationPolicy]("get", clock(), "404")
		}, risk.Unknown, risk.High, "", "see CMK-010", time.Time{}},
		{"notify only", "CMK-021", actions(wiring.RotationAction{Type: "Notify", TimeBeforeExpiry: "P30D"}), risk.Broken, risk.High, "set-rotation-policy", "no Rotate", time.Time{}},
		{"no expiry to count from", "CMK-021", actions(wiring.RotationAction{Type: "ROTATE", TimeBeforeExpiry: "P30D"}), risk.Broken, risk.High, "set-rotation-policy", "never rotates", time.Time{}},
		{"no trigger", "CMK-021", actions(wiring.RotationAction{Type: "Rotate"}), risk.Broken, risk.High, "set-rotation-policy", "no trigger", time.Time{}},
		{"v2 following", "CMK-024", rotated(time.Hour, "v2"), risk.OK, "", "", "following by itself until 2026-07-01 13:00", time.Time{}},
		{"v2 late", "CMK-024", rotated(2*time.Hour, "V2"), risk.Broken, risk.High, "rewire", risktest.NextVersion, time.Time{}},
		{"v1 at once", "CMK-024", rotated(time.Minute, "v1"), risk.Broken, risk.High, "rewire", risktest.Version, time.Time{}},
		{"kind unknown", "CMK-024", rotated(time.Minute, ""), risk.Unknown, "", "", "not known", time.Time{}},
		{"kind unknown, late", "CMK-024", rotated(3*time.Hour, ""), risk.Broken, risk.High, "rewire", "have passed", time.Time{}},
		{"newest disabled", "CMK-024", rotated(3*time.Hour, "v1", disable(2, -time.Hour)), risk.OK, "", "", "newest enabled", time.Time{}},
		{"only older enabled", "CMK-024", disable(1, -time.Hour), risk.Unknown, "", "", "CMK-011", time.Time{}},
		{"none enabled", "CMK-024", func(w *wiring.Wiring) { disable(0, 0)(w); disable(1, 0)(w) }, risk.Unknown, "", "", "none to follow", time.Time{}},
		{"referenced", "CMK-025", rotated(40*dayLong/2, "v1", disable(1, -time.Hour)), risk.Broken, risk.Critical, "reenable-version", "still uses it", time.Time{}},
		{"too soon", "CMK-025", func(w *wiring.Wiring) {
			rotated(5*time.Hour, "v2", disable(1, -4*time.Hour))(w)
			w.Cluster.Value.CMK.Key = risktest.Key(risktest.NextVersion)
		}, risk.Broken, risk.Critical, "reenable-version", "1h0m0s after its successor", clock().Add(19 * time.Hour)},
		{"a day later", "CMK-025", func(w *wiring.Wiring) {
			rotated(24*time.Hour, "v2", disable(1, -4*time.Hour))(w)
			w.Cluster.Value.CMK.Key = risktest.Key(risktest.NextVersion)
		}, risk.OK, "", "", "no replaced version", time.Time{}},
		{"newest disabled is another check", "CMK-025", disable(1, 0), risk.OK, "", "", "no replaced", time.Time{}},
		{"versions refused", "CMK-025", func(w *wiring.Wiring) { w.Versions = wiring.Failed[[]wiring.KeyVersion]("list", clock(), "403") }, risk.Unknown, "", "", "403", time.Time{}},
	})
}

func TestVaultChecks(t *testing.T) {
	refused := func(w *wiring.Wiring) {
		w.Vault = wiring.Failed[wiring.Vault]("arm GET vault", clock(), "403 AuthorizationFailed")
	}
	run(t, []row{
		{"off", "CMK-030", func(w *wiring.Wiring) { w.Vault.Value.SoftDelete = false }, risk.Broken, risk.High, "", "off", time.Time{}},
		{"refused", "CMK-030", refused, risk.Unknown, "", "", "403 AuthorizationFailed", time.Time{}},
		{"off", "CMK-031", func(w *wiring.Wiring) { w.Vault.Value.PurgeProtection = false }, risk.Broken, risk.Critical, "enable-purge-protection", "off", time.Time{}},
		{"key says purgeable", "CMK-031", inUse(func(v *wiring.KeyVersion) { v.RecoveryLevel = "Recoverable+Purgeable" }), risk.Unknown, "", "", "Recoverable+Purgeable", time.Time{}},
		{"another vault", "CMK-031", func(w *wiring.Wiring) { w.Vault.Value.Host = "kv-other.vault.azure.net" }, risk.Unknown, "", "", "is not the key's", time.Time{}},
		{"refused", "CMK-031", refused, risk.Unknown, "", "", "arm GET vault", time.Time{}},
	})
}
