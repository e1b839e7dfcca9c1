package event

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
)

const (
	vaultID = "/subscriptions/00000000-0000-0000-0000-0000000000aa/resourceGroups/rg-orders/providers/Microsoft.KeyVault/vaults/kv-orders"
	version = "0123456789abcdef0123456789abcdef"
	keyURL  = "https://kv-orders.vault.azure.net/keys/orders-kek/" + version
)

// gridEvent is an event in Event Grid's schema; edit is "old", "new" pairs.
func gridEvent(edit ...string) string {
	s := `{"id":"e-1","topic":"` + vaultID + `","subject":"orders-kek",` +
		`"eventType":"Microsoft.KeyVault.KeyNearExpiry","eventTime":"2026-11-01T00:05:12.1234567Z",` +
		`"data":{"Id":"` + keyURL + `","VaultName":"kv-orders","ObjectType":"Key","ObjectName":"orders-kek",` +
		`"Version":"` + version + `","NBF":1764547200,"EXP":"1796083200"},"dataVersion":"1","metadataVersion":"1"}`
	return strings.NewReplacer(edit...).Replace(s)
}

// cloudEvent is the same event in the CloudEvents schema.
func cloudEvent(edit ...string) string {
	s := gridEvent(`"topic"`, `"source"`, `"eventType"`, `"type"`, `"eventTime"`, `"time"`,
		`,"dataVersion":"1","metadataVersion":"1"`, `,"specversion":"1.0"`)
	return strings.NewReplacer(edit...).Replace(s)
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

func parse(t *testing.T, raw string) Parsed {
	t.Helper()
	p, err := ParseKeyVault([]byte(raw), azureid.Public())
	if err != nil {
		t.Fatalf("ParseKeyVault: %v", err)
	}
	return p
}

// one returns the single signal of a delivery.
func one(t *testing.T, raw string) Signal {
	t.Helper()
	p := parse(t, raw)
	if len(p.Signals) != 1 || len(p.Ignored)+len(p.Rejected) != 0 {
		t.Fatalf("want one signal, got %+v", p)
	}
	return p.Signals[0]
}

// rejected returns the problems of the single rejected element.
func rejected(t *testing.T, raw string) []string {
	t.Helper()
	p := parse(t, raw)
	if len(p.Rejected) != 1 || len(p.Ignored)+len(p.Signals) != 0 {
		t.Fatalf("want one rejected element, got %+v", p)
	}
	return p.Rejected[0].Problems
}

func wantSignal() Signal {
	nbf, exp := time.Unix(1764547200, 0).UTC(), time.Unix(1796083200, 0).UTC()
	key := azureid.Key{Host: "kv-orders.vault.azure.net", Name: "orders-kek", Version: version}
	return Signal{
		ID: "e-1", Source: vaultID, Type: "Microsoft.KeyVault.KeyNearExpiry", Kind: KeyNearExpiry,
		Subject: Subject{Kind: SubjectKey, ID: "kv-orders.vault.azure.net/orders-kek"},
		Time:    time.Date(2026, 11, 1, 0, 5, 12, 123456700, time.UTC),
		Key:     key, Vault: azureid.MustResource(vaultID), NotBefore: &nbf, Expires: &exp,
	}
}

func TestParseKeyVaultTakesEveryShapeOfTheSameEvent(t *testing.T) {
	shapes := map[string]string{
		"object":                        gridEvent(),
		"array":                         "[" + gridEvent() + "]",
		"byte order mark and spaces":    "\ufeff \r\n" + gridEvent() + "\n",
		"string of object":              quote(gridEvent()),
		"string of string of object":    quote(quote(gridEvent())),
		"string of array":               quote("[" + gridEvent() + "]"),
		"array of strings":              "[" + quote(gridEvent()) + "]",
		"CloudEvent":                    cloudEvent(),
		"CloudEvent without version":    cloudEvent(`,"specversion":"1.0"`, ""),
		"CloudEvents array":             "[" + cloudEvent() + "]",
		"camel case names":              gridEvent(`"Id"`, `"id"`, `"EXP"`, `"exp"`, `"NBF"`, `"nbf"`),
		"shouted names":                 gridEvent(`"id"`, `"ID"`, `"topic"`, `"TOPIC"`, `"data"`, `"DATA"`, `"eventType"`, `"EVENTTYPE"`),
		"names with spaces":             gridEvent(`"EXP"`, `" EXP "`, `"Id"`, `"Id "`, `"topic"`, `" topic"`),
		"data as a string":              dataAsString(t),
		"same field twice, same value":  gridEvent(`"id":"e-1"`, `"id":"e-1","ID":"e-1"`),
		"offset instead of Z":           gridEvent("2026-11-01T00:05:12.1234567Z", "2026-11-01T02:05:12.1234567+02:00"),
		"unknown fields, dead-lettered": gridEvent(`"dataVersion"`, `"deadLetterReason":"x","deliveryAttempts":3,"dataVersion"`),
	}
	for name, raw := range shapes {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(wantSignal(), one(t, raw), cmp.Comparer(azureid.Resource.Equal)); diff != "" {
				t.Errorf("signal (-want +got):\n%s", diff)
			}
		})
	}
}

