package guard_test

import (
	"fmt"
	"net/http"
	"testing"

	"cmkguard/internal/approval"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/plan"
)

// What an access policy lacks is added to it, and nothing of anybody's is lost,
// whichever way the service takes an addition to an entry that is there.
func TestAnAccessPolicyIsOnlyAddedTo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		have     []string
		replaces bool
		want     string
	}{
		"merged":          {[]string{"get", "list"}, false, "[get list wrapKey unwrapKey] [get]"},
		"taken its place": {[]string{"get", "list"}, true, "[get list wrapKey unwrapKey] [get]"},
		"none of keys":    {nil, true, "[get wrapKey unwrapKey] [get]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := young(t, plan.RestoreGrant, func(o *setup) { o.azure.AddReplaces = c.replaces })
			w.accessPolicies()
			before := fmt.Sprint(w.vault().Policies[0], w.vault().Policies[2])
			w.sim.ChangeVault(host, func(v *azuresim.Vault) { v.Policies[1].Keys = c.have })
			w.hint()
			w.run(1)
			for n := 1; n <= 2; n++ {
				_, err := w.g.Decide(ctx, w.plans(plan.RestoreGrant)[0].Plan.ID, approval.Approve, person(n), "go")
				must(t, err)
			}
			w.run(1)
			p := w.vault().Policies
			if got := fmt.Sprint(p[1].Keys, " ", p[1].Secrets); got != c.want || len(p) != 3 || fmt.Sprint(p[0], p[2]) != before {
				t.Fatalf("%s, %v", got, p)
			}
			if w.changes() != 1 || w.sim.Count(http.MethodPut, "/accessPolicies/add") != 1 || !w.told.has("", "Done: restore-grant") {
				t.Fatalf("%d changes", w.changes())
			}
		})
	}
}

// Off by default; the alert says what to do. A vault that was switched to roles since
// is left alone.
func TestAccessPoliciesAreNotWrittenUnlessThePolicySays(t *testing.T) {
	t.Parallel()
	w := young(t, "", nil)
	w.accessPolicies()
	w.sim.ChangeVault(host, func(v *azuresim.Vault) { v.Policies = v.Policies[:1] })
	w.hint()
	w.run(1)
	if len(w.plans(plan.RestoreGrant)) != 0 || !w.told.asks("restoreAccessPolicies: true") {
		t.Fatal("planned, or people were not told how to let it")
	}
	w.g.Policy.Declared.AccessPolicies = true
	w.hint()
	w.run(1)
	h := w.plans(plan.RestoreGrant)[0]
	w.sim.ChangeVault(host, func(v *azuresim.Vault) { v.RBAC = true })
	for n := 1; n <= 2; n++ {
		_, err := w.g.Decide(ctx, h.Plan.ID, approval.Approve, person(n), "go")
		must(t, err)
	}
	w.run(1)
	if w.changes() != 0 {
		t.Fatal("an access policy was written to a vault of roles")
	}
}
