package event

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
)

// auditRecord is a vault's log record; edits replace parts of its text.
func auditRecord(operation string, status int, path string, edit ...string) string {
	s := fmt.Sprintf(`{"time":"2026-11-02T10:00:00.1234567Z","category":"AuditEvent","operationName":"%s","resultType":"Success",`+
		`"correlationId":"corr","callerIpAddress":"147.161.0.0","identity":{"claim":{"oid":"CCCC","appid":"aaaa","upn":"john@example.com","xms_az_nwperimid":[]}},`+
		`"properties":{"id":"https://kv-orders.vault.azure.net%s","httpStatusCode":%d,"requestUri":"https://kv-orders.vault.azure.net%s?api-version=7.5"},`+
		`"resourceId":"%s","durationMs":"44"}`, operation, path, status, path, strings.ToUpper(vaultID))
	return strings.NewReplacer(edit...).Replace(s)
}

func parseAudit(t *testing.T, raw string) Audit {
	t.Helper()
	a, err := ParseAuditLogs([]byte(raw), azureid.Public())
	if err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	return a
}

// cameTo says in one line what a log message came to.
func (a Audit) cameTo() string {
	out := []string{}
	for _, s := range a.Signals {
		out = append(out, string(s.Kind)+" "+s.Subject.String())
	}
	for _, u := range a.Uses {
		out = append(out, "use "+u.Key.String()+" by "+u.Actor.ObjectID)
	}
	if a.Dropped > 0 {
		out = append(out, fmt.Sprintf("dropped %d", a.Dropped))
	}
	if len(a.Rejected) > 0 {
		out = append(out, fmt.Sprintf("rejected %d", len(a.Rejected)))
	}
	return strings.Join(out, ", ")
}

func TestWhatEveryAuditOperationMeans(t *testing.T) {
	key, vault := " key:kv-orders.vault.azure.net/orders-kek", " vault:"+strings.ToLower(vaultID)
	const k = "/keys/orders-kek"
	cases := []struct {
		operation string
		status    int
		path      string
		want      string
	}{
		{"KeyDelete", 200, k, "key-deleted" + key},
		{"KeyDelete", 403, k, "attempt-denied" + key},
		{"KeyDelete", 401, k, "attempt-denied" + key},
		{"KeyDelete", 404, k, "dropped 1"},
		{"KeyDelete", 409, k, "dropped 1"},
		{"KeyPurge", 204, "/deletedkeys/orders-kek", "key-purged" + key},
		{"KeyRecover", 200, "/deletedkeys/orders-kek/recover", "key-recovered" + key},
		{"KeyUpdate", 200, k + "/" + version, "key-updated" + key},
		{"KeyRotate", 200, k + "/rotate", "key-rotated" + key},
		{"KeyRotateIfDue", 200, k, "key-rotated" + key},
		{"KeyCreate", 200, k + "/create", "key-created" + key},
		{"KeyImport", 200, k, "key-imported" + key},
		{"KeyRestore", 200, "/keys/restore", "key-restored" + vault},
		{"KeyBackup", 200, k + "/backup", "key-backed-up" + key},
		{"KeyRotationPolicySet", 200, k + "/rotationpolicy", "rotation-policy-changed" + key},
		{"KeyUnwrap", 200, k + "/" + version + "/unwrapkey", "use " + keyURL + " by cccc"},
		{"KeyWrap", 200, k + "/" + version + "/wrapkey", "use " + keyURL + " by cccc"},
		{"KeyUnwrap", 403, k + "/" + version + "/unwrapkey", "use-failed" + key},
		{"KeyUnwrap", 404, k + "/" + version + "/unwrapkey", "use-failed" + key},
		{"KeyWrap", 403, k + "/" + version, "use-failed" + key},
		{"KeyUnwrap", 429, k + "/" + version, "dropped 1"},
		{"KeyUnwrap", 500, k + "/" + version, "dropped 1"},
		{"KeyGet", 200, k, "dropped 1"},
		{"KeyGet", 403, k, "use-failed" + key},
		{"VaultPut", 200, "/", "vault-written" + vault},
		{"VaultPatch", 200, "/", "vault-written" + vault},
		{"VaultDelete", 200, "/", "vault-deleted" + vault},
		{"VaultRecover", 201, "/", "vault-recovered" + vault},
		{"VaultAccessPolicyChangedEventGridNotification", 200, "/", "access-policy-changed" + vault},
		{"KeyNearExpiryEventGridNotification", 200, k + "/" + version, "key-near-expiry" + key},
		{"KeyExpiredEventGridNotification", 200, k + "/" + version, "key-expired" + key},
		{"SecretGet", 403, "/secrets/a", "dropped 1"},
		{"KeyListVersions", 200, k + "/versions", "dropped 1"},
		{"VaultGet", 200, "/", "dropped 1"},
	}
	for _, c := range cases {
		for _, spelling := range []func(string) string{strings.Clone, strings.ToLower, strings.ToUpper} {
			a := parseAudit(t, `{"records":[`+auditRecord(spelling(c.operation), c.status, c.path)+`]}`)
			if got := a.cameTo(); got != c.want {
				t.Errorf("%s %d: %q, want %q %+v", c.operation, c.status, got, c.want, a.Rejected)
			}
		}
	}
}

