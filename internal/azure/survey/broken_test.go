package survey_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azure/survey"
	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/risk"
	"cmkguard/internal/wiring"
)

func (e *estate) cluster(f func(*azuresim.Cluster)) { e.sim.ChangeCluster(orders(), f) }
func (e *estate) vault(f func(*azuresim.Vault))     { e.sim.ChangeVault(kvHost, f) }
func (e *estate) keyOf(f func(*azuresim.Key)) {
	e.vault(func(v *azuresim.Vault) { f(v.Keys["redis-kek"]) })
}
func (e *estate) version(f func(*azuresim.Version)) {
	e.keyOf(func(k *azuresim.Key) { f(k.Versions[0]) })
}
func (e *estate) in(d time.Duration) *time.Time { at := e.sim.Clock().Now().Add(d); return &at }

const day = 24 * time.Hour

type breakage struct {
	name, check string
	do          func(*estate)
}

func brokenChains() []breakage {
	sensitive := func(c *azuresim.Cluster) {
		c.Tags = map[string]string{"owner": "o", "costCentre": "1", "dataClassification": "restricted"}
	}
	return []breakage{
		{"no key", "CMK-001", func(e *estate) { e.cluster(func(c *azuresim.Cluster) { c.CMK = nil }) }},
		{"classic tier", "CMK-002", func(e *estate) {
			e.sim.AddGraphRow("resources", object{"id": base + "Microsoft.Cache/Redis/old", "type": "Microsoft.Cache/Redis", "location": "westeurope",
				"tags": object{"owner": "o", "costCentre": "1"}, "properties": object{"sku": object{"name": "Premium"}}})
		}},
		{"tier that retires", "CMK-003", func(e *estate) { e.cluster(func(c *azuresim.Cluster) { c.SKU = "Enterprise_E10" }) }},
		{"update failed", "CMK-004", func(e *estate) {
			e.cluster(func(c *azuresim.Cluster) { c.ProvisioningState, c.ResourceState = "Failed", "UpdateFailed" })
		}},
		{"no version in the URL", "CMK-005", func(e *estate) { e.cluster(func(c *azuresim.Cluster) { c.CMK.KeyURL = e.key.Base().String() }) }},
		{"foreign URL", "CMK-005", func(e *estate) {
			e.cluster(func(c *azuresim.Cluster) { c.CMK.KeyURL = "https://evil.example/keys/k/aa" })
		}},
		{"identity detached", "CMK-006", func(e *estate) { e.cluster(func(c *azuresim.Cluster) { c.Identities = nil }) }},
		{"system-assigned", "CMK-006", func(e *estate) {
			e.cluster(func(c *azuresim.Cluster) { c.CMK.IdentityType = "systemAssignedIdentity" })
		}},
		{"exportable key", "CMK-029", func(e *estate) { e.version(func(v *azuresim.Version) { v.Exportable = true }) }},
		{"identity deleted", "CMK-007", func(e *estate) { e.sim.RemoveIdentity(azureid.MustResource(uami)) }},
		{"identity on a machine", "CMK-008", func(e *estate) {
			e.sim.AddGraphRow("resources", object{"id": base + "Microsoft.Compute/virtualMachines/vm", "type": "Microsoft.Compute/virtualMachines",
				"identity": object{"userAssignedIdentities": object{strings.ToUpper(uami): object{}}}})
		}},
		{"key deleted", "CMK-010", func(e *estate) {
			e.keyOf(func(k *azuresim.Key) { k.Deleted = &azuresim.Deletion{At: *e.in(0), Purge: *e.in(90 * day)} })
		}},
		{"key purged", "CMK-010", func(e *estate) { e.vault(func(v *azuresim.Vault) { v.Keys = map[string]*azuresim.Key{} }) }},
		{"version disabled", "CMK-011", func(e *estate) { e.version(func(v *azuresim.Version) { v.Enabled = false }) }},
		{"expired", "CMK-012", func(e *estate) { e.version(func(v *azuresim.Version) { v.Expires = e.in(-day) }) }},
		{"not yet valid", "CMK-012", func(e *estate) { e.version(func(v *azuresim.Version) { v.NotBefore = e.in(day) }) }},
		{"near expiry", "CMK-013", func(e *estate) { e.version(func(v *azuresim.Version) { v.Expires = e.in(10 * day) }) }},
		{"elliptic curve", "CMK-014", func(e *estate) { e.version(func(v *azuresim.Version) { v.Type = "EC" }) }},
		{"short key", "CMK-015", func(e *estate) { e.version(func(v *azuresim.Version) { v.Modulus = v.Modulus[:128] }) }},
		{"operations stripped", "CMK-016", func(e *estate) { e.version(func(v *azuresim.Version) { v.Ops = []string{"wrapKey"} }) }},
		{"operations added", "CMK-016", func(e *estate) { e.version(func(v *azuresim.Version) { v.Ops = append(v.Ops, "sign") }) }},
		{"software key", "CMK-017", func(e *estate) { e.version(func(v *azuresim.Version) { v.Type = "RSA" }); e.cluster(sensitive) }},
		{"no expiry", "CMK-018", func(e *estate) { e.version(func(v *azuresim.Version) { v.Expires = nil }) }},
		{"valid too long", "CMK-019", func(e *estate) { e.version(func(v *azuresim.Version) { v.Expires = e.in(1000 * day) }) }},
		{"too old", "CMK-019", func(e *estate) { e.version(func(v *azuresim.Version) { v.Created = *e.in(-800 * day) }) }},
		{"no rotation", "CMK-021", func(e *estate) { e.keyOf(func(k *azuresim.Key) { k.Rotation.Actions = k.Rotation.Actions[1:] }) }},
		{"contradictory policy", "CMK-022", func(e *estate) { e.keyOf(func(k *azuresim.Key) { k.Rotation.ExpiryTime = "P30D" }) }},
		{"rotation overdue", "CMK-023", func(e *estate) { e.version(func(v *azuresim.Version) { v.Created = *e.in(-120 * day) }) }},
		{"not followed", "CMK-024", func(e *estate) {
			e.sim.AddVersion(e.key, azuresim.KeyOptions{Created: *e.in(-3 * time.Hour), Expires: e.in(300 * day), Type: "RSA-HSM"})
		}},
		{"replaced and disabled", "CMK-025", func(e *estate) {
			e.sim.AddVersion(e.key, azuresim.KeyOptions{Created: *e.in(-time.Hour), Expires: e.in(300 * day)})
			e.version(func(v *azuresim.Version) { v.Enabled = false })
		}},
		{"501 versions", "CMK-026", func(e *estate) {
			for range 500 {
				e.sim.AddVersion(e.key, azuresim.KeyOptions{Created: *e.in(-70 * day), Bits: 64})
			}
		}},
	}
}

