package app

import (
	"context"
	"net/http"
	"testing"
	"time"

	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/fault"
	"cmkguard/internal/guard"
)

// TestTheObserversClientsRefuseToWrite: without a remediator no gate has to be right.
func TestTheObserversClientsRefuseToWrite(t *testing.T) {
	t.Parallel()
	sim := azuresim.New(azuresim.Options{})
	m := sim.AddSample("v1", 24*time.Hour)
	srv, err := sim.Serve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	path, err := srv.WriteProfile(t.TempDir(), m.Token)
	if err != nil {
		t.Fatal(err)
	}
	p, err := cloud.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	g := &guard.Guard{}
	if err := connect(g, p, Settings{Subscriptions: []string{m.Subscription}}, sim.Clock().Now); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	cluster := g.Clusters.Get(ctx, m.Cluster)
	if !cluster.OK() || !g.Vault.Versions(ctx, m.Key.Base()).OK() {
		t.Fatal("they do not read")
	}
	_, rotated := g.Vault.Rotate(ctx, m.Key, "id")
	_, moved := g.Clusters.Rewire(ctx, cluster.Value, m.Key, "id")
	if !fault.Is(rotated, fault.Denied) || !fault.Is(moved, fault.Denied) || len(g.Repairs) != 0 {
		t.Fatalf("%v, %v, %d repairs", rotated, moved, len(g.Repairs))
	}
	for _, c := range sim.Calls() {
		if c.Method == http.MethodPatch || c.Method == http.MethodPost && c.Path != "/providers/Microsoft.ResourceGraph/resources" {
			t.Errorf("%s %s was sent", c.Method, c.Path)
		}
	}
}
