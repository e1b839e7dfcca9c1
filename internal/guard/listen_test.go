package guard_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/policy"
)

// What would tell us of a vault is asked once per reconcile, however many keys it
// holds, and by another key's look each time.
func TestAVaultIsListenedToOncePerReconcile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v2", created: 72 * time.Hour, mode: policy.DryRun})
	w.g.Reconcile = time.Hour
	for n := range 4 {
		k := w.sim.AddKey(host, fmt.Sprintf("kek-%d", n), azuresim.KeyOptions{Created: w.sim.Clock().Now().Add(-72 * time.Hour), Policy: azuresim.Rotation{ExpiryTime: "P365D"}})
		c := w.sim.Cluster(w.cluster)
		cmk := *c.CMK
		cmk.KeyURL = k.String()
		c.ID, c.CMK = azureid.MustResource(fmt.Sprintf("%sMicrosoft.Cache/redisEnterprise/cache-%d", root, n)), &cmk
		w.sim.AddCluster(c)
	}
	count := func() int { return w.sim.Count(http.MethodGet, "/diagnosticSettings") }
	for hour := range 3 {
		before, looks := count(), w.sim.Count(http.MethodGet, "/versions")
		w.hours(1)
		if n := count() - before; n != 1 {
			t.Fatalf("hour %d: %d reads of the vault's diagnostic settings, want 1", hour, n)
		}
		if n := w.sim.Count(http.MethodGet, "/versions") - looks; n < 5 {
			t.Fatalf("hour %d: only %d keys were looked at", hour, n)
		}
	}
	w.want("the log goes nowhere", "CMK-040", 1, 0)
	// The key whose turn it is cannot be looked at: another's look asks in its turn.
	for n := range 4 {
		w.refuse(422, http.MethodGet, fmt.Sprintf("%sMicrosoft.Cache/redisEnterprise/cache-%d", root, n))
	}
	before := count()
	w.hours(12)
	if n := count() - before; n == 0 {
		t.Fatal("the vault was left unasked")
	}
}
