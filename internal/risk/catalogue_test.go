package risk_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cmkguard/internal/risk"
	"cmkguard/internal/risk/risktest"
	"cmkguard/internal/wiring"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/checks.md")

func TestCataloguePage(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "checks.md")
	if *update {
		if err := os.WriteFile(path, []byte(risk.Markdown()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(page), "\n"), strings.Split(risk.Markdown(), "\n")); diff != "" {
		t.Errorf("docs/checks.md is out of date; run go test ./internal/risk -run Catalogue -update (-page +catalogue):\n%s", diff)
	}
}

func TestCatalogueIsWhole(t *testing.T) {
	facts := map[string]bool{}
	for _, s := range risk.Sources() {
		facts[s.Fact] = true
		if s.Call == "" || s.Per == "" || s.Cadence == "" {
			t.Errorf("source %+v", s)
		}
	}
	var got []string
	used := map[string]bool{}
	for _, c := range risk.Catalogue() {
		got = append(got, c.ID)
		if c.Title == "" || c.Breaks == "" || c.Guidance == "" || c.Family == "" || c.Severity.Rank() == 0 || c.SubjectKind == "" ||
			c.Cadence == "" || len(c.Facts) == 0 || len(c.Controls) == 0 || strings.HasSuffix(c.Breaks, ".") {
			t.Errorf("%s is incomplete: %+v", c.ID, c)
		}
		for _, f := range c.Facts {
			used[f] = true
			if !facts[f] {
				t.Errorf("%s judges by %q, which no source gives", c.ID, f)
			}
		}
		text, ok := risk.Explain(strings.ToLower(c.ID))
		if !ok || !strings.Contains(text, c.Title) || !strings.Contains(text, c.Guidance) || !strings.Contains(text, c.Controls[0].Numbers) {
			t.Errorf("%s is not explained: %s", c.ID, text)
		}
	}
	var want []string
	for _, r := range []string{"001-008", "010-029", "030-043", "050-057", "060-067"} {
		for n := r[:3]; n <= r[4:]; n = next(n) {
			want = append(want, "CMK-"+n)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
	if _, ok := risk.Explain("CMK-999"); ok {
		t.Error("explained a check that does not exist")
	}
	for f := range facts { // facts that only make verdicts heavier or broken
		if !used[f] && !slices.Contains([]string{"deleted", "sharers", "deletedVault", "peers"}, f) {
			t.Errorf("no check judges by %q", f)
		}
	}
}

func next(n string) string {
	d := []byte(n)
	for i := 2; i >= 0; i-- {
		if d[i]++; d[i] <= '9' {
			break
		}
		d[i] = '0'
	}
	return string(d)
}

func TestSelections(t *testing.T) {
	w := risktest.Complete(clock())
	pick := func(s risk.Selection) []string { return ids(risk.Judge(w, risk.Defaults(), clock(), s)) }
	if diff := cmp.Diff(order(), pick(risk.OnSignal())); diff != "" {
		t.Errorf("signals and Evaluate (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(order(), ids(risk.Evaluate(w, risk.Defaults(), clock()))); diff != "" {
		t.Errorf("facts that were read do not make Evaluate ask more (-want +got):\n%s", diff)
	}
	if got := pick(risk.Everything()); len(got) != len(risk.Catalogue()) {
		t.Errorf("everything is %d of %d", len(got), len(risk.Catalogue()))
	}
	if diff := cmp.Diff([]string{"CMK-030", "CMK-064"}, pick(risk.Select("CMK-064", "CMK-030", "CMK-9"))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"CMK-006", "CMK-007", "CMK-008", "CMK-064"}, pick(risk.Families(risk.FamilyIdentity).Or(risk.Select("CMK-064")))); diff != "" {
		t.Error(diff)
	}
	n := len(pick(risk.Cadences(risk.CadenceSignal))) + len(pick(risk.Cadences(risk.CadenceSweep, risk.CadenceDaily))) + len(pick(risk.Cadences(risk.CadenceEvent)))
	if n != len(risk.Catalogue()) {
		t.Errorf("the cadences cover %d of %d checks", n, len(risk.Catalogue()))
	}
}

func TestWithoutKeyOnlyWhatMakesSense(t *testing.T) {
	w := risktest.Complete(clock())
	w.Cluster.Value.CMK = nil
	want := []string{"CMK-001", "CMK-002", "CMK-003", "CMK-004", "CMK-060", "CMK-061", "CMK-065", "CMK-066"}
	if diff := cmp.Diff(want, ids(risk.Judge(w, risk.Defaults(), clock(), risk.Everything()))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w = classic("confidential")
	if diff := cmp.Diff([]string{"CMK-002", "CMK-061"}, ids(risk.Judge(w, risk.Defaults(), clock(), risk.Everything()))); diff != "" {
		t.Errorf("a cache of a classic tier (-want +got):\n%s", diff)
	}
}

func TestWhatWasNotReadIsUnknown(t *testing.T) {
	for _, v := range risk.Judge(risktest.Healthy(clock()), risk.Defaults(), clock(), risk.Cadences(risk.CadenceDaily, risk.CadenceEvent)) {
		if v.Answer != risk.Unknown || !strings.Contains(v.Why, "not read in this run") {
			t.Errorf("%s: %s: %s", v.Check, v.Answer, v.Why)
		}
	}
	if got := risk.Judge(wiring.Wiring{}, risk.Limits{}, clock(), risk.Everything()); len(got) != len(risk.Catalogue()) {
		t.Errorf("%d verdicts", len(got))
	} else if i := slices.IndexFunc(got, func(v risk.Verdict) bool { return v.Answer != risk.Unknown }); i >= 0 {
		t.Errorf("%+v", got[i])
	}
}
