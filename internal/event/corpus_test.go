package event

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cmkguard/internal/azureid"
)

// sample is one file of a corpus.
type sample struct {
	name string
	raw  []byte
}

// corpus returns every captured or documented payload that lies beside this
// tree, and the project's own fixtures, whatever folder they are in.
func corpus() []sample {
	var out []sample
	for _, root := range []string{filepath.Join("..", "..", "..", "shared", "payloads"), "testdata"} {
		root, err := filepath.EvalSymlinks(root)
		if err != nil {
			continue // not beside this tree
		}
		_ = filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
			name, relErr := filepath.Rel(root, file)
			if d == nil || d.IsDir() || strings.HasSuffix(name, ".md") || strings.HasPrefix(name, "fuzz") {
				return errors.Join(err, relErr)
			}
			if raw, err := os.ReadFile(file); err == nil {
				out = append(out, sample{filepath.ToSlash(name), raw})
			}
			return nil
		})
	}
	return out
}

const (
	prod      = "/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/"
	prodVault = "vault:" + prod + "rg-cmk/providers/microsoft.keyvault/vaults/kv-cmk-prod"
	prodCache = "cluster:" + prod + "rg-redis/providers/microsoft.cache/redisenterprise/amr-prod"
	prodKey   = "key:kv-cmk-prod.vault.azure.net/redis-cmk"
)

// want is what each file comes to. A name without a folder also stands for the
// same file as the Functions host sends it.
var want = map[string]string{
	"arn-resources-CreatedOrUpdated.eventgrid.docs.json":                         "ignored",
	"eg-cache-PatchingCompleted.cloudevents.docs.json":                           "ignored",
	"eg-deadletter.cloudevents.docs.json":                                        "ignored",
	"eg-deadletter.eventgrid.docs.json":                                          "ignored",
	"eg-delivery-headers.json":                                                   "rejected",
	"eg-eventgrid-SubscriptionValidationEvent.eventgrid.gosdk-test.json":         "ignored",
	"eg-keyvault-SecretNewVersionCreated.cloudevents.docs-2022.json":             "ignored",
	"eg-keyvault-SecretNewVersionCreated.cloudevents.restspecs.json":             "ignored",
	"eg-keyvault-SecretNewVersionCreated.eventgrid.docs-2022.json":               "ignored",
	"eg-keyvault-SecretNewVersionCreated.eventgrid.restspecs.json":               "ignored",
	"eg-keyvault-SecretNewVersionCreated.eventgrid.testfixture-null-exp.json":    "ignored",
	"eg-resources-ResourceActionSuccess.eventgrid.restspecs-resourcegroup.json":  "ignored",
	"eg-resources-ResourceDeleteSuccess.eventgrid.restspecs-resourcegroup.json":  "ignored",
	"eg-resources-ResourceWriteSuccess.cloudevents.restspecs-resourcegroup.json": "ignored",
	"eg-resources-ResourceWriteSuccess.eventgrid.docs-subscription.json":         "ignored",
	"eg-resources-ResourceWriteSuccess.eventgrid.restspecs-resourcegroup.json":   "ignored",
	"eg-keyvault-KeyExpired.eventgrid.json":                                      "key-expired " + prodKey,
	"eg-keyvault-KeyNearExpiry.cloudevents.json":                                 "key-near-expiry " + prodKey,
	"eg-keyvault-KeyNearExpiry.eventgrid.json":                                   "key-near-expiry " + prodKey,
	"eg-keyvault-KeyNearExpiry.json":                                             "key-near-expiry " + prodKey, // of a queue
	"eg-keyvault-KeyNewVersionCreated.eventgrid.json":                            "key-new-version " + prodKey,
	"eg-keyvault-VaultAccessPolicyChanged.eventgrid.json":                        "access-policy-changed " + prodVault,
	"eg-resources-ResourceDeleteSuccess.roleAssignments.eventgrid.json":          "role-unassigned " + prodVault,
	"eg-resources-ResourceDeleteSuccess.userAssignedIdentities.eventgrid.json":   "identity-deleted identity:" + prod + "rg-redis/providers/microsoft.managedidentity/userassignedidentities/id-amr",
	"eg-resources-ResourceWriteSuccess.redisEnterprise-databases.eventgrid.json": "cluster-written " + prodCache,
	"eg-resources-ResourceWriteSuccess.redisEnterprise.eventgrid.json":           "cluster-written " + prodCache,
	"eg-resources-ResourceWriteSuccess.vaults-write.eventgrid.json":              "vault-written " + prodVault,
	"azure/event-key-new-version.eventgrid.json":                                 "key-new-version key:kv-orders-cmk.vault.azure.net/redis-kek",
	"own-roleAssignments-odd-case.json":                                          "role-unassigned " + prodVault,
	"own-arn-redisEnterprise-booleans.json":                                      "cluster-written " + prodCache,
	"own-forged-host.json":                                                       "rejected",
	"own-key-events-of-tomorrow.json":                                            "key-changed " + prodKey + ", key-changed " + prodKey + ", ignored",
	"own-keyNearExpiry-odd-case.json":                                            "key-near-expiry " + prodKey,
	"own-log-booleans-and-claims.json":                                           "log: vault-written " + prodVault + ", key-deleted " + prodKey + ", key-deleted " + prodKey,
	"own-log-notifications.json":                                                 "log: key-near-expiry " + prodKey + ", key-expired " + prodKey + ", access-policy-changed " + prodVault,
	"own-log-use.json":                                                           "log: use-failed " + prodKey + ", key-rotated " + prodKey + ", use https://kv-cmk-prod.vault.azure.net/keys/redis-cmk/0123456789abcdef0123456789abcdef by dddd, dropped 2",
	"own-resource-partial.json":                                                  "vault-deleted " + prodVault + ", access-policy-changed " + prodVault + ", ignored",
	"own-times-many-ways.json":                                                   "key-expired " + prodKey + ", key-new-version " + prodKey + ", rejected, rejected",
	"own-managed-hsm.json":                                                       "log: key-deleted key:hsm1.managedhsm.azure.net/k, dropped 1",
	"forging-metadata.json":                                                      "rejected",
	"activitylog-administrative-nsg-write.sekoia.json":                           "log: dropped 1",
	"diag-keyvault-KeyGet.record.sekoia.json":                                    "log: dropped 1",
	"diag-keyvault-KeyListVersions.record.sekoia.json":                           "log: dropped 1",
	"diag-keyvault-SecretGet-rbac-denied.record.sekoia.json":                     "log: dropped 1",
	"diag-keyvault-VaultGet-rbac.record.sekoia.json":                             "log: dropped 1",
	"diag-keyvault-VaultGet.envelope.docs-logging.json":                          "log: dropped 1",
	"diag-keyvault-VaultGet.eventhub.docs.json":                                  "log: dropped 1",
	"diag-keyvault-KeyDelete.record.sekoia.json":                                 "log: key-deleted key:testpermissionvault.vault.azure.net/egzghfgrrg",
	"diag-keyvault-batch.eventhub.json": "log: key-deleted " + prodKey + ", key-purged " + prodKey + ", key-recovered " + prodKey +
		", key-updated " + prodKey + ", key-rotated " + prodKey + ", key-created " + prodKey + ", attempt-denied " + prodKey,
}

