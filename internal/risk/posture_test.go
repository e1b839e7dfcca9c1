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

const later = 27 * time.Hour // older than a daily fact may be

func classic(class string) wiring.Wiring {
	id := azureid.MustResource(risktest.Group + "/providers/Microsoft.Cache/Redis/old")
	return wiring.Wiring{ID: id, Cluster: wiring.Read(wiring.Cluster{
		ID: id, Name: "old", SKU: "Premium_P1", Tags: map[string]string{"dataClassification": class},
	}, "graph", clock())}
}

// around is one change of the complete wiring and what a check says about it;
// why is a part of the reason.
type around struct {
	check    string
	change   func(*wiring.Wiring)
	answer   risk.Answer
	severity risk.Severity
	remedy   string
	why      string
}

func tag(name, value string) func(*wiring.Wiring) {
	return func(w *wiring.Wiring) {
		w.Cluster.Value.Tags = map[string]string{"owner": "o", "costCentre": "1", name: value}
	}
}

func holder(principal, scope string, p wiring.Permission) func(*wiring.Wiring) {
	return func(w *wiring.Wiring) {
		id := "/providers/microsoft.authorization/roledefinitions/r-" + principal
		w.Posture.HolderRoles.Value[id] = wiring.RoleDefinition{ID: id, Name: "wide", Permissions: []wiring.Permission{p}}
		w.Posture.Holders.Value = append(w.Posture.Holders.Value, wiring.RoleAssignment{ID: "/a/" + principal, PrincipalID: principal, RoleID: id, Scope: scope})
	}
}

func geo(change func(*wiring.Peer)) func(*wiring.Wiring) {
	return func(w *wiring.Wiring) {
		c := w.Cluster.Value
		c.Location = "northeurope"
		m := *c.CMK
		m.Key.Host = "kv-north.vault.azure.net"
		c.CMK = &m
		p := wiring.Peer{ID: azureid.MustResource(risktest.ClusterID + "-north"), Cluster: wiring.Read(c, "arm GET", clock()),
			VaultLocation: wiring.Read("North Europe", "arm GET", clock())}
		change(&p)
		w.Posture.Databases.Value[0].GeoGroup = "orders"
		w.Posture.Peers = wiring.Read([]wiring.Peer{p}, "arm GET peers", clock())
	}
}

func refused[T any](f func(*wiring.Wiring) *wiring.Fact[T]) func(*wiring.Wiring) {
	return func(w *wiring.Wiring) { *f(w) = wiring.Failed[T]("arm GET", clock(), "403 AuthorizationFailed") }
}

func vaultOf(f func(*wiring.Vault)) func(*wiring.Wiring) {
	return func(w *wiring.Wiring) { f(&w.Vault.Value) }
}

func policies(keys ...string) func(*wiring.Wiring) {
	return vaultOf(func(v *wiring.Vault) {
		v.RBAC = false
		v.Policies = []wiring.AccessPolicy{{TenantID: v.TenantID, ObjectID: risktest.PrincipalID, Keys: []string{"get", "wrapKey", "unwrapKey"}},
			{TenantID: v.TenantID, ObjectID: "p-admin", Keys: keys}}
	})
}

func rotation(expiry, after, before, notify string) func(*wiring.Wiring) {
	return func(w *wiring.Wiring) {
		w.Rotation.Value = wiring.RotationPolicy{ExpiryTime: expiry, Actions: []wiring.RotationAction{{Type: "Rotate", TimeAfterCreate: after, TimeBeforeExpiry: before}}}
		if notify != "" {
			w.Rotation.Value.Actions = append(w.Rotation.Value.Actions, wiring.RotationAction{Type: "Notify", TimeBeforeExpiry: notify})
		}
	}
}

