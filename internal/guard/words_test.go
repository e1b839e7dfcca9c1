package guard_test

import (
	"encoding/json"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/examples"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/policy"
)

// first returns the alert of the check that opened it.
func (c *told) first(t *testing.T, check string) alert.Alert {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.all {
		if a.Check == check && a.Lifecycle == alert.Trigger {
			return a
		}
	}
	t.Fatalf("nothing was told of %s", check)
	return alert.Alert{}
}

// What somebody reads at night is there: what, until when, and the commands with the
// real names, of which each is a line that a shell can parse.
func TestWhatAnAlertSaysAboutARevocation(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct{ check, title, looks, mends string }{
		"delete the key": {"CMK-010", "Key deleted: kv-a/kek (CMK-010)",
			"az keyvault key show-deleted --vault-name kv-a --name kek", "az keyvault key recover --vault-name kv-a --name kek"},
		"disable the version": {"CMK-011", "Key version in use is disabled: kv-a/kek (CMK-011)",
			"az keyvault key list-versions --vault-name kv-a --name kek", "az keyvault key set-attributes --vault-name kv-a --name kek --version c76640ccc01e0cbc31c171346478bf4d --enabled true"},
		"remove the grant": {"CMK-050", "Identity lost its access to the key: cache-a (CMK-050)",
			"az role assignment list --include-inherited --assignee 22222222-2222-2222-2222-222222222201 --scope /subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/kv-a",
			"az role assignment create --role 'Key Vault Crypto Service Encryption User'"},
		"close the firewall": {"CMK-038", "Vault's firewall keeps the service out: kv-a (CMK-038)",
			"az monitor activity-log list --offset 2d --resource-id /subscriptions/", "az keyvault update --name kv-a --bypass AzureServices"},
		"strip the operations": {"CMK-016", "Key's permitted operations are wrong: kv-a/kek (CMK-016)", "", "--ops wrapKey unwrapKey"},
		"delete the vault":     {"CMK-036", "Vault is deleted: kv-a (CMK-036)", "az keyvault show-deleted --name kv-a", "az keyvault recover --name kv-a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{kind: "v1", created: 30 * 24 * time.Hour, loosest: true})
			w.g.PublicURL, w.g.Policy.Runbooks = "https://cmk.example.com", "https://wiki.example.com/cmk#"
			revocations()[name].revoke(w)
			w.hint()
			w.run(1)
			a := w.told.first(t, want.check)
			var lines []string
			for _, c := range a.Commands {
				lines = append(lines, c.Line)
				if out, err := exec.Command("sh", "-n", "-c", c.Line).CombinedOutput(); err != nil {
					t.Errorf("%s: %s", c.Line, out)
				}
			}
			all := strings.Join(lines, "\n")
			if a.Title != want.title || !strings.Contains(all, want.looks) || !strings.Contains(all, want.mends) || !strings.Contains(all, "cmkguard approve ") {
				t.Errorf("%q\n%s", a.Title, all)
			}
			if a.Runbook != "https://wiki.example.com/cmk#"+strings.ToLower(want.check) || len(a.Links) != 3 || a.Links[1].Label != "acknowledge" || a.Links[2].Label != "silence" || !strings.HasPrefix(a.Links[0].URL, "https://cmk.example.com/api/approvals/") {
				t.Errorf("runbook %s, links %v", a.Runbook, a.Links)
			}
			if (a.By != nil) != (a.ByMeans != "") || a.DryRun {
				t.Errorf("by %v means %q, dry run %v", a.By, a.ByMeans, a.DryRun)
			}
		})
	}
}

// A rotation that the policy only shows is told as a dry run; what it hits is not
// in question.
func TestUpkeepThatIsOnlyShownSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v2", created: year, mode: policy.DryRun})
	w.take(w.sim.NearExpiry(w.key, "e1"))
	w.run(1)
	a := w.told.first(t, "CMK-013")
	if !a.DryRun || !strings.HasPrefix(a.Commands[0].Line, "cmkguard plan rotate~") || a.ByMeans != "then the key version expires" {
		t.Errorf("%+v", a)
	}
	if other := w.told.first(t, "CMK-021"); other.DryRun || other.Runbook != "docs/checks.md#cmk-021" {
		t.Errorf("%+v", other)
	}
}

// fields are the names of what an alert says anything in.
func fields(t *testing.T, a alert.Alert) []string {
	t.Helper()
	raw, err := json.Marshal(a)
	must(t, err)
	var m map[string]json.RawMessage
	must(t, json.Unmarshal(raw, &m))
	// Who did it is a claim of an event; these worlds are only looked at. At is set by
	// the outbox.
	for _, name := range []string{"actor", "at"} {
		delete(m, name)
	}
	return slices.Sorted(maps.Keys(m))
}