// noEvent is a body of ARM, Key Vault or the host that must lead to nothing,
// whichever door it came by.
const noEvent = "no event"

// noEvents are the bodies that are none.
var noEvents = []string{
	"azure/arg-clusters.request.json", "azure/cluster-get-cmk-updating.json", "azure/cluster-get-cmk.json",
	"azure/cluster-get-enterprise-cmk.json", "azure/cluster-get-mmk.json", "azure/cluster-patch-202.headers.json",
	"azure/cluster-patch-cmk-remove.request.json", "azure/cluster-patch-cmk-version.request.json", "azure/custom-role-redcmk.json",
	"azure/database-get.json", "azure/deleted-key.json", "azure/deleted-vault-get.json", "azure/deny-assignment.json",
	"azure/key-bundle.json", "azure/key-versions.json", "azure/kv-errors.json", "azure/operation-status.json",
	"azure/role-assignment-create.request.json", "azure/role-assignment.json", "azure/role-definition-crypto-service-encryption-user.json",
	"azure/rotation-policy-none.json", "azure/rotation-policy.json", "azure/vault-get-accesspolicy.json", "azure/vault-get-rbac.json",
	"azure/vault-recover.request.json", "httpTrigger.get.json", "httpTrigger.post-json.json", "timerTrigger.json", "not-json.json",
}

