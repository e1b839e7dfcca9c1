package event

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
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
// tree, and the project's own fixtures.
func corpus() []sample {
	var out []sample
	for _, root := range []string{filepath.Join("..", "..", "..", "shared", "payloads"), "testdata"} {
		for _, p := range []string{"*.json", "synthetic/*.json", "azure/*.json", "host/*.json"} {
			files, _ := filepath.Glob(filepath.Join(root, p))
			for _, file := range files {
				if raw, err := os.ReadFile(file); err == nil {
					name, _ := filepath.Rel(root, file)
					out = append(out, sample{filepath.ToSlash(name), raw})
				}
			}
		}
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

// Every payload comes to what the table says, as it stands and as the Functions
// host hands it over.
func TestTheCorpus(t *testing.T) {
	files, judged := corpus(), 0
	for _, s := range files {
		expect, raw, ok := expected(t, s)
		if !ok {
			continue
		}
		judged++
		if got := read1(t, expect, raw); got != expect {
			t.Errorf("%s: %q, want %q", s.name, got, expect)
		}
	}
	if judged < 10 {
		t.Skip("the captured payloads are not beside this tree: only the project's own fixtures were judged")
	}
	if judged < len(want) {
		t.Errorf("%d files judged, the table has %d", judged, len(want))
	}
}

// read1 reads raw by the parser that the expectation names.
func read1(t *testing.T, expect string, raw []byte) string {
	t.Helper()
	if strings.HasPrefix(expect, "log: ") {
		return "log: " + parseAudit(t, string(raw)).cameTo()
	}
	p, err := ParseGrid(raw, azureid.Public())
	if err != nil {
		return "poison"
	}
	return outcome(p)
}

// expected returns what the table says of a file, and the event within it. Bodies
// of ARM and Key Vault answers are no events; a file that looks like one and is
// not in the table fails the test.
func expected(t *testing.T, s sample) (expect string, raw []byte, ok bool) {
	t.Helper()
	name := s.name
	if dir, base, _ := strings.Cut(name, "/"); base != "" && (dir == "synthetic" || dir == "host") {
		name = base
	}
	raw = s.raw
	if strings.HasPrefix(s.name, "host/") {
		trigger, rest, _ := strings.Cut(name, ".")
		if trigger != "eventGridTrigger" && trigger != "queueTrigger" {
			return "", nil, false
		}
		name = strings.TrimPrefix(strings.TrimPrefix(rest, "binary."), "string.")
		raw = binding(t, s, strings.HasPrefix(rest, "binary."))
	}
	if name == "not-json.json" {
		return "poison", raw, true
	}
	expect, ok = want[name]
	if !ok && (!strings.HasPrefix(name, "azure/") || strings.Contains(name, "event")) {
		t.Errorf("%s is not in the table", s.name)
	}
	return expect, raw, ok
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
