package plan_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cmkguard/internal/plan"
	"cmkguard/internal/policy"
	"cmkguard/internal/risk/risktest"
)

func text(t *testing.T, path ...string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(append([]string{"..", ".."}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func sorted(lists ...[]string) []string {
	out := slices.Concat(lists...)
	slices.Sort(out)
	return slices.Compact(out)
}

// TestTheDocsNameTheRights: each remedy's row of docs/remedies.md names exactly the
// actions of RightsOf, in full or by their ends.
func TestTheDocsNameTheRights(t *testing.T) {
	t.Parallel()
	rows := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|.*\\| ([^|]*) \\|$").FindAllStringSubmatch(text(t, "docs", "remedies.md"), -1) {
		rows[m[1]] = m[2]
	}
	for remedy := range plan.Ceilings() {
		r := plan.RightsOf(remedy)
		want := sorted(r.Actions, r.DataActions)
		if len(want) == 0 {
			t.Errorf("%s needs nothing: RightsOf lacks it", remedy)
		}
		named := namedIn(rows[remedy], rows)
		for _, action := range want {
			if !slices.ContainsFunc(named, func(n string) bool { return isEnd(n, action) }) {
				t.Errorf("%s: docs/remedies.md does not name %s", remedy, action)
			}
		}
		for _, n := range named {
			if !slices.ContainsFunc(want, func(action string) bool { return isEnd(n, action) }) {
				t.Errorf("%s: docs/remedies.md names %s, which RightsOf lacks", remedy, n)
			}
		}
	}
}

func isEnd(end, action string) bool { return action == end || strings.HasSuffix(action, "/"+end) }

// namedIn reads a cell: actions, "/write" after the action whose last part it replaces,
// and remedies whose rights are meant.
func namedIn(cell string, rows map[string]string) []string {
	var out []string
	stem := ""
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
		switch word := m[1]; {
		case strings.HasPrefix(word, "/"):
			out = append(out, stem+word)
		case rows[word] != "":
			out = append(out, namedIn(rows[word], rows)...)
		default:
			out = append(out, word)
			stem = word[:max(0, strings.LastIndexByte(word, '/'))]
		}
	}
	return out
}

// TestTheRolesAreTheRights: the two custom roles hold exactly what the observer, and
// rotate and rewire, need; and the roles of our own house are known.
func TestTheRolesAreTheRights(t *testing.T) {
	t.Parallel()
	bicep := text(t, "infra", "access.bicep")
	observer, remediator, ok := strings.Cut(bicep, "resource remediatorRole")
	if !ok {
		t.Fatal("no remediatorRole")
	}
	need := plan.RightsOf(plan.Rotate)
	for name, c := range map[string]struct {
		role string
		want plan.Least
	}{"observer": {observer, plan.ObserverRights()}, "remediator": {remediator, need}} {
		for list, want := range map[string][]string{"actions": c.want.Actions, "dataActions": c.want.DataActions} {
			if got := sorted(listed(c.role, list)); !slices.Equal(got, sorted(want)) {
				t.Errorf("%s of the %s's role:\n%s\nwant\n%s", list, name, strings.Join(got, "\n"), strings.Join(sorted(want), "\n"))
			}
		}
	}
	house := plan.HouseRoles()
	_, roles, _ := strings.Cut(text(t, "infra", "main.bicep"), "var roles = {")
	roles, _, _ = strings.Cut(roles, "}")
	found := regexp.MustCompile(`'([0-9a-f-]{36})'`).FindAllStringSubmatch(roles, -1)
	for _, m := range found {
		if house[m[1]] == "" {
			t.Errorf("infra/main.bicep assigns role %s, which is not among those of our own house", m[1])
		}
	}
	if len(found) == 0 {
		t.Error("no roles in infra/main.bicep")
	}
}

// listed returns the quoted lines of a role's list.
func listed(role, name string) []string {
	_, rest, _ := strings.Cut(role, " "+name+": [")
	rest, _, _ = strings.Cut(rest, "]")
	var out []string
	for _, line := range strings.Split(rest, "\n") {
		if m := regexp.MustCompile(`^\s*'([^']+)'`).FindStringSubmatch(line); m != nil {
			out = append(out, m[1])
		}
	}
	return out
}

// No remedy needs what the law forbids, and what is switched off needs nothing.
func TestRightsHoldNothingForbidden(t *testing.T) {
	t.Parallel()
	for remedy := range plan.Ceilings() {
		r := plan.RightsOf(remedy)
		for _, a := range sorted(r.Actions, r.DataActions) {
			if strings.Contains(a, "*") || strings.Contains(a, "delete") && !strings.HasSuffix(a, "/read") || strings.Contains(a, "purge") || strings.Contains(a, "backup") {
				t.Errorf("%s needs %s", remedy, a)
			}
		}
	}
	if r := plan.RightsUnder(policy.Default()); len(r.Actions)+len(r.DataActions) != 0 {
		t.Errorf("a dry run needs %+v", r)
	}
	p := policy.Default()
	p.Remedies = map[string]policy.Mode{plan.RecoverKey: policy.DryRun}
	p.Rules = []policy.Rule{{Remedies: map[string]policy.Mode{plan.RestoreGrant: policy.Approve}}}
	const onlyWhereAsked = "Microsoft.KeyVault/vaults/accessPolicies/write"
	if r := plan.RightsUnder(p); len(r.DataActions) != 0 || !slices.Contains(r.Actions, "Microsoft.Authorization/roleAssignments/write") || slices.Contains(r.Actions, onlyWhereAsked) {
		t.Errorf("%+v", r)
	}
	p.Declared.AccessPolicies = true
	if r := plan.RightsUnder(p); !slices.Contains(r.Actions, onlyWhereAsked) {
		t.Errorf("%+v", r)
	}
}

// What a remedy is said to need at a scope is among its rights.
func TestScopedNeedsAreAmongTheRights(t *testing.T) {
	t.Parallel()
	w := risktest.Healthy(now)
	c := w.Cluster.Value
	c.Kind = "v1"
	for remedy := range plan.Ceilings() {
		r := plan.RightsOf(remedy)
		for _, n := range plan.Rights(remedy, c, w.Vault.Value) {
			if n.Data && (!slices.Contains(r.DataActions, n.Action) || !slices.Contains(r.Permissions, n.Permission)) || !n.Data && !slices.Contains(r.Actions, n.Action) {
				t.Errorf("%s needs %s (%s), which RightsOf lacks", remedy, n.Action, n.Permission)
			}
		}
	}
}
