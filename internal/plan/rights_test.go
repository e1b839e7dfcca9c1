package plan_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cmkguard/internal/plan"
	"cmkguard/internal/policy"
	"cmkguard/internal/risk/risktest"
)

// Every remedy says which rights it needs, and its row of the page names them.
func TestEveryRemedySaysWhatItNeeds(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "remedies.md"))
	if err != nil {
		t.Fatal(err)
	}
	w := risktest.Healthy(now)
	c, v := w.Cluster.Value, w.Vault.Value
	c.Kind = "v1"
	for remedy := range plan.Ceilings() {
		needs := plan.Rights(remedy, c, v)
		if len(needs) == 0 {
			t.Errorf("plan.Rights does not know %s: SELF-006 could not tell that the remediator lacks what it needs", remedy)
		}
		for _, n := range needs {
			last := n.Action[strings.LastIndexByte(n.Action, '/'):]
			if n.For != remedy || n.Data != (n.Permission != "") || n.Data && !strings.HasSuffix(n.Scope, "/keys/"+c.CMK.Key.Name) {
				t.Errorf("%s: %+v", remedy, n)
			}
			if !strings.Contains(row(string(page), remedy), strings.TrimPrefix(last, "/")) && !strings.Contains(row(string(page), remedy), "those of `rewire`") {
				t.Errorf("docs/remedies.md does not name %s in the row of %s", n.Action, remedy)
			}
		}
	}
	none := c
	none.CMK = nil
	if got := plan.Rights(plan.Rotate, none, v); got != nil {
		t.Errorf("of a cluster without a key: %v", got)
	}
}

func row(page, remedy string) string {
	for line := range strings.SplitSeq(page, "\n") {
		if strings.HasPrefix(line, "| `"+remedy+"` |") {
			return line
		}
	}
	return ""
}

func TestWhatThePolicyLetsAct(t *testing.T) {
	t.Parallel()
	c := risktest.Healthy(now).Cluster.Value
	c.Kind = "v1"
	for name, x := range map[string]struct {
		change func(*policy.Policy)
		want   bool
	}{
		"nothing": {func(*policy.Policy) {}, false},
		"both": {func(p *policy.Policy) {
			p.Remedies = map[string]policy.Mode{"rotate": policy.Auto, "rewire": policy.Approve}
		}, true},
		"a v1 cluster needs rewire": {func(p *policy.Policy) { p.Remedies = map[string]policy.Mode{"rotate": policy.Auto} }, false},
		"imported material": {func(p *policy.Policy) {
			p.Remedies = map[string]policy.Mode{"rotate": policy.Auto, "rewire": policy.Approve}
			p.ImportedMaterial = []string{"*"}
		}, false},
		"out of scope": {func(p *policy.Policy) {
			p.Remedies = map[string]policy.Mode{"rotate": policy.Auto, "rewire": policy.Approve}
			p.Scope.Exclude = []string{"*"}
		}, false},
	} {
		p := policy.Default()
		x.change(p)
		if got := plan.Lets(p, plan.Rotate, c); got != x.want {
			t.Errorf("%s: %v", name, got)
		}
		if p.DryRun() != (name == "nothing") {
			t.Errorf("%s: dry run %v", name, p.DryRun())
		}
	}
}