// Every payload comes to what the table says, as it stands and as the Functions
// host hands it over; a file without a row, and a row without a file, fail.
func TestTheCorpus(t *testing.T) {
	table := maps.Clone(want)
	for _, name := range noEvents {
		table[name] = noEvent
	}
	used, files := map[string]bool{}, corpus()
	for _, s := range files {
		name, raw := inner(t, s)
		expect, ok := table[name]
		if !ok {
			t.Errorf("%s has no row in the table: want one %q", s.name, name)
			continue
		}
		used[name] = true
		grid, log := readGrid(raw), readLog(raw)
		switch {
		case expect == noEvent:
			grid, log = tellsOf(grid), tellsOf(log)
			if grid+log != "" {
				t.Errorf("%s: %q by the events' door, %q by the logs': want nothing", s.name, grid, log)
			}
		case strings.HasPrefix(expect, "log: "):
			if "log: "+log != expect || tellsOf(grid) != "" {
				t.Errorf("%s: %q, want %q; by the wrong door %q", s.name, log, expect, grid)
			}
		case grid != expect || tellsOf(log) != "":
			t.Errorf("%s: %q, want %q; by the wrong door %q", s.name, grid, expect, log)
		}
	}
	beside := slices.ContainsFunc(files, func(s sample) bool { return strings.HasPrefix(s.name, "host/") })
	for name := range table {
		if !used[name] && (beside || strings.HasPrefix(name, "own-")) {
			t.Errorf("row %s has no file", name)
		}
	}
	if !beside {
		t.Skipf("the captured payloads are not beside this tree: only the project's own %d fixtures were judged", len(files))
	}
}

// The fixtures' own rows hold what the issue asks for, whichever door and case.
func TestTheFixturesCoverTheOddForms(t *testing.T) {
	all := ""
	for _, s := range corpus() {
		all += string(s.raw)
	}
	for what, pattern := range map[string]string{
		"upper-case field names": `"EventType"|"SUBJECT"`, "0/1 booleans": `"enableSoftDelete": 1`, "a time as a number": `"EXP": 1796083200`,
		"a time as a string": `"EXP": "1796083200"`, "an array in claims": `"OID": \["DDDD"\]`, "a status as a string": `"httpStatusCode": "200"`,
		"claims as a string": `"claims": "\{`, "data as a string": `"data": "\{`, "a null time": `"NBF": null`,
	} {
		if !regexp.MustCompile(pattern).MatchString(all) {
			t.Errorf("no fixture has %s (%s)", what, pattern)
		}
	}
}

func readGrid(raw []byte) string {
	p, err := ParseGrid(raw, azureid.Public())
	if err != nil {
		return "poison"
	}
	return outcome(p)
}

func readLog(raw []byte) string {
	a, err := ParseAuditLogs(raw, azureid.Public())
	if err != nil {
		return "poison"
	}
	return a.cameTo()
}

// tellsOf leaves out of an outcome what leads to nothing.
func tellsOf(outcome string) string {
	var told []string
	for _, part := range strings.Split(outcome, ", ") {
		if word, _, _ := strings.Cut(part, " "); word != "" && word != "poison" && word != "ignored" && word != "rejected" && word != "dropped" {
			told = append(told, part)
		}
	}
	return strings.Join(told, ", ")
}

// inner returns the row that a file belongs to, and the event in it: of a body that
// the Functions host sent, what was fed to the host.
func inner(t *testing.T, s sample) (row string, raw []byte) {
	t.Helper()
	dir, base, _ := strings.Cut(s.name, "/")
	if base == "" || dir != "synthetic" && dir != "host" {
		return s.name, s.raw
	}
	trigger, rest, _ := strings.Cut(base, ".")
	if dir == "synthetic" || trigger != "eventGridTrigger" && trigger != "queueTrigger" {
		return base, s.raw
	}
	return strings.TrimPrefix(strings.TrimPrefix(rest, "binary."), "string."), binding(t, s, strings.HasPrefix(rest, "binary."))
}

func binding(t *testing.T, s sample, binary bool) []byte {
	t.Helper()
	var body struct{ Data map[string]json.RawMessage }
	if err := json.Unmarshal(s.raw, &body); err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	for _, v := range body.Data {
		if !binary {
			return v
		}
		var text string
		if err := json.Unmarshal(v, &text); err != nil {
			t.Fatal(err)
		}
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	t.Fatalf("%s: no binding", s.name)
	return nil
}
