package risk_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/risk"
	"cmkguard/internal/risk/risktest"
	"cmkguard/internal/wiring"

	"pgregory.net/rapid"
)

// spoil makes a fact useless in one of five ways.
func spoil[T any](t *rapid.T, name string, f *wiring.Fact[T], age ...time.Duration) bool {
	var none T
	switch rapid.IntRange(0, 19).Draw(t, name) {
	case 0:
		*f = wiring.Fact[T]{}
	case 1:
		*f = wiring.Failed[T]("GET "+name, clock(), "403")
	case 2:
		*f = wiring.NotThere[T]("GET "+name, clock(), "404")
	case 3:
		f.At = clock().Add(-max(16*time.Minute, append(age, 0)[0]))
	case 4:
		f.State, f.Value = "garbled", none
	default:
		return false
	}
	return true
}

// drawComplete is drawWiring with the facts around the chain.
func drawComplete(t *rapid.T) (wiring.Wiring, map[string]bool) {
	w, spoilt := drawWiring(t)
	w.Posture = risktest.Complete(clock()).Posture
	p := &w.Posture
	spoilt["identityUses"] = spoil(t, "identityUses", &p.IdentityUses, later)
	spoilt["databases"] = spoil(t, "databases", &p.Databases, later)
	spoilt["contents"] = spoil(t, "contents", &p.Contents, later)
	spoilt["diagnostics"] = spoil(t, "diagnostics", &p.Diagnostics, later)
	spoilt["vaultLocks"] = spoil(t, "vaultLocks", &p.VaultLocks, later)
	spoilt["identityLocks"] = spoil(t, "identityLocks", &p.IdentityLocks, later)
	spoilt["metrics"] = spoil(t, "metrics", &p.Metrics, later)
	spoilt["holders"] = spoil(t, "holders", &p.Holders, later)
	spoilt["holderRoles"] = spoil(t, "holderRoles", &p.HolderRoles, later)
	spoilt["events"] = spoil(t, "events", &p.Events, later)
	spoilt["defender"] = spoil(t, "defender", &p.Defender, later)
	spoilt["alerting"] = spoil(t, "alerting", &p.Alerting, later)
	spoilt["policy"] = spoil(t, "policy", &p.Policy, later)
	spoilt["use"] = spoil(t, "use", &p.Use, later)
	spoilt["backups"] = spoil(t, "backups", &p.Backups, later)
	spoilt["changes"] = spoil(t, "changes", &p.Changes, later)
	return w, spoilt
}

// drawWiring draws a healthy wiring with some facts spoilt, and says which.
func drawWiring(t *rapid.T) (wiring.Wiring, map[string]bool) {
	w := risktest.Healthy(clock())
	w.Cluster.Value.Kind = rapid.SampledFrom([]string{"v1", "v2", "V2", ""}).Draw(t, "kind")
	return w, map[string]bool{
		"cluster": spoil(t, "cluster", &w.Cluster), "identity": spoil(t, "identity", &w.Identity), "vault": spoil(t, "vault", &w.Vault),
		"versions": spoil(t, "versions", &w.Versions), "inUse": spoil(t, "inUse", &w.InUse), "deleted": spoil(t, "deleted", &w.Deleted),
		"rotation": spoil(t, "rotation", &w.Rotation), "assignments": spoil(t, "assignments", &w.Assignments),
		"definitions": spoil(t, "definitions", &w.Definitions), "denies": spoil(t, "denies", &w.Denies),
	}
}

func TestUselessFactsNeverYieldOK(t *testing.T) {
	all := risk.Catalogue()
	rapid.Check(t, func(t *rapid.T) {
		w, spoilt := drawComplete(t)
		vs := risk.Judge(w, risk.Defaults(), clock(), risk.Everything())
		if len(vs) != len(all) {
			t.Fatalf("%d verdicts of %d checks", len(vs), len(all))
		}
		for i, v := range vs {
			useless := ""
			for _, fact := range all[i].Facts {
				if spoilt[fact] {
					useless = fact
				}
			}
			if (useless != "") == (v.Answer == risk.OK) {
				t.Fatalf("%s is %s (%s) with useless fact %q", v.Check, v.Answer, v.Why, useless)
			}
			if v.Why == "" || v.Answer != risk.Broken && v.Remedy != "" {
				t.Fatalf("%s: why %q, remedy %q", v.Check, v.Why, v.Remedy)
			}
		}
	})
}

// A wiring drawn field by field, however odd, is answered the same way twice,
// whatever the order of the version list.
func TestAnyWiringIsAnsweredTheSameTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, _ := drawWiring(t)
		at := rapid.Custom(func(t *rapid.T) time.Time {
			return clock().Add(time.Duration(rapid.IntRange(-800, 800).Draw(t, "hours")) * time.Hour)
		})
		w.Versions.Value = nil
		for i := range rapid.IntRange(0, 5).Draw(t, "versions") {
			v := risktest.KeyVersion(fmt.Sprintf("%032x", i), at.Draw(t, "created"), at.Draw(t, "expires"))
			v.Enabled = rapid.Bool().Draw(t, "enabled")
			if rapid.Bool().Draw(t, "endless") {
				v.Expires = nil
			}
			w.Versions.Value = append(w.Versions.Value, v)
		}
		if c := w.Cluster.Value.CMK; c != nil {
			c.Key = risktest.Key(fmt.Sprintf("%032x", rapid.IntRange(0, 5).Draw(t, "in use")))
		}
		first := risk.Evaluate(w, risk.Defaults(), clock())
		w.Versions.Value = rapid.Permutation(w.Versions.Value).Draw(t, "order")
		second := risk.Evaluate(w, risk.Defaults(), clock())
		for i := range first {
			if first[i].Answer != second[i].Answer || first[i].Remedy != second[i].Remedy || first[i].Severity != second[i].Severity {
				t.Fatalf("the order of the versions decides:\n%+v\n%+v", first[i], second[i])
			}
		}
	})
}

func TestZeroWiringIsAllUnknown(t *testing.T) {
	for _, now := range []time.Time{{}, clock()} {
		vs := risk.Evaluate(wiring.Wiring{}, risk.Limits{}, now)
		if len(vs) != len(order()) {
			t.Fatalf("%d verdicts, want %d", len(vs), len(order()))
		}
		for _, v := range vs {
			if v.Answer != risk.Unknown || !strings.Contains(v.Why, "was not read") {
				t.Errorf("%s: %s: %s", v.Check, v.Answer, v.Why)
			}
		}
	}
}

func BenchmarkEvaluate(b *testing.B) {
	w := risktest.Healthy(clock())
	b.ReportAllocs()
	for b.Loop() {
		risk.Evaluate(w, risk.Defaults(), clock())
	}
}