func TestWaysInWhichRecordsCome(t *testing.T) {
	one := auditRecord("KeyDelete", 200, "/keys/orders-kek")
	deleted := "key-deleted key:kv-orders.vault.azure.net/orders-kek"
	hsm := `{"TenantId":"t","time":"2026-11-02T10:00:00Z","resourceId":"/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/managedHSMs/hsm1",` +
		`"operationName":"KeyDelete","category":"AuditEvent","identity":"{\"claim\":{\"oid\":\"DDDD\"}}","httpStatusCode":200,"durationMs":5,` +
		`"requestUri":"https://hsm1.managedhsm.azure.net/keys/k?api-version=7.5","clientInfo":"x","properties":{}}`
	for name, c := range map[string]struct{ raw, want string }{
		"records":          {`{"records":[` + one + `]}`, deleted},
		"Records, spaced":  {`{ "Records" : [ ` + one + ` , ` + one + ` ] }`, deleted + ", " + deleted},
		"array of records": {`[{"records":[` + one + `],"PartitionId":1}]`, deleted},
		"one record":       {one, deleted},
		"bare array":       {"[" + one + "]", deleted},
		"a string":         {quote(`{"records":[` + one + `]}`), deleted},
		"BOM":              {"\ufeff" + one, deleted},
		"Managed HSM":      {"[" + hsm + "]", "key-deleted key:hsm1.managedhsm.azure.net/k"},
		"none":             {`{"records":[]}`, ""},
		"nothing":          {`[]`, ""},
		"string status":    {auditRecord("KeyDelete", 200, "/keys/orders-kek", `"httpStatusCode":200`, `"httpStatusCode":"200"`), deleted},
		"float status":     {auditRecord("KeyDelete", 200, "/keys/orders-kek", `"httpStatusCode":200`, `"httpStatusCode":200.0`), deleted},
		"odd case":         {strings.NewReplacer("operationName", "OperationName", "httpStatusCode", "HTTPSTATUSCODE", `"identity"`, `"Identity"`).Replace(one), deleted},
		"escaped name":     {strings.Replace(one, `"operationName"`, `"\u006fperationName"`, 1), deleted},
		"another log":      {`{"records":[{"category":"Other","x":{"operationName":"KeyDelete"}}]}`, "dropped 1"},
		"no operation":     {auditRecord("KeyDelete", 200, "/", `"operationName":"KeyDelete"`, `"operationName":null`), "rejected 1"},
		"no object":        {`{"records":[1,"x",null,[]]}`, "rejected 4"},
		"no status":        {auditRecord("KeyDelete", 200, "/keys/k", `"httpStatusCode":200,`, ``), "rejected 1"},
		"no resource":      {auditRecord("KeyDelete", 200, "/keys/k", `"resourceId"`, `"resource"`), "rejected 1"},
		"foreign resource": {auditRecord("KeyDelete", 200, "/keys/k", "MICROSOFT.KEYVAULT/VAULTS", "MICROSOFT.STORAGE/ACCOUNTS"), "rejected 1"},
		"another vault":    {auditRecord("KeyDelete", 200, "/keys/k", "kv-orders.vault", "kv-else.vault"), "rejected 1"},
		"foreign host":     {auditRecord("KeyDelete", 200, "/keys/k", "vault.azure.net", "vault.evil.example"), "key-deleted vault:" + strings.ToLower(vaultID)},
		"bad beside good":  {`{"records":[7,` + one + `]}`, deleted + ", rejected 1"},
	} {
		if got := parseAudit(t, c.raw).cameTo(); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	for _, raw := range []string{"", "nonsense", `{"records":[`, "7", `"x"`, "null", strings.Repeat(" ", maxBytes+1)} {
		if a, err := ParseAuditLogs([]byte(raw), azureid.Public()); !fault.Is(err, fault.Invalid) {
			t.Errorf("%.20q: %+v, %v", raw, a, err)
		}
	}
}

func TestRefusedUsesOfOneKeyAreOneSignalForAWhile(t *testing.T) {
	id := func(at, oid string, status int) string {
		a := parseAudit(t, auditRecord("KeyUnwrap", status, "/keys/orders-kek", "10:00:00.1234567", at, "CCCC", oid))
		return a.Signals[0].DedupKey()
	}
	first := id("10:00:00", "c", 403)
	if id("10:09:59", "c", 403) != first {
		t.Error("ten minutes of refusals are more than one signal")
	}
	for _, other := range []string{id("10:10:01", "c", 403), id("10:00:00", "d", 403), id("10:00:00", "c", 404)} {
		if other == first {
			t.Error("a later refusal, another caller or another answer is the same signal")
		}
	}
}

func TestTheClaimOfARefusal(t *testing.T) {
	a := parseAudit(t, auditRecord("KeyUnwrap", 403, "/keys/orders-kek", `"correlationId"`, `"resultDescription":"Caller is not authorized.\nCaller: appid=a","correlationId"`))
	got := a.Signals[0].Claim
	if got.Says != "Caller is not authorized." || got.Status != 403 || got.Actor.Name != "john@example.com" || got.Actor.Address != "147.161.0.0" || !strings.Contains(got.Source, "KV-ORDERS") {
		t.Errorf("%+v", got)
	}
}

// Whose logs reach us shows in any record, dropped ones too.
func TestWhoseLogIsHeard(t *testing.T) {
	other := strings.ToUpper(strings.ReplaceAll(vaultID, "kv-orders", "kv-else"))
	a := parseAudit(t, `{"records":[`+strings.Join([]string{
		auditRecord("SecretGet", 200, "/secrets/a"), auditRecord("KeyDelete", 200, "/keys/k"), auditRecord("SecretGet", 200, "/secrets/a", strings.ToUpper(vaultID), other),
		auditRecord("SecretGet", 200, "/secrets/a"), auditRecord("SecretGet", 200, "/secrets/a", strings.ToUpper(vaultID), "/SUBSCRIPTIONS/S/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.STORAGE/ACCOUNTS/A"),
		`{"category":"Other","resourceId":"` + vaultID + `x"}`,
	}, ",")+`]}`)
	if got := strings.Join(a.Heard, " "); got != strings.ToLower(vaultID)+" "+strings.ToLower(other) {
		t.Errorf("%q", got)
	}
}

// No capture of a published event's row exists: the key is found by its URL, or by its
// name and version, or by its name, or not at all.
func TestTheRowOfAPublishedEvent(t *testing.T) {
	row := func(inner string, inside bool) string {
		props := `"eventGridEventProperties":` + inner
		if inside {
			props = `"properties":{` + props + `}`
		}
		return `{"time":"2026-11-02T10:00:00Z","category":"AuditEvent","operationName":"KeyNearExpiryEventGridNotification","resourceId":"` + strings.ToUpper(vaultID) + `",` + props + `}`
	}
	for inner, want := range map[string]string{
		`{"data":{"Id":"` + keyURL + `","ObjectName":"orders-kek"}}`:                        keyURL,
		`{"data":{"ObjectName":"orders-kek","Version":"` + version + `","EXP":1796083200}}`: strings.Replace(keyURL, "kv-orders", "KV-ORDERS", 1),
		`{"subject":"orders-kek","data":{"EXP":1796083200}}`:                                strings.TrimSuffix(keyURL, "/"+version),
		`{"subject":"orders kek/x"}`:                                                        "",
		`{}`:                                                                                "",
	} {
		for _, inside := range []bool{false, true} {
			a := parseAudit(t, row(inner, inside))
			if len(a.Signals) != 1 || !strings.EqualFold(a.Signals[0].Key.String(), want) || a.Signals[0].Kind != KeyNearExpiry || (want == "") != (a.Signals[0].Subject.Kind == SubjectVault) {
				t.Errorf("%s: %+v %+v, want %s", inner, a.Signals, a.Rejected, want)
			}
		}
	}
}

func FuzzParseResource(f *testing.F) {
	for _, s := range append(seeds(), resourceEvent("WriteSuccess", "Microsoft.Cache/redisEnterprise/write", clusterID),
		resourceEvent("DeleteSuccess", "Microsoft.Authorization/roleAssignments/delete", "/providers/Microsoft.Authorization/roleAssignments/g"),
		resourceEvent("ActionSuccess", "Microsoft.KeyVault/locations/deletedVaults/purge/action", subID)) {
		f.Add([]byte(s))
	}
	addCorpus(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, parser := range []func([]byte, azureid.Cloud) (Parsed, error){ParseResource, ParseGrid} {
			p, err := parser(raw, azureid.Public())
			got := len(p.Signals) + len(p.Ignored) + len(p.Rejected)
			if err != nil {
				if !fault.Is(err, fault.Invalid) || got != 0 {
					t.Fatalf("error %v with %d elements", err, got)
				}
				continue
			}
			if want := countElements(t, raw); got != want {
				t.Fatalf("%d elements in, %d accounted for", want, got)
			}
			for _, s := range p.Signals {
				mustStore(t, s)
			}
		}
	})
}

