package app_test

import (
	"net/http"
	"strings"
	"testing"

	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
)

// TestAPersonAsksForAQuarantine: a proven person's request is taken, changes nothing
// and leads to a plan; what names no key of another vault is refused with the mend.
func TestAPersonAsksForAQuarantine(t *testing.T) {
	t.Parallel()
	sim, key, env, _ := keyed(t)
	const root = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg/providers/"
	sim.AddVault(azuresim.Vault{ID: azureid.MustResource(root + "Microsoft.KeyVault/vaults/kv-safe"), Location: "westeurope", RBAC: true, SoftDelete: true, PurgeProtection: true})
	env = append(env, "CMKGUARD_APPROVAL_TENANT="+directory, "CMKGUARD_APPROVAL_AUDIENCE="+approvers)
	mine := append([]string{"CMKGUARD_APPROVER_TOKEN=" + sim.SignIn(object("1"), approvers, nil)}, env...)
	ask := func(env []string, to string) (string, int) {
		return run(t, env, "quarantine", key.String(), "--to", to, "--reason", "INC-1")
	}
	for to, want := range map[string]string{
		"kv-safe": "want VAULT/NAME", "kv-safe/a/b": "", "kv-safe.vault.azure.net/orders": "want VAULT/NAME", "kv-a/orders": "want another vault", "/orders": "want VAULT/NAME",
	} {
		if text, code := ask(mine, to); code == 0 || !strings.Contains(text, want) {
			t.Errorf("--to %s: exit %d: %s", to, code, text)
		}
	}
	if text, code := ask(append([]string{"CMKGUARD_APPROVER_TOKEN=token"}, env...), "kv-safe/orders"); code == 0 {
		t.Errorf("nobody proven was taken: %s", text)
	}
	if text, _ := run(t, env, "plan"); strings.Contains(text, "quarantine-compromised") {
		t.Fatalf("a plan that nobody asked for:\n%s", text)
	}
	if text, code := ask(mine, "kv-safe/orders"); code != 0 || !strings.Contains(text, "person") && !strings.Contains(text, object("1")) {
		t.Fatalf("exit %d: %s", code, text)
	}
	text, _ := run(t, env, "plan")
	for _, want := range []string{"quarantine-compromised for key:kv-a.vault.azure.net/kek", "POST https://kv-safe.vault.azure.net/keys/orders/create", "cache-a"} {
		if !strings.Contains(text, want) {
			t.Errorf("the plan lacks %q:\n%s", want, text)
		}
	}
	for _, c := range sim.Calls() {
		if c.Caller == "guard" && c.Method != http.MethodGet && !strings.HasSuffix(c.Path, "/resources") {
			t.Errorf("a request changed something: %s %s", c.Method, c.Path)
		}
	}
}
