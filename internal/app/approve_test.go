package app_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
)

const (
	approvers = "55555555-5555-5555-5555-555555555555"
	directory = "44444444-4444-4444-4444-444444444444"
)

// keyed is a world with a cluster whose key is near its expiry.
func keyed(t *testing.T) (sim *azuresim.Sim, key azureid.Key, env []string, dir string) {
	t.Helper()
	sim = azuresim.New(azuresim.Options{Wall: time.Now})
	m := sim.AddSample("v1", 365*24*time.Hour)
	srv, err := sim.Serve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	dir = t.TempDir()
	profile, err := srv.WriteProfile(dir, m.Token)
	if err != nil {
		t.Fatal(err)
	}
	return sim, m.Key, []string{
		"CMKGUARD_STATE=file:" + filepath.Join(dir, "state"), "CMKGUARD_CLOUD=" + profile,
		"CMKGUARD_SUBSCRIPTIONS=" + m.Subscription, "CMKGUARD_REMEDIATOR_CLIENT_ID=remediator",
	}, dir
}

func object(n string) string { return "00000000-0000-0000-0000-0000000000a" + n }

// TestTwoPeopleBringADeletedKeyBack goes the whole way through the program: a key
// is deleted, the alert names the plan, two people with tokens of their own approve
// it, and the key is back.
func TestTwoPeopleBringADeletedKeyBack(t *testing.T) {
	t.Parallel()
	sim, key, env, dir := keyed(t)
	sim.ChangeVersion(key, func(v *azuresim.Version) { v.Expires = nil })
	file := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(file, []byte("version: 1\nremedies: {recover-key: approve}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env = append(env, "CMKGUARD_POLICY="+file, "CMKGUARD_APPROVAL_TENANT="+directory, "CMKGUARD_APPROVAL_AUDIENCE="+approvers)
	url, out, _ := serve(t, env)
	sim.DeleteKey(key)
	post(t, url, sim.AccessPolicyChanged(key.Host, "e1"))
	id := ""
	eventually(t, out, "an alert that names the plan to approve", func() bool {
		m := regexp.MustCompile(`cmkguard approve (recover-key~[0-9a-f]+)`).FindStringSubmatch(out.String())
		if m != nil {
			id = m[1]
		}
		return m != nil
	})
	if text, code := run(t, env, "plan", id); code != 0 || !strings.Contains(text, "POST https://kv-a.vault.azure.net/deletedkeys/kek/recover") || !strings.Contains(text, "IRREVERSIBLE") {
		t.Fatalf("exit %d:\n%s", code, text)
	}
	as := func(n string, claims map[string]any) []string {
		return append([]string{"CMKGUARD_APPROVER_TOKEN=" + sim.SignIn(object(n), approvers, claims)}, env...)
	}
	for name, who := range map[string][]string{
		"no token that proves anything": append([]string{"CMKGUARD_APPROVER_TOKEN=token"}, env...),
		"a person without the role":     as("9", map[string]any{"roles": []string{}}),
		"an application":                as("9", map[string]any{"idtyp": "app"}),
	} {
		if text, code := run(t, who, "approve", id, "--reason", "let me"); code != 1 || !strings.Contains(text, "proves nobody") {
			t.Errorf("%s: exit %d:\n%s", name, code, text)
		}
	}
	for _, n := range []string{"1", "2"} {
		if text, code := run(t, as(n, nil), "approve", id, "--reason", "deleted by mistake"); code != 0 {
			t.Fatalf("exit %d:\n%s", code, text)
		}
	}
	eventually(t, out, "the key to be recovered", func() bool {
		sim.Clock().Advance(time.Second)
		return sim.Count(http.MethodPost, "/deletedkeys/kek/recover") == 1
	})
	eventually(t, out, "the end to be told", func() bool {
		sim.Clock().Advance(time.Second)
		return strings.Contains(out.String(), "Done: recover-key")
	})
	if text, code := run(t, env, "audit", "verify"); code != 0 {
		t.Fatalf("exit %d:\n%s", code, text)
	}
	if text, _ := run(t, env, "audit", "export"); strings.Count(text, `"kind":"decision"`) != 2 || strings.Contains(text, "eyJ") {
		t.Fatal("the record holds other than two decisions, or a token")
	}
}

func TestPlanShowsWhatWouldRunAndStoresNothing(t *testing.T) {
	t.Parallel()
	_, _, env, dir := keyed(t)
	file := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(file, []byte("version: 1\nremedies: {rotate: auto, rewire: auto}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text, code := run(t, env, "plan")
	if code != 0 || !strings.Contains(text, "dry run") || !strings.Contains(text, "1 plans, 0 of them would run now") {
		t.Fatalf("exit %d:\n%s", code, text)
	}
	live := append([]string{"CMKGUARD_POLICY=" + file, "CMKGUARD_REMEDIATOR_CLIENT_ID=remediator"}, env...)
	for range 2 { // the second time as the first: nothing is remembered
		if text, code = run(t, live, "plan"); code != 3 || !strings.Contains(text, "1 plans, 1 of them would run now") {
			t.Fatalf("exit %d:\n%s", code, text)
		}
	}
}

func TestErasureIsDecidedByTwoAndCertified(t *testing.T) {
	t.Parallel()
	sim, key, env, _ := keyed(t)
	env = append(env, "CMKGUARD_APPROVAL_TENANT="+directory, "CMKGUARD_APPROVAL_AUDIENCE="+approvers)
	certificate := func() (c struct{ State, PurgeAt string }, code int) {
		text, code := run(t, env, "erase", key.String(), "--certificate")
		if i := strings.LastIndex(text, "}"); i < 0 || json.Unmarshal([]byte(text[strings.Index(text, "{"):i+1]), &c) != nil {
			t.Fatalf("not a certificate:\n%s", text)
		}
		return c, code
	}
	if c, code := certificate(); c.State != "not-decided" || code != 3 {
		t.Fatalf("%+v, exit %d", c, code)
	}
	for _, n := range []string{"1", "2"} {
		who := append([]string{"CMKGUARD_APPROVER_TOKEN=" + sim.SignIn(object(n), approvers, nil)}, env...)
		if text, code := run(t, who, "erase", key.String(), "--reason", "contract 17 ended"); code != 0 {
			t.Fatalf("exit %d:\n%s", code, text)
		}
	}
	if c, code := certificate(); c.State != "live" || code != 3 {
		t.Fatalf("%+v, exit %d", c, code)
	}
	sim.DeleteKey(key)
	if c, code := certificate(); c.State != "deleted" || c.PurgeAt == "" || code != 0 {
		t.Fatalf("%+v, exit %d", c, code)
	}
}