func brokenSurroundings() []breakage {
	grant := func(e *estate, role string, principals ...string) {
		for _, p := range principals {
			e.sim.Assign(kvID, role, p)
		}
	}
	return []breakage{
		{"officer", "CMK-027", func(e *estate) { grant(e, azuresim.RoleCryptoOfficer, "66666666-6666-6666-6666-666666666666") }},
		{"no soft delete", "CMK-030", func(e *estate) { e.vault(func(v *azuresim.Vault) { v.SoftDelete = false }) }},
		{"no purge protection", "CMK-031", func(e *estate) { e.vault(func(v *azuresim.Vault) { v.PurgeProtection = false }) }},
		{"short retention", "CMK-032", func(e *estate) { e.vault(func(v *azuresim.Vault) { v.RetentionDays = 7 }) }},
		{"other region", "CMK-033", func(e *estate) { e.vault(func(v *azuresim.Vault) { v.Location = "northeurope" }) }},
		{"other tenant", "CMK-034", func(e *estate) {
			e.vault(func(v *azuresim.Vault) { v.TenantID = "99999999-9999-9999-9999-999999999999" })
		}},
		{"foreign key in the vault", "CMK-035", func(e *estate) { e.sim.AddKey(kvHost, "sql-tde", azuresim.KeyOptions{}) }},
		{"foreign secret in the vault", "CMK-035", func(e *estate) { e.sim.SetDocument(kvID+"/secrets", value(object{"name": "db-password"})) }},
		{"vault deleted", "CMK-036", func(e *estate) { e.vault(func(v *azuresim.Vault) { v.Deleted = true }) }},
		{"access policies", "CMK-037", func(e *estate) { e.vault(func(v *azuresim.Vault) { v.RBAC = false }) }},
		{"firewall closed to the service", "CMK-038", func(e *estate) { e.vault(func(v *azuresim.Vault) { v.Bypass = "None" }) }},
		{"perimeter", "CMK-038", func(e *estate) { e.vault(func(v *azuresim.Vault) { v.PublicNetworkAccess = "SecuredByPerimeter" }) }},
		{"firewall open", "CMK-039", func(e *estate) {
			e.vault(func(v *azuresim.Vault) { v.PublicNetworkAccess, v.DefaultAction = "Enabled", "Allow" })
		}},
		{"no diagnostics", "CMK-040", func(e *estate) { e.sim.SetDocument(kvID+"/providers/Microsoft.Insights/diagnosticSettings", value()) }},
		{"lock elsewhere", "CMK-041", func(e *estate) {
			e.sim.SetDocument(locksPath, value(object{"id": rg + "-2/providers/Microsoft.Authorization/locks/keep", "properties": object{"level": "ReadOnly"}}))
		}},
		{"vault saturated", "CMK-042", func(e *estate) { e.metrics(100, 80) }},
		{"grant removed", "CMK-050", func(e *estate) { e.sim.Unassign(principal) }},
		{"policies without the identity", "CMK-050", func(e *estate) { e.vault(func(v *azuresim.Vault) { v.RBAC = false }) }},
		{"too many rights", "CMK-051", func(e *estate) { grant(e, azuresim.RoleCryptoUser, principal) }},
		{"denied", "CMK-052", func(e *estate) {
			e.sim.Deny(azuresim.DenyAssignment{Scope: rg, DataActions: []string{"Microsoft.KeyVault/vaults/keys/*"}, Exclude: []string{observer}})
		}},
		{"condition", "CMK-054", func(e *estate) {
			e.sim.Unassign(principal)
			e.sim.AssignAs(azuresim.RoleAssignment{Scope: kvID, RoleID: azuresim.RoleCryptoServiceEncryptionUser, PrincipalID: principal,
				Type: "ServicePrincipal", Condition: "@Resource[x] StringEquals 'y'", CreatedOn: *e.in(-90 * day)})
		}},
		{"many admins", "CMK-055", func(e *estate) { grant(e, azuresim.RoleCryptoOfficer, "a1", "a2", "a3", "a4") }},
		{"policy not complied with", "CMK-060", func(e *estate) { e.policy("NonCompliant") }},
		{"no tags", "CMK-061", func(e *estate) { e.vault(func(v *azuresim.Vault) { v.Tags = nil }) }},
		{"event subscription fails", "CMK-063", func(e *estate) { e.events("Failed") }},
		{"no event subscription", "CMK-063", func(e *estate) { e.sim.SetDocument(topic+"/eventSubscriptions", value()) }},
		{"Defender off", "CMK-064", func(e *estate) { e.sim.SetDocument(planPath, object{"properties": object{"pricingTier": "Free"}}) }},
		{"peer without a key", "CMK-065", func(e *estate) {
			peer := azureid.MustResource(base + "Microsoft.Cache/redisEnterprise/orders-north")
			e.sim.AddCluster(azuresim.Cluster{ID: peer, Kind: "v2", SKU: "Balanced_B10", Location: "northeurope"})
			link := func(id azureid.Resource) object { return object{"id": id.String() + "/databases/default"} }
			e.sim.SetDocument(orders().String()+"/databases", value(object{"name": "default", "properties": object{
				"persistence":    object{"rdbEnabled": true},
				"geoReplication": object{"groupNickname": "orders", "linkedDatabases": []any{link(orders()), link(peer)}}}}))
		}},
		{"flash tier", "CMK-066", func(e *estate) { e.cluster(func(c *azuresim.Cluster) { c.SKU = "FlashOptimized_A250" }) }},
	}
}

