package capture_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/capture"
	"cmkguard/internal/fault"
	"cmkguard/internal/localhost"
	"cmkguard/internal/store"
)

const (
	gridEvent = `{"id":"e1","topic":"/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/kv-a","subject":"kek","eventType":"Microsoft.KeyVault.KeyNearExpiry",` +
		`"data":{"Id":"https://kv-a.vault.azure.net/keys/kek/0123456789abcdef0123456789abcdef"}}`
	cloudEvent = `{"specversion":"1.0","id":"e2","source":"/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/kv-a","subject":"kek","type":"Microsoft.KeyVault.KeyExpired",` +
		`"data":{"Id":"https://kv-a.vault.azure.net/keys/kek/0123456789abcdef0123456789abcdef"}}`
	record = `{"category":"AuditEvent","operationName":"KeyDelete","time":"2026-11-01T00:00:00Z","resourceId":"/SUBSCRIPTIONS/S/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.KEYVAULT/VAULTS/KV-A",` +
		`"properties":{"id":"https://kv-a.vault.azure.net/keys/kek","httpStatusCode":200}}`
	work   = `{"kind":"signal","partition":"signal~0"}`
	common = `{"schemaId":"azureMonitorCommonAlertSchema","data":{"essentials":{"alertRule":"latency","monitorCondition":"Fired","alertTargetIDs":[` +
		`"/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/kv-a","/subscriptions/s/resourceGroups/g/providers/Microsoft.Cache/redisEnterprise/c","/subscriptions/s"]},"alertContext":{}}}`
)

func kit() capture.Kit {
	return capture.Kit{Cloud: azureid.Public(), IsWork: func(raw []byte) bool { return strings.HasPrefix(string(raw), `{"kind"`) }}
}

