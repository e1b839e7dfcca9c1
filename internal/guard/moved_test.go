package guard_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azuresim"
	"cmkguard/internal/event"
	"cmkguard/internal/incident"
	"cmkguard/internal/policy"
)

// unresolved are the checks whose incidents stand at a subject.
func (w *world) unresolved(s event.Subject) (out []string) {
	w.t.Helper()
	rows, err := w.b.State.Scan(ctx, incident.Partition(s), "incident~", "incident~~", 100)
	must(w.t, err)
	for _, row := range rows {
		var i incident.Incident
		must(w.t, json.Unmarshal(row.Value, &i))
		if i.State != incident.Resolved {
			out = append(out, i.Check+" "+string(i.State))
		}
	}
	return out
}

// What stood at the cluster because its vault was not there to be read ends when the
// vault is back and answers for itself, whether it answers well or not.
func TestWhatStoodAtTheClusterEndsWhenTheVaultAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v2", created: 30 * 24 * time.Hour, mode: policy.DryRun})
	cluster := event.Subject{Kind: event.SubjectCluster, ID: w.cluster.Key()}
	vault := event.Subject{Kind: event.SubjectVault, ID: strings.ToLower(root + "Microsoft.KeyVault/vaults/kv-a")}
	change := func(f func(*azuresim.Vault)) {
		w.sim.ChangeVault(host, f)
		w.sim.Clock().Advance(25 * time.Hour) // the next look at everything is due
		w.look()
		w.run(1)
	}
	change(func(v *azuresim.Vault) { v.Deleted = true })
	gone := strings.Join(w.unresolved(cluster), ", ")
	if !strings.Contains(gone, "CMK-031 uncertain") || !strings.Contains(gone, "CMK-038 uncertain") {
		t.Fatalf("at the cluster, while the vault is not there: %s", gone)
	}
	change(func(v *azuresim.Vault) { v.Deleted, v.PurgeProtection = false, false })
	if left := w.unresolved(cluster); len(left) > 0 {
		t.Errorf("still at the cluster: %v", left)
	}
	if at := strings.Join(w.unresolved(vault), ", "); !strings.Contains(at, "CMK-031 open") {
		t.Errorf("at the vault: %s", at)
	}
}