// labels are what its pages are called.
func labels(a alert.Alert) (out []string) {
	for _, l := range a.Links {
		out = append(out, l.Label)
	}
	return out
}

// The examples that are shown, tested and drawn are made of the same as what is sent.
func TestTheExamplesAreLikeTheRealOnes(t *testing.T) {
	t.Parallel()
	same := func(t *testing.T, name string, real alert.Alert) {
		t.Helper()
		e, ok := examples.Find(name, examples.At())
		if !ok {
			t.Fatalf("no example %s", name)
		}
		if name == "vault-deleted" { // the simulated vault names no purge date
			real.By, real.ByMeans = e.Alert.By, e.Alert.ByMeans
		}
		if diff := cmp.Diff(fields(t, e.Alert), fields(t, real)); diff != "" {
			t.Errorf("%s (- example, + real): %s", name, diff)
		}
		head := func(a alert.Alert) string {
			s, _, _ := strings.Cut(strings.TrimPrefix(a.Title, alert.Fixed), ":")
			return s
		}
		if e.Alert.Severity != real.Severity || head(e.Alert) != head(real) || e.Alert.Lifecycle != real.Lifecycle {
			t.Errorf("%s: %s %s %q, really %s %s %q", name, e.Alert.Lifecycle, e.Alert.Severity, e.Alert.Title, real.Lifecycle, real.Severity, real.Title)
		}
		if diff := cmp.Diff(labels(e.Alert), labels(real)); diff != "" {
			t.Errorf("%s: pages (- example, + real): %s", name, diff)
		}
		if len(e.Alert.Commands) != len(real.Commands) {
			t.Errorf("%s: commands %v, really %v", name, e.Alert.Commands, real.Commands)
		}
	}
	for revocation, name := range map[string]struct{ example, check string }{
		"delete the key": {"key-deleted", "CMK-010"}, "disable the version": {"key-disabled", "CMK-011"}, "remove the grant": {"access-lost", "CMK-050"},
		"delete the vault": {"vault-deleted", "CMK-036"}, "detach the identity": {"identity-detached", "CMK-006"},
	} {
		t.Run(name.example, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{kind: "v1", created: 30 * 24 * time.Hour, loosest: true})
			w.g.PublicURL = "https://cmkguard.example.com"
			revocations()[revocation].revoke(w)
			w.hint()
			w.run(1)
			same(t, name.example, w.told.first(t, name.check))
		})
	}
	t.Run("upkeep", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, setup{kind: "v2", created: year, mode: policy.DryRun})
		w.g.PublicURL = "https://cmkguard.example.com"
		w.take(w.sim.NearExpiry(w.key, "e1"))
		w.run(1)
		same(t, "dry-run", w.told.first(t, "CMK-013"))
		w = newWorld(t, setup{kind: "v2", created: year, mode: policy.Auto})
		w.g.PublicURL = "https://cmkguard.example.com"
		w.take(w.sim.NearExpiry(w.key, "e1"))
		w.run(3)
		same(t, "near-expiry", w.told.first(t, "CMK-013"))
		same(t, "rotation-done", w.told.titled(t, "Done: rotate"))
		real := w.told.titled(t, alert.Fixed)
		if diff := cmp.Diff(fields(t, example(t, "resolved")), fields(t, real)); diff != "" {
			t.Errorf("resolved (- example, + real): %s", diff)
		}
	})
	t.Run("self", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, setup{kind: "v1", created: year, observe: "the policy is broken"})
		w.g.PublicURL = "https://cmkguard.example.com"
		must(t, w.g.Started(ctx))
		w.run(0)
		same(t, "self-guard", w.told.first(t, "SELF-011"))
	})
}

func example(t *testing.T, name string) alert.Alert {
	t.Helper()
	e, ok := examples.Find(name, examples.At())
	if !ok {
		t.Fatalf("no example %s", name)
	}
	return e.Alert
}

func (c *told) titled(t *testing.T, begin string) alert.Alert {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.all {
		if strings.HasPrefix(a.Title, begin) {
			return a
		}
	}
	t.Fatalf("nothing was told that begins %q", begin)
	return alert.Alert{}
}

// A vault that goes by access policies has no use for a role assignment.
func TestAccessIsGivenBackInTheVaultsOwnWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: 30 * 24 * time.Hour, loosest: true})
	w.g.PublicURL = "https://cmkguard.example.com"
	w.sim.ChangeVault(host, func(v *azuresim.Vault) { v.RBAC = false })
	w.hint()
	w.run(1)
	for _, c := range w.told.first(t, "CMK-050").Commands {
		if strings.Contains(c.Line, "role assignment") {
			t.Errorf("%s", c.Line)
		}
	}
	if !w.told.asks("az keyvault set-policy --name kv-a --key-permissions get wrapKey unwrapKey --object-id 22222222-") {
		t.Errorf("%v", w.told.first(t, "CMK-050").Commands)
	}
}