func in64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func quoted(s string) string {
	raw, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// request is the host's request as the embedded host, which a test holds against a
// real one's bytes, writes it.
func request(t *testing.T, kind, body string) string {
	t.Helper()
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	c := localhost.Call{Function: "f", UtcNow: at, RandGuid: "r"}
	var raw []byte
	var err error
	switch kind {
	case "event":
		raw, err = localhost.EventGridEnvelope(c, kind, json.RawMessage(body))
	case "item":
		raw, err = localhost.QueueEnvelope(c, kind, store.Message{ID: "1", Receipt: "r", Body: []byte(body), Inserted: at, Dequeued: 1}, at)
	case "logs":
		raw, err = localhost.EventHubEnvelope(c, kind, localhost.HubMessages{Hub: "h", Partition: "0", Enqueued: at, Bodies: [][]byte{[]byte(body), []byte(`{"records":[]}`)}})
	case "timer":
		raw, err = localhost.TimerEnvelope(c, kind, localhost.Tick{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func sum(c capture.Capture) string {
	var out []string
	if c.Events != nil {
		for _, s := range c.Events.Signals {
			out = append(out, string(s.Kind))
		}
		for _, i := range c.Events.Ignored {
			out = append(out, "ignored "+i.Type)
		}
	}
	if c.Logs != nil {
		for _, s := range c.Logs.Signals {
			out = append(out, string(s.Kind))
		}
	}
	for range c.Work {
		out = append(out, "work")
	}
	for _, g := range c.GivenUp {
		out = append(out, "given up: "+g.Reason)
	}
	if c.Tick {
		out = append(out, "tick")
	}
	if c.Request != nil {
		out = append(out, c.Request.Method+" "+c.Request.Plan)
	}
	if c.Alert != nil {
		out = append(out, c.Alert.Rule, c.Alert.Condition)
	}
	for _, p := range c.Problems {
		out = append(out, p.String())
	}
	return strings.Join(out, ", ")
}

func TestEveryShapeIsRecognised(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ raw, shape, sum string }{
		"Event Grid":              {gridEvent, "an event in the Event Grid schema", "key-near-expiry"},
		"an array":                {"\ufeff\n [" + gridEvent + "," + cloudEvent + "]\n", "an array of events in the Event Grid schema", "key-near-expiry, key-expired"},
		"CloudEvents":             {cloudEvent, "an event in the CloudEvents schema", "key-expired"},
		"an empty array":          {"[]", "an empty array", ""},
		"a queue's base64":        {in64(gridEvent), "base64, an event in the Event Grid schema", "key-near-expiry"},
		"base64 in lines":         {in64(gridEvent)[:40] + "\n" + in64(gridEvent)[40:] + "\n", "base64, an event in the Event Grid schema", "key-near-expiry"},
		"base64 for URLs":         {base64.RawURLEncoding.EncodeToString([]byte(gridEvent + "  ")), "base64, an event in the Event Grid schema", "key-near-expiry"},
		"base64 in a string":      {quoted(in64("[" + gridEvent + "]")), "a JSON string, base64, an array of events in the Event Grid schema", "key-near-expiry"},
		"a string of JSON":        {quoted(gridEvent), "a JSON string, an event in the Event Grid schema", "key-near-expiry"},
		"odd case":                {strings.Replace(gridEvent, `"data"`, `"Data"`, 1), "an event in the Event Grid schema", "key-near-expiry"},
		"a hub's message":         {`{"records":[` + record + `]}`, "a message of a vault's log", "key-deleted"},
		"several hub's messages":  {`[{"records":[` + record + `]},{"records":[` + record + `]}]`, "a message of a vault's log", "key-deleted, key-deleted"},
		"a record":                {record, "a message of a vault's log", "key-deleted"},
		"a bare array of records": {"[" + record + "]", "a message of a vault's log", "key-deleted"},
		"a dead letter":           {`[{"deadLetterReason":"TimeToLiveExceeded",` + gridEvent[1:] + "]", "an array of events in the Event Grid schema, given up by Event Grid", "key-near-expiry, given up: TimeToLiveExceeded"},
		"a dead CloudEvent":       {`{"deadletterreason":"TimeToLiveExceeded",` + cloudEvent[1:], "an event in the CloudEvents schema, given up by Event Grid", "key-expired, given up: TimeToLiveExceeded"},
		"work":                    {work, "a message of the work queue", "work"},
		"work as it is queued":    {in64(work), "base64, a message of the work queue", "work"},
		"an alert of others":      {common, "an alert of Azure Monitor in the common schema", "latency, Fired"},
		"request: event":          {request(t, "event", gridEvent), "the Functions host's request, an event in the Event Grid schema", "key-near-expiry"},
		"request: queue, event":   {request(t, "item", gridEvent), "the Functions host's request, a queue's message, an event in the Event Grid schema", "key-near-expiry"},
		"request: queue, work":    {request(t, "item", work), "the Functions host's request, a queue's message, a message of the work queue", "work"},
		"request: hub":            {request(t, "logs", `{"records":[`+record+`]}`), "the Functions host's request, a message of a vault's log, a message of a vault's log", "key-deleted"},
		"request: timer":          {request(t, "timer", ""), "the Functions host's request, a timer's tick", "tick"},
		"request: a person's": {`{"Data":{"req":{"Url":"https://x/api/approvals/p1?code=secret","Method":"POST","Params":{"id":"p1"},"Headers":{"Authorization":["Bearer t"]},"Body":"{}"}},"Metadata":{}}`,
			"the Functions host's request, a person's request", "POST p1"},
		"ignored": {strings.Replace(gridEvent, "KeyNearExpiry", "SecretExpired", 1), "an event in the Event Grid schema", "ignored Microsoft.KeyVault.SecretExpired"},
	} {
		got, err := capture.Read([]byte(c.raw), kit())
		if err != nil || strings.Join(got.Shape, ", ") != c.shape || sum(got) != c.sum {
			t.Errorf("%s: %v\n%q, want %q\n%q, want %q", name, err, strings.Join(got.Shape, ", "), c.shape, sum(got), c.sum)
		}
		if strings.Contains(strings.Join(got.Shape, "")+sum(got), "secret") {
			t.Errorf("%s: a credential is told", name)
		}
	}
	got, err := capture.Read([]byte(common), kit())
	if err != nil || len(got.Alert.Targets) != 2 || len(got.Alert.Others) != 1 {
		t.Errorf("%v %+v", err, got.Alert)
	}
}

func TestWhatCannotBeReadIsNamedByItsLine(t *testing.T) {
	t.Parallel()
	long := strings.Repeat(" ", 65<<20)
	for name, c := range map[string]struct{ raw, want string }{
		"nothing":               {" \n", "empty"},
		"prose":                 {"\n\nhello there", `line 3: neither JSON nor base64: it begins "hello there"`},
		"cut off":               {"{\n \"id\": \"x\",\n \"eventType\":", "line 3, column 13: not JSON: unexpected end of JSON input"},
		"a comma too many":      {"[\n" + gridEvent + ",\n]", "line 3, column 1: not JSON: invalid character ']'"},
		"after the end":         {gridEvent + "\n" + gridEvent, "line 2, column 1: not JSON: invalid character '{' after top-level value"},
		"a number":              {"42", "neither JSON nor base64"},
		"base64 of prose":       {in64("hello there, this is text"), "neither JSON nor base64"},
		"base64 of broken JSON": {in64("{"), "within a string or base64: not JSON"},
		"strings for ever":      {quoted(quoted(quoted(quoted(quoted(quoted(gridEvent)))))), "more than 4 layers"},
		"another's request":     {`{"Data":{"blob":"x"},"Metadata":{}}`, "Data.blob: no function of ours has such a binding"},
		"two bindings":          {`{"Data":{"event":{},"item":""}}`, "Data has 2 bindings"},
		"no base64 in a queue":  {`{"Data":{"item":"!"}}`, `binding "item"`},
		"a queue's prose":       {`{"Data":{"item":"` + in64("not json") + `"}}`, `within the Functions host's request, a queue's message: neither JSON nor base64: it begins "not json"`},
		"an alert of nothing":   {`{"schemaId":"azureMonitorCommonAlertSchema","data":{}}`, "data.essentials.alertTargetIDs is missing"},
		"an alert's odd field":  {`{"schemaId":"azureMonitorCommonAlertSchema","data":{"essentials":{"alertTargetIDs":"x"}}}`, "data.essentials"},
		"too long":              {long, "want at most"},
	} {
		_, err := capture.Read([]byte(c.raw), kit())
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// A part that cannot be read is told by its line, and keeps back none of the others.
func TestPartsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	bad := `{"id":"b","eventType":"Microsoft.KeyVault.KeyExpired","topic":"/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/kv-a"}`
	for name, c := range map[string]struct{ raw, want string }{
		"an event":        {"[\n" + gridEvent + ",\n" + bad + "\n]", "key-near-expiry, line 3: event b (Microsoft.KeyVault.KeyExpired): data is missing: want an object"},
		"within base64":   {in64("[" + gridEvent + "," + bad + "]"), "key-near-expiry, event b (Microsoft.KeyVault.KeyExpired): data is missing: want an object"},
		"a record":        {"{\"records\":[\n" + record + ",\n{\"category\":\"AuditEvent\"}]}", "key-deleted, line 3: record operationName is missing: want KeyDelete, say"},
		"a hub's message": {`{"Data":{"logs":` + quoted(`["`+in64(`{"records":[`+record+`]}`)+`","`+in64("junk")+`"]`) + `}}`, "key-deleted, message 1: event.ParseAuditLogs: message is no object and no array: want {\"records\":[...]}, and it begins \"junk\""},
		"of no kind":      {`[{}]`, "line 1: event unnamed (unnamed): id is missing: want a string; eventType is missing: want a string; topic is missing: want a string; data is missing: want an object"},
	} {
		got, err := capture.Read([]byte(c.raw), kit())
		if err != nil || sum(got) != c.want {
			t.Errorf("%s: %v\n%q, want\n%q", name, err, sum(got), c.want)
		}
	}
}

// Whatever it is given, it says what it is or why it is nothing, by a line that the
// file has.
func FuzzRead(f *testing.F) {
	for _, pattern := range []string{"../event/testdata/*.json", "../../../shared/payloads/*.json", "../../../shared/payloads/host/*.json"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(raw)
		}
	}
	for _, s := range []string{gridEvent, cloudEvent, record, work, common, in64(gridEvent), quoted(in64(work)), `{"Data":{"logs":"[\"e30=\"]"}}`, "[null]", `["x"]`, "[[[", `{"Data":{"event":"["}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := capture.Read(raw, kit())
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("%v", err)
			}
			return
		}
		if len(c.Shape) == 0 {
			t.Fatal("it says nothing of what it is")
		}
		for _, p := range c.Problems {
			if p.What == "" || p.Line > 1+strings.Count(string(raw), "\n") {
				t.Fatalf("%+v", p)
			}
		}
	})
}