func dataAsString(t *testing.T) string {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(gridEvent()), &m); err != nil {
		t.Fatal(err)
	}
	return strings.Replace(gridEvent(), string(m["data"]), quote(string(m["data"])), 1)
}

func TestParseKeyVaultKinds(t *testing.T) {
	for name, want := range map[string]Kind{
		"KeyNearExpiry": KeyNearExpiry, "KeyExpired": KeyExpired, "KeyNewVersionCreated": KeyNewVersion,
		"KEYEXPIRED": KeyExpired,
	} {
		s := one(t, gridEvent("KeyNearExpiry", name))
		if s.Kind != want || s.Subject.Kind != SubjectKey {
			t.Errorf("%s: kind %q subject %v", name, s.Kind, s.Subject)
		}
	}
}

func TestAccessPolicyChangedReadsNothingOfItsData(t *testing.T) {
	want := Subject{Kind: SubjectVault, ID: strings.ToLower(vaultID)}
	event := gridEvent("KeyNearExpiry", "VaultAccessPolicyChanged")
	for name, raw := range map[string]string{
		"as a key event":  event,
		"foreign host":    strings.Replace(event, "kv-orders.vault", "kv-other.vault", 1),
		"wrong types":     strings.Replace(event, `"NBF":1764547200`, `"NBF":[]`, 1),
		"data is a list":  strings.Replace(event, `"data":{`, `"data":[],"old":{`, 1),
		"data is missing": strings.Replace(event, `"data":{`, `"old":{`, 1),
		"CloudEvent":      cloudEvent("KeyNearExpiry", "VaultAccessPolicyChanged"),
	} {
		s := one(t, raw)
		if s.Subject != want || s.Kind != AccessPolicyChanged || !s.Key.IsZero() || s.Expires != nil {
			t.Errorf("%s: got %+v", name, s)
		}
	}
}

func TestOtherTypesAreIgnoredWithAReason(t *testing.T) {
	for typ, reason := range map[string]string{
		"Microsoft.KeyVault.SecretNewVersionCreated":        "secret",
		"Microsoft.KeyVault.SecretNearExpiry":               "secret",
		"Microsoft.KeyVault.SecretExpired":                  "secret",
		"Microsoft.KeyVault.CertificateNewVersionCreated":   "certificate",
		"Microsoft.KeyVault.CertificateNearExpiry":          "certificate",
		"Microsoft.KeyVault.CertificateExpired":             "certificate",
		"Microsoft.EventGrid.SubscriptionValidationEvent":   "not an event type of Key Vault",
		"Microsoft.KeyVault.KeyNearExpiry.evil":             "does not know",
		"Microsoft.KeyVaultX.KeyNearExpiry":                 "not an event type of Key Vault",
		strings.Repeat("long", 1000) + "KeyNearExpiry.long": "...",
	} {
		p := parse(t, gridEvent("Microsoft.KeyVault.KeyNearExpiry", typ, "kv-orders.vault.azure.net", "evil.example"))
		if len(p.Ignored) != 1 || len(p.Signals)+len(p.Rejected) != 0 {
			t.Errorf("%.60s: got %+v", typ, p)
			continue
		}
		if got := p.Ignored[0]; !strings.Contains(got.Reason, reason) || got.ID != "e-1" || len(got.Type) > 310 {
			t.Errorf("%.60s: got %+v", typ, got)
		}
	}
}

func TestGoodElementsBesideBadOnesAreKept(t *testing.T) {
	p := parse(t, "["+strings.Join([]string{
		gridEvent(), `null`, `7`, `[]`, `"text"`, `{}`,
		gridEvent("e-1", "e-2", "KeyNearExpiry", "SecretExpired"),
		gridEvent("e-1", "e-3", "kv-orders.vault.azure.net", "kv-orders.vault.azure.net.evil.com"),
		cloudEvent("e-1", "e-4"),
	}, ",")+"]")
	if len(p.Signals) != 2 || p.Signals[1].ID != "e-4" || len(p.Ignored) != 1 || len(p.Rejected) != 6 {
		t.Fatalf("got %d signals, %d ignored, %d rejected", len(p.Signals), len(p.Ignored), len(p.Rejected))
	}
	var at []string
	for _, r := range p.Rejected {
		at = append(at, fmt.Sprintf("%d:%s", r.Index, r.ID))
		if len(r.Problems) == 0 || !json.Valid(r.Raw) {
			t.Errorf("element %d: %+v", r.Index, r)
		}
	}
	if diff := cmp.Diff([]string{"1:", "2:", "3:", "4:", "5:", "7:e-3"}, at); diff != "" {
		t.Errorf("rejected (-want +got):\n%s", diff)
	}
}

