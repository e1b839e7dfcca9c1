package guard_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/approval"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/guard"
	"cmkguard/internal/plan"
)

// A vault is deleted with its keys. Two people have it recovered; its role
// assignments and its event subscription do not come back with it, show as incidents
// of their own, and are given back: the grant after two people decided it, by what the
// inventory knows of it, the ears by themselves.
func TestARecoveredVaultGetsItsGrantsAndItsEarsBack(t *testing.T) {
	t.Parallel()
	for name, keep := range map[string]bool{"the topic is gone too": false, "the topic stayed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := young(t, plan.RecreateEvents, func(o *setup) { o.azure.KeepTopics = keep })
			w.g.Policy.Limits.Risk.EventTargets = []string{function}
			// Our own rights lie above the vault (infra/access.bicep), and outlive it.
			w.sim.Assign("/subscriptions/"+sub+"/resourceGroups/rg", azuresim.RoleCryptoOfficer, "99999999-9999-9999-9999-999999999999")
			w.sim.SetEvents(host, "cmkguard-kv-a", map[string]map[string]any{"cmkguard": leads(function, "Succeeded")})
			w.look()
			w.run(1)
			if w.changes() != 0 {
				t.Fatalf("%d changes while all was well", w.changes())
			}
			w.sim.ChangeVault(host, func(v *azuresim.Vault) { v.Deleted = true })
			w.hint()
			w.run(1)
			w.decideOn(plan.RecoverVault)
			w.run(1)
			if w.vault().Deleted || !w.told.has("", "Done: recover-vault") {
				t.Fatal("the vault was not recovered")
			}
			if !w.told.has("CMK-050", "") || !w.told.has("CMK-063", "") {
				t.Fatal("what is lost with the vault was not told")
			}
			if w.sim.Count(http.MethodPut, "") == 0 || strings.Contains(lastWrites(w), "roleAssignments") {
				t.Fatal("a grant was given without people")
			}
			h := w.decideOn(plan.RestoreGrant)
			if from := h.Plan.Steps[0].From; !strings.Contains(from, "before: Key Vault Crypto Service Encryption User on "+strings.ToLower(root+"Microsoft.KeyVault/vaults/kv-a")) {
				t.Errorf("the plan does not say what was there: %s", from)
			}
			w.run(2)
			topic, list := w.sim.Events(host)
			if topic != topicOf || len(list) != 1 || !w.usable() {
				t.Fatalf("topic %s, %d subscriptions, usable %v", topic, len(list), w.usable())
			}
			w.look()
			w.sim.Clock().Advance(25 * time.Hour)
			must(t, w.g.Sweep(ctx))
			w.run(1)
			for _, check := range []string{"CMK-050", "CMK-063", "CMK-036"} {
				if !w.told.has(check, "Fixed") {
					t.Errorf("%s stays open", check)
				}
			}
			want := 3 // the vault, the grant, the subscription
			if !keep {
				want++ // and the topic
			}
			if w.changes() != want {
				t.Errorf("%d changes, want %d", w.changes(), want)
			}
			if r := w.verify(); len(r.Problems) > 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// decideOn has two people approve the one plan of the remedy.
func (w *world) decideOn(remedy string) guard.Held {
	w.t.Helper()
	list := w.plans(remedy)
	if len(list) != 1 {
		w.t.Fatalf("%d plans of %s", len(list), remedy)
	}
	for n := 1; n <= 2; n++ {
		_, err := w.g.Decide(ctx, list[0].Plan.ID, approval.Approve, person(n), "go")
		must(w.t, err)
	}
	return list[0]
}

func lastWrites(w *world) string {
	var out []string
	for _, c := range w.sim.Calls() {
		if c.Method == http.MethodPut {
			out = append(out, c.Path)
		}
	}
	return strings.Join(out, "\n")
}
