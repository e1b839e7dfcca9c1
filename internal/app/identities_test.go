package app_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azuresim"
)

// as is a world whose one token proves an object id, as managed identities' do.
func as(t *testing.T, object string) (sim *azuresim.Sim, sample azuresim.Sample, env []string) {
	t.Helper()
	sim = azuresim.New(azuresim.Options{Wall: time.Now})
	sample = sim.AddSample("v1", 365*24*time.Hour)
	token := sim.SignIn(object, "arm", nil)
	sim.AddCaller(azuresim.Caller{Name: "observer", ObjectID: object, Token: token, Reads: true, Writes: true})
	srv, err := sim.Serve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	dir := t.TempDir()
	profile, err := srv.WriteProfile(dir, token)
	if err != nil {
		t.Fatal(err)
	}
	return sim, sample, []string{
		"CMKGUARD_STATE=file:" + filepath.Join(dir, "state"), "CMKGUARD_CLOUD=" + profile, "CMKGUARD_SUBSCRIPTIONS=" + sample.Subscription,
	}
}

func TestIdentitiesShowsWhatGoesBeyond(t *testing.T) {
	t.Parallel()
	const object = "99999999-0000-0000-0000-000000000001"
	sim, sample, env := as(t, object)
	if text, code := run(t, env, "identities"); code != 0 || !strings.Contains(text, "object id "+object) || !strings.Contains(text, "may do nothing beyond") || !strings.Contains(text, "nothing can write") {
		t.Fatalf("exit %d:\n%s", code, text)
	}
	sim.Assign(sample.Vault.String(), azuresim.RoleCryptoOfficer, object)
	text, code := run(t, env, "identities")
	if code != 3 || !strings.Contains(text, "critical  Microsoft.KeyVault/vaults/keys/*  (role Key Vault Crypto Officer at "+sample.Vault.Key()+")") {
		t.Fatalf("exit %d:\n%s", code, text)
	}
	both := append([]string{"CMKGUARD_REMEDIATOR_CLIENT_ID=x"}, env...)
	if text, code := run(t, both, "identities"); code != 3 || !strings.Contains(text, "are one identity") || !strings.Contains(text, "remediator  client id x") {
		t.Fatalf("exit %d:\n%s", code, text)
	}
	if text, code := run(t, env, "identities", "--json"); code != 3 || !strings.Contains(text, `"severity":"critical"`) {
		t.Fatalf("exit %d:\n%s", code, text)
	}
	_, out, _ := serve(t, env)
	eventually(t, out, "the excess to be told at the start", func() bool { return strings.Contains(out.String(), "SELF-021") })
	if !strings.Contains(out.String(), "no remediator is configured") {
		t.Error("the start does not say that nothing can write")
	}
}

// An opaque token shows no object id: that is unknown, and not a finding.
func TestIdentitiesSaysWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	_, _, env, _ := keyed(t)
	text, code := run(t, env, "identities")
	if code != 0 || strings.Count(text, "object id unknown") != 2 || !strings.Contains(text, "no identity with this client id") {
		t.Fatalf("exit %d:\n%s", code, text)
	}
}

// Without a remediator nothing is written though every gate were open: the clients
// themselves refuse.
func TestWithoutARemediatorNothingIsWritten(t *testing.T) {
	t.Parallel()
	sim, key, env, dir := keyed(t)
	file := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(file, []byte("version: 1\nremedies: {rotate: auto, rewire: auto}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env = append(env[:len(env)-1], "CMKGUARD_POLICY="+file)
	base, out, _ := serve(t, env)
	post(t, base, sim.NearExpiry(key, "e1"))
	eventually(t, out, "the held rotation", func() bool {
		return strings.Contains(out.String(), "so nothing can write") && strings.Contains(out.String(), "rotate is held")
	})
	if sim.Count(http.MethodPost, "/rotate") != 0 {
		t.Fatal("it rotated")
	}
}
