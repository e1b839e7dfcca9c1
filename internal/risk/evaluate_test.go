package risk_test

import (
	"testing"
	"time"

	"cmkguard/internal/event"
	"cmkguard/internal/risk"
	"cmkguard/internal/risk/risktest"
	"cmkguard/internal/wiring"

	"github.com/google/go-cmp/cmp"
)

func clock() time.Time { return time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC) }

func order() []string {
	return []string{
		"CMK-004", "CMK-005", "CMK-006", "CMK-007", "CMK-010", "CMK-011", "CMK-012", "CMK-013", "CMK-014",
		"CMK-016", "CMK-018", "CMK-021", "CMK-024", "CMK-025", "CMK-030", "CMK-031", "CMK-033", "CMK-036", "CMK-038", "CMK-050",
	}
}

func ids(vs []risk.Verdict) []string {
	out := make([]string, len(vs))
	for i, v := range vs {
		out[i] = v.Check
	}
	return out
}

func checkOf(t *testing.T, id string) risk.Check {
	t.Helper()
	for _, c := range risk.Catalogue() {
		if c.ID == id {
			return c
		}
	}
	t.Fatalf("no check %s", id)
	return risk.Check{}
}

// judge returns one check's verdict of a changed healthy wiring.
func judge(t *testing.T, check string, change func(*wiring.Wiring)) risk.Verdict {
	t.Helper()
	w := risktest.Healthy(clock())
	if change != nil {
		change(&w)
	}
	for _, v := range risk.Evaluate(w, risk.Defaults(), clock()) {
		if v.Check == check {
			return v
		}
	}
	t.Fatalf("no verdict of %s", check)
	return risk.Verdict{}
}

func TestHealthyWiringIsOKInCatalogueOrder(t *testing.T) {
	vs := risk.Evaluate(risktest.Healthy(clock()), risk.Defaults(), clock())
	if diff := cmp.Diff(order(), ids(vs)); diff != "" {
		t.Fatalf("order of verdicts (-want +got):\n%s", diff)
	}
	for _, v := range vs {
		c := checkOf(t, v.Check)
		if v.Answer != risk.OK {
			t.Errorf("%s: %s: %s", v.Check, v.Answer, v.Why)
		}
		if v.Why == "" || v.Guidance == "" || v.Title == "" || len(v.Evidence) == 0 || v.Cluster == "" {
			t.Errorf("%s lacks a reason, guidance, title, evidence or cluster: %+v", v.Check, v)
		}
		if v.Remedy != "" || v.By != nil || v.Breaks != "" {
			t.Errorf("%s is ok and yet proposes something: %+v", v.Check, v)
		}
		if c.ID != v.Check || c.Severity != v.Severity || c.SubjectKind != v.Subject.Kind {
			t.Errorf("verdict %s does not match its check %+v", v.Check, c)
		}
	}
}

func TestSubjects(t *testing.T) {
	cluster := event.Subject{Kind: event.SubjectCluster, ID: risktest.Healthy(clock()).ID.Key()}
	want := map[string]event.Subject{
		"CMK-005": cluster, "CMK-024": cluster, "CMK-033": cluster, "CMK-036": cluster, "CMK-050": cluster,
		"CMK-010": {Kind: event.SubjectKey, ID: "kv-orders-cmk.vault.azure.net/redis-kek"},
		"CMK-025": {Kind: event.SubjectKey, ID: "kv-orders-cmk.vault.azure.net/redis-kek"},
		"CMK-031": {Kind: event.SubjectVault, ID: risktest.Healthy(clock()).Vault.Value.ID.Key()},
	}
	for check, subject := range want {
		if diff := cmp.Diff(subject, judge(t, check, nil).Subject); diff != "" {
			t.Errorf("%s (-want +got):\n%s", check, diff)
		}
	}
	unread := judge(t, "CMK-010", func(w *wiring.Wiring) { w.Cluster = wiring.Fact[wiring.Cluster]{} })
	if unread.Subject != cluster {
		t.Errorf("subject of a key check without a cluster = %s, want the cluster", unread.Subject)
	}
}