// mustStore fails unless the signal is whole and survives being stored.
func mustStore(t *testing.T, s Signal) {
	t.Helper()
	b, err := json.Marshal(s)
	var back Signal
	if err != nil || json.Unmarshal(b, &back) != nil || back.Subject != s.Subject || s.Subject.ID == "" || s.ID == "" || s.Kind == "" {
		t.Fatalf("%+v: %s, %v", s, b, err)
	}
}

func FuzzParseAuditLogs(f *testing.F) {
	for _, s := range []string{
		auditRecord("KeyDelete", 200, "/keys/k"), `{"records":[` + auditRecord("KeyUnwrap", 200, "/keys/k/aa/unwrapkey") + `,1,null,"x",[],{}]}`,
		"[" + auditRecord("KeyCreate", 403, "/keys/k/create") + "]", quote(auditRecord("VaultPut", 201, "/")), `[{"records":[[{"records":[1]}]]}]`,
		`{"a" : "b\"c\\" , "operationName":"KeyGet" ,"category": "AuditEvent","properties":{ "httpStatusCode" : 403 } }`, `[]`, `{}`, `"`, ``,
	} {
		f.Add([]byte(s))
	}
	addCorpus(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := ParseAuditLogs(raw, azureid.Public())
		got := len(a.Signals) + len(a.Uses) + len(a.Rejected) + a.Dropped
		if err != nil {
			if !fault.Is(err, fault.Invalid) || got != 0 {
				t.Fatalf("error %v with %d records", err, got)
			}
			return
		}
		if want := countRecords(t, raw); want >= 0 && got != want {
			t.Fatalf("%d records in, %d accounted for: %s", want, got, a.cameTo())
		}
		for _, s := range a.Signals {
			mustStore(t, s)
		}
		for _, r := range a.Rejected {
			if !json.Valid(r.Raw) || len(r.Problems) == 0 {
				t.Fatalf("rejected without a reason or the record: %+v", r)
			}
		}
	})
}

// countRecords counts by another road than the scanner: it decodes all of it.
// -1 where two fields of one name would make the roads differ.
func countRecords(t *testing.T, raw []byte) int {
	t.Helper()
	body, err := unwrap(raw)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("taken, but no JSON: %v", err)
	}
	var count func(v any) int
	count = func(v any) int {
		switch v := v.(type) {
		case []any:
			n := 0
			for _, el := range v {
				n += count(el)
			}
			return n
		case map[string]any:
			n, wrapped := 0, false
			for name, field := range v {
				if list, ok := field.([]any); ok && strings.EqualFold(strings.TrimSpace(name), "records") {
					wrapped = true
					n += len(list)
				}
			}
			if wrapped {
				return n
			}
		}
		return 1
	}
	if strings.Count(strings.ToLower(string(body)), "records") > 1 || strings.Contains(string(body), `\`) {
		return -1
	}
	return count(v)
}

func addCorpus(f *testing.F) {
	f.Helper()
	for _, c := range corpus() {
		f.Add(c.raw)
	}
}