func TestEveryBrokenLinkIsFound(t *testing.T) {
	t.Parallel()
	all := append(brokenChains(), brokenSurroundings()...)
	for _, b := range all {
		t.Run(b.check+" "+b.name, func(t *testing.T) {
			t.Parallel()
			e := newEstate(t)
			b.do(e)
			found := count(e.judge(t), risk.Broken)
			for _, f := range found {
				if strings.HasPrefix(f, b.check) {
					return
				}
			}
			t.Errorf("not found; broken: %q; unknown: %q", found, count(e.judge(t), risk.Unknown))
		})
	}
	if len(all) < 25 {
		t.Errorf("%d kinds of broken link", len(all))
	}
}

// A read that is refused makes the checks over it unknown, and none broken.
func TestWhatIsRefusedIsUnknownNeverBroken(t *testing.T) {
	t.Parallel()
	const sp, rgp = "/subscriptions/*", "/subscriptions/*/resourceGroups/*/providers/"
	kvp := rgp + "Microsoft.KeyVault/vaults/*"
	for name, r := range map[string]struct {
		method, path string
		checks       string
	}{
		"cluster":     {"GET", rgp + "Microsoft.Cache/redisEnterprise/*", "CMK-001 CMK-002 CMK-003 CMK-004 CMK-005 CMK-006"},
		"identity":    {"GET", rgp + "Microsoft.ManagedIdentity/userAssignedIdentities/*", "CMK-007 CMK-034 CMK-050 CMK-051"},
		"vault":       {"GET", kvp, "CMK-030 CMK-031 CMK-032 CMK-033 CMK-036 CMK-037 CMK-038 CMK-039 CMK-050"},
		"versions":    {"GET", "/keys/*/versions", "CMK-010 CMK-011 CMK-012 CMK-013 CMK-018 CMK-019 CMK-023 CMK-024 CMK-025 CMK-026"},
		"key":         {"GET", "/keys/redis-kek/????????????????????????????????", "CMK-014 CMK-015 CMK-016 CMK-017 CMK-020"},
		"rotation":    {"GET", "/keys/*/rotationpolicy", "CMK-021 CMK-022 CMK-023"},
		"assignments": {"GET", kvp + "/keys/*/providers/Microsoft.Authorization/roleAssignments", "CMK-050 CMK-051 CMK-053 CMK-054"},
		"denies":      {"GET", kvp + "/providers/Microsoft.Authorization/denyAssignments", "CMK-050 CMK-052"},
		"databases":   {"GET", rgp + "Microsoft.Cache/redisEnterprise/*/databases", "CMK-065 CMK-066"},
		"contents":    {"GET", kvp + "/secrets", "CMK-035"},
		"diagnostics": {"GET", kvp + "/providers/Microsoft.Insights/diagnosticSettings", "CMK-040"},
		"metrics":     {"GET", kvp + "/providers/Microsoft.Insights/metrics", "CMK-042"},
		"locks":       {"GET", sp + "/providers/Microsoft.Authorization/locks", "CMK-041"},
		"plan":        {"GET", sp + "/providers/Microsoft.Security/pricings/KeyVaults", "CMK-064"},
		"events":      {"GET", rgp + "Microsoft.EventGrid/systemTopics/*/eventSubscriptions", "CMK-063"},
		"our rights":  {"GET", sp + "/providers/Microsoft.Authorization/permissions", "CMK-008 CMK-027 CMK-035 CMK-055 CMK-056 CMK-060 CMK-062 CMK-063"},
		"graph":       {"POST", "/providers/Microsoft.ResourceGraph/resources", "CMK-008 CMK-031 CMK-060"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEstate(t)
			e.sim.Inject(azuresim.Fault{Method: r.method, Path: r.path, Times: 1000, Mode: azuresim.Refuse, Status: 403, Code: "AuthorizationFailed"})
			var vs []risk.Verdict
			if name == "graph" { // the list of classic caches fails loudly
				ctx, run := context.Background(), e.survey.Run()
				vs = risk.Judge(run.Around(ctx, run.Wiring(ctx, orders()), survey.Options{Depth: survey.DepthDaily}), risk.Defaults(), e.sim.Clock().Now(), risk.Everything())
			} else {
				vs = e.judge(t)
			}
			if found := count(vs, risk.Broken); len(found) > 0 {
				t.Errorf("broken: %q", found)
			}
			unknown := strings.Join(count(vs, risk.Unknown), "\n")
			for id := range strings.FieldsSeq(r.checks) {
				if !strings.Contains(unknown, id+":") {
					t.Errorf("%s is not unknown; those that are:\n%s", id, unknown)
				}
			}
		})
	}
}

