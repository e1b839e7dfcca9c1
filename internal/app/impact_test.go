package app_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/impact"
)

// sharedKey is a world with a second cluster on the sample's key, and a storage
// account on the same.
func sharedKey(s *azuresim.Sim, m azuresim.Sample) {
	s.AddCluster(azuresim.Cluster{ID: azureid.MustResource(m.Scope + "Microsoft.Cache/redisEnterprise/cache-b"), Kind: "v1", SKU: "Enterprise_E10", Location: "westeurope",
		Tags: map[string]string{"Owner": "team-b", "env": "prod"}, Identities: []azureid.Resource{m.Identity},
		CMK: &azuresim.CMK{IdentityType: "userAssignedIdentity", IdentityID: m.Identity, KeyURL: m.Key.String()}})
	s.AddGraphRow("resources", map[string]any{"id": m.Scope + "Microsoft.Storage/storageAccounts/stlogs", "type": "Microsoft.Storage/storageAccounts",
		"properties": map[string]any{"encryption": map[string]any{"keyvaultproperties": map[string]any{"keyname": "kek", "keyvaulturi": "https://" + m.Host + "/"}}}})
	s.AddGraphRow("resources", map[string]any{"id": m.Scope + "Microsoft.Storage/storageAccounts/stother", "type": "Microsoft.Storage/storageAccounts",
		"properties": map[string]any{"encryption": map[string]any{"keyvaultproperties": map[string]any{"keyname": "kek-2", "keyvaulturi": "https://" + m.Host + "/"}}}})
}

// askImpact asks about a subject and returns the answers by cluster.
func askImpact(t *testing.T, change func(*azuresim.Sim, azuresim.Sample), subject func(azuresim.Sample) string) (impact.Report, map[string]impact.Answer, int) {
	t.Helper()
	var name string
	env := estate(t, func(s *azuresim.Sim, m azuresim.Sample) {
		if change != nil {
			change(s, m)
		}
		name = subject(m)
	})
	out, code := run(t, env, "impact", name, "-o", "json")
	var r impact.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("exit %d: %v\n%s", code, err, out)
	}
	answers := map[string]impact.Answer{}
	for _, e := range r.Effects {
		answers[e.Name] = e.Answer
	}
	return r, answers, code
}

func TestImpactOfEveryKindOfLoss(t *testing.T) {
	t.Parallel()
	var assignment string
	for name, row := range map[string]struct {
		subject func(azuresim.Sample) string
		change  func(*azuresim.Sim, azuresim.Sample)
		check   string
		others  int
	}{
		"key":          {func(m azuresim.Sample) string { return m.Key.Base().String() }, sharedKey, "CMK-010", 1},
		"version":      {func(m azuresim.Sample) string { return m.Key.String() }, sharedKey, "CMK-011", 1},
		"vault":        {func(m azuresim.Sample) string { return m.Vault.String() }, sharedKey, "CMK-010", 2},
		"vault by URL": {func(m azuresim.Sample) string { return "https://" + m.Host }, sharedKey, "CMK-010", 2},
		"identity":     {func(m azuresim.Sample) string { return m.Identity.String() }, sharedKey, "CMK-007", 0},
		"assignment": {func(azuresim.Sample) string { return assignment }, func(s *azuresim.Sim, m azuresim.Sample) {
			sharedKey(s, m)
			s.Unassign(m.Principal)
			assignment = m.Vault.String() + "/providers/Microsoft.Authorization/roleAssignments/77777777-7777-4777-8777-777777777777"
			s.AssignAs(azuresim.RoleAssignment{ID: assignment, Scope: m.Vault.String(), RoleID: azuresim.RoleCryptoServiceEncryptionUser, PrincipalID: m.Principal,
				Type: "ServicePrincipal", CreatedOn: s.Clock().Now().Add(-1000 * time.Hour)})
		}, "CMK-050", 0},
	} {
		r, answers, code := askImpact(t, row.change, row.subject)
		if code != 3 || answers["cache-a"] != impact.Breaks || answers["cache-b"] != impact.Breaks || len(answers) != 2 {
			t.Errorf("%s: exit %d, %v", name, code, answers)
			continue
		}
		if len(r.Others) != row.others {
			t.Errorf("%s: others %v, want %d", name, r.Others, row.others)
		}
		for _, e := range r.Effects {
			if e.Check != row.check && (row.check != "CMK-010" || e.Check != "CMK-036") || e.Breaks == "" {
				t.Errorf("%s: %s: %s %q, want %s", name, e.Name, e.Check, e.Breaks, row.check)
			}
			if e.Name == "cache-b" && (e.Owner != "team-b" || e.Tags["env"] != "prod") {
				t.Errorf("%s: owner and tags are %q %v", name, e.Owner, e.Tags)
			}
		}
		if !strings.Contains(r.Recover, "recoverable until 20") {
			t.Errorf("%s: %s", name, r.Recover)
		}
	}
}