func runAround(t *testing.T, rows []around) {
	t.Helper()
	for _, r := range rows {
		w := risktest.Complete(clock())
		r.change(&w)
		lim := risk.Defaults()
		if r.check == "CMK-043" { // says nothing where no region is named
			lim.Regions = []string{"West Europe"}
		}
		vs := risk.Judge(w, lim, clock(), risk.Select(r.check))
		if len(vs) != 1 {
			t.Errorf("%s %q: %d verdicts", r.check, r.why, len(vs))
			continue
		}
		v := vs[0]
		if v.Answer != r.answer || !strings.Contains(v.Why, r.why) {
			t.Errorf("%s: got %s: %s\nwant %s: ...%s...", r.check, v.Answer, v.Why, r.answer, r.why)
		}
		if r.answer == risk.Broken && (v.Severity != r.severity || v.Remedy != r.remedy || v.Breaks == "" || len(v.Reasons) == 0 || len(v.Evidence) == 0) {
			t.Errorf("%s %q: severity %s (%q), remedy %q; want %s, %q", r.check, r.why, v.Severity, v.Reasons, v.Remedy, r.severity, r.remedy)
		}
	}
}

func TestChecksAroundTheChain(t *testing.T) {
	rows := slices.Concat(aroundTheCluster(), aroundTheKey(), aroundTheVault(), aroundTheAccess())
	runAround(t, rows)
	for _, c := range risk.Catalogue() { // the chain's own are in checks_test.go
		for _, want := range []risk.Answer{risk.Broken, risk.Unknown} {
			if c.Cadence != risk.CadenceSignal && !slices.ContainsFunc(rows, func(r around) bool { return r.check == c.ID && r.answer == want }) {
				t.Errorf("%s has no case that is %s", c.ID, want)
			}
		}
	}
}

func TestCompleteWiringIsOKThroughout(t *testing.T) {
	for _, v := range risk.Judge(risktest.Complete(clock()), risk.Defaults(), clock(), risk.Everything()) {
		if v.Answer != risk.OK || len(v.Evidence) == 0 || v.Guidance == "" || v.Remedy != "" {
			t.Errorf("%s: %s: %s %v", v.Check, v.Answer, v.Why, v.Evidence)
		}
	}
}

func TestWhatMakesHeavier(t *testing.T) {
	for why, change := range map[string]func(*wiring.Wiring){
		"geo-replicated in group orders": geo(func(*wiring.Peer) {}),
		"shares its key with 9 others":   func(w *wiring.Wiring) { w.Posture.Sharers.Value = 10 },
		"is tagged env=live and shares":  both(tag("env", "live"), func(w *wiring.Wiring) { w.Posture.Sharers.Value = 10 }),
	} {
		w := risktest.Complete(clock())
		change(&w)
		w.Posture.Defender.Value = false
		v := risk.Judge(w, risk.Defaults(), clock(), risk.Select("CMK-064"))[0]
		if v.Severity != risk.Medium || !strings.Contains(strings.Join(v.Reasons, "\n"), why) {
			t.Errorf("%s: %s %q", why, v.Severity, v.Reasons)
		}
	}
}

func TestDatesOfTheTiers(t *testing.T) {
	for at, want := range map[string]risk.Severity{"2026-07-01": risk.Medium, "2026-12-01": risk.High, "2028-01-01": risk.High} {
		now, err := time.Parse(time.DateOnly, at)
		if err != nil {
			t.Fatal(err)
		}
		w := risktest.Complete(now)
		w.Cluster.Value.SKU = "Enterprise_E10"
		v := risk.Judge(w, risk.Defaults(), now, risk.Select("CMK-003"))[0]
		if v.Severity != want || v.By == nil || v.By.Format(time.DateOnly) != "2027-03-31" {
			t.Errorf("%s: %s, by %v", at, v.Severity, v.By)
		}
	}
}

func TestBreakGlassAndTargets(t *testing.T) {
	w := risktest.Complete(clock())
	holder("BG-1", "/", wiring.Permission{DataActions: []string{"*"}})(&w)
	lim := risk.Defaults()
	lim.BreakGlass, lim.EventTargets = []string{"bg-1"}, []string{"SITES/cmkguard"}
	for _, v := range risk.Judge(w, lim, clock(), risk.Select("CMK-027", "CMK-063")) {
		if v.Answer != risk.OK {
			t.Errorf("%s: %s", v.Check, v.Why)
		}
	}
	lim.EventTargets = []string{"sites/other"}
	if v := risk.Judge(w, lim, clock(), risk.Select("CMK-063"))[0]; v.Answer != risk.Broken {
		t.Errorf("events that go to somebody else: %s", v.Why)
	}
}
