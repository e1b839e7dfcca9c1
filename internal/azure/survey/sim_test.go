package survey_test

import (
	"context"
	"testing"
	"time"

	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/azure/cluster"
	"cmkguard/internal/azure/survey"
	"cmkguard/internal/azure/vault"
	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/fault"
	"cmkguard/internal/wiring"
)

const simToken = "sim-token"

type simulated struct {
	sim      *azuresim.Sim
	survey   *survey.Survey
	vault    *vault.Client
	clusters *cluster.Client
	key      azureid.Key
}

// simulate builds a world with one healthy v1 cluster and clients of it.
func simulate(t *testing.T) simulated {
	t.Helper()
	out := simulated{sim: azuresim.New(azuresim.Options{Seed: 1})}
	id := azureid.MustResource(base + "Microsoft.ManagedIdentity/userAssignedIdentities/id-cmk")
	vaultID := azureid.MustResource(base + "Microsoft.KeyVault/vaults/kv-orders-cmk")
	out.sim.AddVault(azuresim.Vault{ID: vaultID, RBAC: true, SoftDelete: true, PurgeProtection: true, Location: "westeurope"})
	out.key = out.sim.AddKey("kv-orders-cmk.vault.azure.net", "redis-kek", azuresim.KeyOptions{Created: out.sim.Clock().Now().Add(-60 * 24 * time.Hour)})
	out.sim.AddIdentity(azuresim.Identity{ID: id, PrincipalID: "22222222-2222-2222-2222-222222222222", ClientID: "33333333-3333-3333-3333-333333333333"})
	out.sim.AddCluster(azuresim.Cluster{
		ID: orders(), Kind: "v1", SKU: "Enterprise_E10", Location: "westeurope", Identities: []azureid.Resource{id},
		CMK: &azuresim.CMK{IdentityType: "userAssignedIdentity", IdentityID: id, KeyURL: out.key.String()},
	})
	out.sim.Assign(vaultID.String(), azuresim.RoleCryptoServiceEncryptionUser, "22222222-2222-2222-2222-222222222222")
	out.sim.AddCaller(azuresim.Caller{Name: "guard", ObjectID: "55555555-5555-5555-5555-555555555555", Token: simToken, Reads: true, Writes: true})
	out.sim.Assign(vaultID.String(), azuresim.RoleCryptoOfficer, "55555555-5555-5555-5555-555555555555")
	srv, err := out.sim.Serve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	path, err := srv.WriteProfile(t.TempDir(), simToken)
	if err != nil {
		t.Fatal(err)
	}
	p, err := cloud.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	cred, err := p.Credential("")
	if err != nil {
		t.Fatal(err)
	}
	if out.survey, err = survey.Connect(p, cred, []string{sub}, p.Clock()); err != nil {
		t.Fatal(err)
	}
	if out.vault, err = vault.New(p, cred, p.Clock()); err != nil {
		t.Fatal(err)
	}
	if out.clusters, err = cluster.New(p, cred, p.Clock()); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRotateAndRewireInASimulatedWorld(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := simulate(t)
	r := s.survey.Run()
	w := r.Wiring(ctx, orders())
	if !w.Cluster.OK() || !w.Identity.OK() || !w.Vault.OK() || !w.Versions.OK() || !w.InUse.OK() || !w.Rotation.OK() ||
		w.Deleted.State != wiring.Absent || !w.Assignments.OK() || !w.Definitions.OK() || !w.Denies.OK() {
		t.Fatalf("%+v", w)
	}
	if w.At != s.sim.Clock().Now() {
		t.Errorf("read at %s, the world's time is %s", w.At, s.sim.Clock().Now())
	}
	if c := r.Consumers(ctx, s.key); !c.Complete || len(c.Clusters) != 1 {
		t.Fatalf("%+v", c)
	}
	made, err := s.vault.Rotate(ctx, s.key, "id-1")
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.clusters.Rewire(ctx, w.Cluster.Value, made, "id-2")
	if err != nil || token == "" {
		t.Fatalf("%q %v", token, err)
	}
	if done, err := s.clusters.Poll(ctx, token); done || err != nil {
		t.Fatalf("%v %v", done, err)
	}
	s.sim.Clock().Advance(10 * time.Minute)
	if done, err := s.clusters.Poll(ctx, token); !done || err != nil {
		t.Fatalf("%v %v", done, err)
	}
	if got := s.clusters.Get(ctx, orders()); !got.OK() || !got.Value.CMK.Key.Equal(made) || !got.Value.Running() {
		t.Errorf("%+v", got)
	}
	if n := s.sim.Count("POST", "/rotate"); n > 2 { // the challenge, and the one
		t.Errorf("%d rotate requests", n)
	}
}

func TestARotationWhoseAnswerIsCutIsUnknownAndMadeOneVersion(t *testing.T) {
	t.Parallel()
	for _, mode := range []azuresim.Mode{azuresim.Drop, azuresim.After} {
		s := simulate(t)
		if _, err := s.vault.Rotate(context.Background(), s.key, "id-0"); err != nil { // the challenge is behind us
			t.Fatal(err)
		}
		s.sim.Inject(azuresim.Fault{Method: "POST", Path: "/keys/*/rotate", Times: 1, Mode: mode, Status: 503, Code: "ServiceUnavailable"})
		_, err := s.vault.Rotate(context.Background(), s.key, "id-1")
		if fault.KindOf(err) != fault.Unknown {
			t.Errorf("%s: %v", mode, err)
		}
		if f := s.vault.Versions(context.Background(), s.key); !f.OK() || len(f.Value) != 3 {
			t.Errorf("%s: %+v", mode, f)
		}
	}
}