// A second grant that is enough keeps the access: losing one of them hurts nobody.
func TestImpactSeesTheSecondGrant(t *testing.T) {
	t.Parallel()
	var id string
	r, answers, code := askImpact(t, func(s *azuresim.Sim, m azuresim.Sample) {
		id = m.Vault.String() + "/providers/Microsoft.Authorization/roleAssignments/77777777-7777-4777-8777-777777777777"
		s.AssignAs(azuresim.RoleAssignment{ID: id, Scope: m.Vault.String(), RoleID: azuresim.RoleCryptoServiceEncryptionUser, PrincipalID: m.Principal,
			Type: "ServicePrincipal", CreatedOn: s.Clock().Now().Add(-1000 * time.Hour)})
	}, func(azuresim.Sample) string { return id })
	if code != 0 || answers["cache-a"] != impact.Keeps || !r.Nobody() {
		t.Errorf("exit %d, %v: %s", code, answers, r.Summary())
	}
}

// "Nobody" is said only when the rights to see everybody were verified.
func TestImpactNobodyIsProvedOrUnknown(t *testing.T) {
	t.Parallel()
	unused := func(s *azuresim.Sim, m azuresim.Sample) {
		s.AddKey(m.Host, "idle", azuresim.KeyOptions{Created: s.Clock().Now().AddDate(0, 0, -9)})
	}
	idle := func(m azuresim.Sample) string { return "https://" + m.Host + "/keys/idle" }
	r, _, code := askImpact(t, unused, idle)
	if code != 0 || !r.Nobody() || !strings.Contains(r.Summary(), "nobody is hurt") {
		t.Errorf("exit %d: %s", code, r.Summary())
	}
	r, _, code = askImpact(t, func(s *azuresim.Sim, m azuresim.Sample) {
		unused(s, m)
		s.Inject(azuresim.Fault{Method: "GET", Path: "/subscriptions/*/providers/Microsoft.Authorization/permissions", Times: 100, Mode: azuresim.Refuse, Status: 403, Code: "AuthorizationFailed"})
	}, idle)
	if code != 3 || r.Nobody() || !strings.Contains(r.Summary(), "unknown") || strings.Contains(r.Summary(), "nobody") {
		t.Errorf("our rights are not known: exit %d: %s", code, r.Summary())
	}
}

// What is deleted already is told with its real date, and as what it is.
func TestImpactOfADeletedKeyTellsItsPurgeDate(t *testing.T) {
	t.Parallel()
	r, answers, code := askImpact(t, func(s *azuresim.Sim, m azuresim.Sample) { s.DeleteKey(m.Key) }, func(m azuresim.Sample) string { return m.Key.Base().String() })
	if code != 3 || answers["cache-a"] != impact.Already || !strings.Contains(r.Recover, "was deleted on 2026-11-01 and can be recovered until 2027-") {
		t.Errorf("exit %d, %v: %s", code, answers, r.Recover)
	}
}

func TestImpactNamesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	env := estate(t, func(*azuresim.Sim, azuresim.Sample) {})
	for subject, want := range map[string]string{
		"https://example.com/keys/kek": "example.com",
		"kek":                          "want https://VAULT/keys/NAME",
		"/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg/providers/Microsoft.Compute/disks/d": "want a vault",
	} {
		if out, code := run(t, env, "impact", subject); code != 2 || !strings.Contains(out, want) {
			t.Errorf("%s: exit %d:\n%s", subject, code, out)
		}
	}
	if out, code := run(t, env, "impact", "https://kv-a.vault.azure.net", "-o", "xml"); code != 2 || !strings.Contains(out, "--output") {
		t.Errorf("exit %d:\n%s", code, out)
	}
	out, code := run(t, env, "impact", "https://kv-a.vault.azure.net/keys/kek")
	if code != 3 || !strings.Contains(out, "breaks: 1") || !strings.Contains(out, "cache-a") {
		t.Errorf("exit %d:\n%s", code, out)
	}
	t.Log(out)
}