func TestRejectedNamesEveryFieldAndTheMend(t *testing.T) {
	for name, c := range map[string]struct {
		raw  string
		want []string // one substring per problem, in order
	}{
		"empty object":     {`{}`, []string{"id is missing", "eventType is missing", "topic is missing", "data is missing"}},
		"empty CloudEvent": {`{"specversion":"1.0"}`, []string{"id is missing", "type is missing", "source is missing", "data is missing"}},
		"all at once": {
			gridEvent(`"id":"e-1"`, `"id":5`, "/vaults/kv-orders", "/vaults/kv-else", `"NBF":1764547200`, `"NBF":true`,
				`"1796083200"`, `"soon"`, "2026-11-01T00:05:12.1234567Z", "yesterday"),
			[]string{"id is a number: want a string", "eventTime: \"yesterday\"", "data.NBF: \"true\" is not a number",
				"data.EXP: \"soon\" is not a number", "topic names vault \"kv-else\" but data.Id is in vault \"kv-orders\""},
		},
		"source in a CloudEvent": {cloudEvent("/vaults/kv-orders", "/vaults/kv-else"), []string{"source names vault"}},
		"old specversion":        {cloudEvent(`"1.0"`, `"0.3"`), []string{"specversion \"0.3\": want \"1.0\""}},
		"no vault":               {gridEvent("Microsoft.KeyVault/vaults", "Microsoft.Storage/storageAccounts"), []string{"is not a vault: want /subscriptions/"}},
		"topic of a template":    {gridEvent(vaultID, "kv-orders"), []string{"topic: resource id \"kv-orders\" does not begin with /"}},
		"no subscription":        {gridEvent(vaultID, "/providers/Microsoft.KeyVault/vaults/kv-orders"), []string{"is not a vault"}},
		"a secret's URL":         {gridEvent("/keys/", "/secrets/"), []string{"data.Id: key URL"}},
		"Managed HSM":            {gridEvent("kv-orders.vault.azure.net", "kv-orders.managedhsm.azure.net"), []string{"is a Managed HSM"}},
		"two ids":                {gridEvent(`"id":"e-1"`, `"id":"e-1"," Id":"e-2"`), []string{"Id appears twice"}},
		"two key ids":            {gridEvent(`"VaultName"`, `"id":"https://kv-x.vault.azure.net/keys/a"`+`,"VaultName"`), []string{"data.id appears twice", "topic names"}},
		"milliseconds":           {gridEvent("1764547200", "1764547200000"), []string{"data.NBF: 1764547200000 is outside the years"}},
		"long id":                {gridEvent("e-1", strings.Repeat("x", 513)), []string{"id has 513 bytes: want at most 512"}},
		"long type":              {gridEvent("KeyNearExpiry", "Key"+strings.Repeat("x", 513)), []string{"eventType has 535 bytes: want at most 512"}},
		"long topic":             {gridEvent("/vaults/kv-orders", "/vaults/kv-orders/a/"+strings.Repeat("x", 2048)), []string{"topic has 2173 bytes", "topic: resource id of 2173 bytes"}},
		"blank id":               {gridEvent("e-1", "  "), []string{"id is empty"}},
		"data is a list":         {gridEvent(`"data":{`, `"data":[],"old":{`), []string{"data is an array: want an object"}},
		"data is half a string":  {gridEvent(`"data":{`, `"data":"{\"Id\":","old":{`), []string{"data is not JSON"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := rejected(t, c.raw)
			if len(got) != len(c.want) {
				t.Fatalf("want %d problems, got %q", len(c.want), got)
			}
			for i := range got {
				if !strings.Contains(got[i], c.want[i]) {
					t.Errorf("problem %d: want %q in %q", i, c.want[i], got[i])
				}
			}
		})
	}
}

func TestForeignHostsAreRejected(t *testing.T) {
	for _, url := range []string{
		"https://kv-orders.vault.azure.net.evil.com/keys/a", "https://evil.com/kv-orders.vault.azure.net/keys/a",
		"http://kv-orders.vault.azure.net/keys/a", "https://u:p@kv-orders.vault.azure.net/keys/a",
		"https://kv-orders.vault.azure.net:8443/keys/a", "https://kv-orders.vault.azure.net/keys/a?x=1",
		"https://169.254.169.254/keys/a", "https://kv-orders.vault.azure.cn/keys/a", "https://vault.azure.net/keys/a",
		"https://kv-orders.vault.azure.net@evil.com/keys/a", `https://evil.com\\.vault.azure.net/keys/a`,
	} {
		got := rejected(t, gridEvent(keyURL, url))
		if !strings.Contains(got[0], "data.Id") || !strings.Contains(got[0], "want https://VAULT.vault.azure.net/keys/NAME/VERSION") {
			t.Errorf("%s: %q", url, got)
		}
	}
}