// The daily depth costs what docs/checks.md says, and nothing is read twice.
func TestTheCostOfADay(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	ctx := context.Background()
	run := e.survey.Run()
	w := run.Wiring(ctx, orders())
	before := len(e.sim.Calls())
	signal := run.Around(ctx, w, survey.Options{})
	if len(e.sim.Calls()) != before || signal.Posture.Sharers.State != wiring.NotRead {
		t.Error("the chain alone reads what stands around it")
	}
	swept := run.Around(ctx, w, survey.Options{Depth: survey.DepthSweep})
	if !swept.Posture.Sharers.OK() || !swept.Posture.IdentityUses.OK() || swept.Posture.Databases.State != wiring.NotRead {
		t.Errorf("%+v", swept.Posture)
	}
	run.Around(ctx, w, survey.Options{Depth: survey.DepthDaily})
	after := len(e.sim.Calls())
	run.Around(ctx, w, survey.Options{Depth: survey.DepthDaily})
	if len(e.sim.Calls()) != after {
		t.Errorf("%d calls for what was read before", len(e.sim.Calls())-after)
	}
	perVault := 0
	for _, c := range e.sim.Calls()[before:] {
		if strings.Contains(strings.ToLower(c.Path), "vaults/kv-orders-cmk/") || strings.Contains(c.Path, "systemTopics") {
			perVault++
		}
	}
	if perVault > 5 || e.sim.Count("GET", "/databases") != 1 {
		t.Errorf("%d calls for a vault, %d for a cluster", perVault, e.sim.Count("GET", "/databases"))
	}
}