func TestCatalogueIsTheCallersOwn(t *testing.T) {
	first := risk.Catalogue()
	first[0].ID = "changed"
	if got := risk.Catalogue()[0].ID; got != "CMK-001" {
		t.Errorf("a caller's change shows in the catalogue: %s", got)
	}
	for _, c := range risk.Catalogue() {
		if c.Breaks == "" || c.Guidance == "" || c.Family == "" || c.Severity.Rank() == 0 {
			t.Errorf("%s is incomplete: %+v", c.ID, c)
		}
	}
}

func TestClusterWithoutCMKIsJudgedByItsStateAlone(t *testing.T) {
	w := risktest.Healthy(clock())
	w.Cluster.Value.CMK = nil
	if diff := cmp.Diff([]string{"CMK-004"}, ids(risk.Evaluate(w, risk.Defaults(), clock()))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// A stale answer does not prove that there is none.
	w.Cluster.At = clock().Add(-time.Hour)
	for _, v := range risk.Evaluate(w, risk.Defaults(), clock()) {
		if v.Answer != risk.Unknown {
			t.Errorf("%s of a stale cluster: %s: %s", v.Check, v.Answer, v.Why)
		}
	}
}

func TestStaleFactsAreUnknownAtTheLimit(t *testing.T) {
	at := clock().Add(-15 * time.Minute)
	if v := judge(t, "CMK-031", func(w *wiring.Wiring) { w.Vault.At = at }); v.Answer != risk.OK {
		t.Errorf("at the limit: %s: %s", v.Answer, v.Why)
	}
	v := judge(t, "CMK-031", func(w *wiring.Wiring) { w.Vault.At = at.Add(-time.Second) })
	if v.Answer != risk.Unknown || v.Why != "the vault is too old to judge: it was read 15m1s ago, more than 15m0s" {
		t.Errorf("past the limit: %s: %s", v.Answer, v.Why)
	}
	if v := judge(t, "CMK-031", func(w *wiring.Wiring) { w.Vault.At = clock().Add(time.Hour) }); v.Answer != risk.Unknown {
		t.Errorf("from the future: %s: %s", v.Answer, v.Why)
	}
	if v := judge(t, "CMK-031", func(w *wiring.Wiring) { w.Vault.At = time.Time{} }); v.Answer != risk.Unknown {
		t.Errorf("without a time: %s: %s", v.Answer, v.Why)
	}
}

func TestUnreadableSaysWhoRefusedWhat(t *testing.T) {
	v := judge(t, "CMK-021", func(w *wiring.Wiring) {
		w.Rotation = wiring.Failed[wiring.RotationPolicy]("keyvault GET /keys/redis-kek/rotationpolicy", clock(), "403 ForbiddenByRbac")
	})
	want := "the rotation policy could not be read (keyvault GET /keys/redis-kek/rotationpolicy: 403 ForbiddenByRbac)"
	if v.Answer != risk.Unknown || v.Why != want {
		t.Errorf("got %s: %s\nwant unknown: %s", v.Answer, v.Why, want)
	}
}

func TestTagsMakeHeavierAndSayWhy(t *testing.T) {
	noExpiry := func(tags map[string]string) func(*wiring.Wiring) {
		return func(w *wiring.Wiring) {
			w.Cluster.Value.Tags = tags
			w.Versions.Value[0].Expires, w.Versions.Value[1].Expires = nil, nil
			w.Rotation.Value.Actions = nil
		}
	}
	for name, tags := range map[string]map[string]string{
		"sensitive":  {"DataClassification": "Confidential"},
		"production": {"environment": "Prod"},
	} {
		v := judge(t, "CMK-018", noExpiry(tags))
		if v.Severity != risk.High || len(v.Reasons) != 2 {
			t.Errorf("%s: severity %s, reasons %q; want high with two", name, v.Severity, v.Reasons)
		}
		if v := judge(t, "CMK-021", noExpiry(tags)); v.Severity != risk.High {
			t.Errorf("%s: a tag made CMK-021 %s", name, v.Severity)
		}
	}
	if v := judge(t, "CMK-018", noExpiry(map[string]string{"env": "test"})); v.Severity != risk.Medium {
		t.Errorf("a test cluster: severity %s, want medium", v.Severity)
	}
}

func TestZeroLimitsTakeTheirDefaults(t *testing.T) {
	w := risktest.Healthy(clock())
	if diff := cmp.Diff(risk.Evaluate(w, risk.Defaults(), clock()), risk.Evaluate(w, risk.Limits{}, clock())); diff != "" {
		t.Errorf("(-defaults +zero):\n%s", diff)
	}
}