func TestBodiesThatAreNoDelivery(t *testing.T) {
	for name, raw := range map[string]string{
		"empty": "", "spaces": " \n", "text": "hello", "null": "null", "number": "12", "bool": "true", "empty string": `""`,
		"half": `[{"id":`, "two values": "{}{}", "deep strings": quote(quote(quote(quote(gridEvent())))),
		"too deep for JSON": strings.Repeat("[", 20000) + strings.Repeat("]", 20000),
		"too many":          "[" + strings.Repeat("{},", maxElements) + "{}]",
		"too long":          "[" + strings.Repeat(" ", maxBytes) + "]",
	} {
		p, err := ParseKeyVault([]byte(raw), azureid.Public())
		if !fault.Is(err, fault.Invalid) || len(p.Signals)+len(p.Ignored)+len(p.Rejected) != 0 {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("%s: error of %d bytes", name, len(err.Error()))
		}
	}
	if p := parse(t, "[]"); len(p.Signals)+len(p.Ignored)+len(p.Rejected) != 0 {
		t.Errorf("empty array: %+v", p)
	}
}

func TestDeepElementIsRejectedAlone(t *testing.T) {
	deep := gridEvent(`"data":{`, `"x":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)+`,"data":{`)
	p := parse(t, "["+deep+","+gridEvent()+"]")
	if len(p.Signals) != 1 || len(p.Rejected) != 1 || !strings.Contains(p.Rejected[0].Problems[0], "nested 41 deep: want at most 32") {
		t.Errorf("got %+v", p)
	}
}

func TestDedupKeyIsSourceAndID(t *testing.T) {
	first := one(t, gridEvent()).DedupKey()
	for name, raw := range map[string]string{
		"other schema": cloudEvent(), "upper case": gridEvent("/resourceGroups/rg-orders", "/RESOURCEGROUPS/RG-ORDERS"),
		"final slash": gridEvent("vaults/kv-orders", "vaults/kv-orders/"),
	} {
		if got := one(t, raw).DedupKey(); got != first {
			t.Errorf("%s: %s, want %s", name, got, first)
		}
	}
	for name, raw := range map[string]string{
		"other id": gridEvent("e-1", "e-2"), "case of the id": gridEvent("e-1", "E-1"),
		"other source": gridEvent("rg-orders", "rg-other"),
	} {
		if got := one(t, raw).DedupKey(); got == first || len(got) != 64 {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestTraceParentIsTakenOnlyInItsForm(t *testing.T) {
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for value, want := range map[string]string{
		quote(good): good, `7`: "", `null`: "", quote(strings.ToUpper(good)): "", quote(good + "-x"): "", quote("00-\n-x-01"): "",
	} {
		got := one(t, cloudEvent(`"specversion"`, `"traceparent":`+value+`,"specversion"`)).TraceParent
		if got != want {
			t.Errorf("%s: got %q", value, got)
		}
	}
}

// What another installation published of a deleted key is a hint about the key;
// what only tells of alerts is ignored, and a foreign host is refused.
func TestFactsOfAnotherInstallation(t *testing.T) {
	t.Parallel()
	ev := func(typ, key string) []byte {
		return fmt.Appendf(nil, `{"specversion":"1.0","id":"x-fact","source":"cmkguard","type":%q,"subject":%q,"time":"2026-11-01T00:00:00Z","data":{"Id":%q}}`, typ, key, key)
	}
	const key = "https://kv-a.vault.azure.net/keys/kek/0123456789abcdef0123456789abcdef"
	for _, typ := range []string{"CmkGuard.KeyDeleted", "cmkguard.keydisabled", "CmkGuard.KeyPurged", "CmkGuard.AccessLost"} {
		p, err := ParseGrid(ev(typ, key), azureid.Public())
		if err != nil || len(p.Signals) != 1 || p.Signals[0].Kind != KeyChanged || p.Signals[0].Subject.ID != "kv-a.vault.azure.net/kek" {
			t.Errorf("%s: %+v %v", typ, p, err)
		}
	}
	for typ, key := range map[string]string{"CmkGuard.Alert": key, "CmkGuard.KeyDeleted": "https://evil.example.com/keys/kek"} {
		p, err := ParseGrid(ev(typ, key), azureid.Public())
		if err != nil || len(p.Signals) != 0 || len(p.Ignored)+len(p.Rejected) != 1 {
			t.Errorf("%s: %+v %v", typ, p, err)
		}
	}
}
