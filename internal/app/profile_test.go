package app_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azuresim"
	"cmkguard/internal/findings"
	"cmkguard/internal/risk"
)

// under checks a world under a policy and returns the answers by check.
func under(t *testing.T, policy string, change func(*azuresim.Sim, azuresim.Sample)) map[string]risk.Verdict {
	t.Helper()
	env := estate(t, change)
	if policy != "" {
		text, code := run(t, nil, "policy", "profile", policy)
		if code != 0 {
			t.Fatalf("exit %d:\n%s", code, text)
		}
		file := filepath.Join(t.TempDir(), policy+".yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, code := run(t, nil, "policy", "check", file); code != 0 {
			t.Fatalf("exit %d:\n%s", code, out)
		}
		env = append(env, "CMKGUARD_POLICY="+file)
	}
	out, _ := run(t, env, "check", "-o", "json")
	var r findings.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got := map[string]risk.Verdict{}
	for _, f := range r.Findings {
		got[f.Check] = f.Verdict
	}
	return got
}

// Each profile that ships parses, and finds in a world what the built-in limits
// let pass.
func TestProfilesFindWhatTheirUsersAskFor(t *testing.T) {
	t.Parallel()
	plain := func(*azuresim.Sim, azuresim.Sample) {}
	old := func(s *azuresim.Sim, m azuresim.Sample) { s.Clock().Advance(300 * 24 * time.Hour) } // the key is 400 days old
	covered := map[string]bool{}
	for name, row := range map[string]struct {
		profile string
		world   func(*azuresim.Sim, azuresim.Sample)
		finds   string // of what is OK without the profile
	}{
		"a software key":       {"pci", plain, "CMK-017"},
		"a year of use":        {"pci", old, "CMK-019"},
		"another region":       {"sovereign-byok", plain, "CMK-017 CMK-043"},
		"a key without tenant": {"saas-tenant-keys", tagged, "CMK-061"},
	} {
		covered[row.profile] = true
		before, after := under(t, "", row.world), under(t, row.profile, row.world)
		for id := range strings.FieldsSeq(row.finds) {
			if before[id].Answer != risk.OK || after[id].Answer != risk.Broken {
				t.Errorf("%s: %s is %s by default and %s under %s: %s", name, id, before[id].Answer, after[id].Answer, row.profile, after[id].Why)
			}
		}
	}
	out, code := run(t, nil, "policy", "profile")
	for name := range strings.FieldsSeq(out) {
		if !covered[name] {
			t.Errorf("no world for the profile %s", name)
		}
	}
	if out, code2 := run(t, nil, "policy", "profile", "../policy"); code != 0 || code2 != 2 || !strings.Contains(out, "saas-tenant-keys") {
		t.Errorf("exit %d, %d:\n%s", code, code2, out)
	}
}

// tagged gives the chain the tags that everybody asks for.
func tagged(s *azuresim.Sim, m azuresim.Sample) {
	tags := map[string]string{"owner": "a", "costCentre": "1"}
	s.ChangeCluster(m.Cluster, func(c *azuresim.Cluster) { c.Tags = tags })
	s.ChangeVault(m.Host, func(v *azuresim.Vault) {
		v.Tags = tags
		v.Keys["kek"].Tags = tags
	})
}
