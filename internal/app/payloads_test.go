package app_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/localhost"
	"cmkguard/internal/store"
	"cmkguard/internal/store/filestore"
)

// answer posts the body as the host does, with its length or chunked, and
// returns what the host would see.
func answer(t *testing.T, url, function string, body []byte, chunked bool) (status int, media string, answered []byte) {
	t.Helper()
	var r io.Reader = bytes.NewReader(body)
	if chunked {
		r = io.MultiReader(r) // of no known length
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/"+function, r)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("X-Azure-Functions-InvocationId", "00000000-0000-4000-8000-000000000002")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if answered, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Content-Type"), answered
}

// wellAnswered fails unless the host would take the invocation for done.
func wellAnswered(t *testing.T, url, function, name string, body []byte) {
	t.Helper()
	for _, chunked := range []bool{false, true} {
		status, media, got := answer(t, url, function, body, chunked)
		if status != http.StatusOK || !strings.HasPrefix(media, "application/json") || strings.TrimSpace(string(got)) != "{}" {
			t.Errorf("%s, chunked %v: %d %s %q, want 200 application/json {}", name, chunked, status, media, got)
		}
	}
}

// poisoned returns the reasons of what was kept as poison.
func poisoned(t *testing.T, env []string) []string {
	t.Helper()
	dir := strings.TrimPrefix(env[0], "CMKGUARD_STATE=file:")
	st, err := filestore.Open(dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	rows, err := st.Backend().State.Scan(t.Context(), "poison", "poison~", "poison~~", 1000)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, row := range rows {
		var v struct{ Reason string }
		if err := json.Unmarshal(row.Value, &v); err != nil {
			t.Fatal(err)
		}
		out = append(out, v.Reason)
	}
	return out
}

// beside returns the files of the captured payloads that match and, as their own,
// the project's fixtures.
func beside(t *testing.T, patterns ...string) []string {
	t.Helper()
	var out []string
	for _, p := range patterns {
		for _, root := range []string{"../../../shared/payloads", "../event/testdata"} {
			files, err := filepath.Glob(filepath.Join(root, p))
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, files...)
		}
	}
	return out
}

// TestEveryPayloadIsAnsweredAsTheHostNeeds drives the whole program: every
// captured, documented or made-up event through every door that it can come by,
// as the host wraps it. What is kept as poison is what the corpus table of
// internal/event calls rejected, and nothing else.
func TestEveryPayloadIsAnsweredAsTheHostNeeds(t *testing.T) {
	t.Parallel()
	_, _, env, _ := azure(t)
	url, out, _ := serve(t, env)
	poison := map[string]bool{"is missing": false, "must name the same vault": false, "not milliseconds": false, "eventTime is a number": false}
	for _, f := range beside(t, "*.json", "synthetic/*.json", "azure/event-*.json") {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(f)
		if strings.HasPrefix(name, "diag-") || strings.HasPrefix(name, "activitylog-") || strings.HasPrefix(name, "own-log-") || name == "own-managed-hsm.json" {
			body, err := localhost.EventHubEnvelope(call("vaultlogs"), "logs", localhost.HubMessages{Hub: "h", Partition: "0", Enqueued: time.Now(), Bodies: [][]byte{raw}})
			if err != nil {
				t.Fatal(err)
			}
			wellAnswered(t, url, "vaultlogs", name, body)
			continue
		}
		for _, event := range elements(t, raw) {
			for _, function := range []string{"keyvaultevents", "resourceevents"} {
				body, err := localhost.EventGridEnvelope(call(function), "event", event)
				if err != nil {
					t.Fatal(err)
				}
				wellAnswered(t, url, function, name, body)
			}
			body, err := localhost.QueueEnvelope(call("eventqueue"), "item", store.Message{ID: "1", Receipt: "r", Body: event, Inserted: time.Now(), Dequeued: 1}, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			wellAnswered(t, url, "eventqueue", name, body)
		}
	}
	for _, reason := range poisoned(t, env) {
		known := false
		for text := range poison {
			if strings.Contains(reason, text) {
				poison[text], known = true, true
			}
		}
		if !known {
			t.Errorf("taken for poison: %q", reason)
		}
	}
	for text, seen := range poison {
		if !seen && text != "is missing" { // of eg-delivery-headers.json, which lies beside the tree
			t.Errorf("nothing was kept because of %q", text)
		}
	}
	if strings.Contains(out.String(), "panic") {
		t.Fatalf("it panicked:\n%s", out)
	}
}

// elements returns the events of a file: one, or a list of them.
func elements(t *testing.T, raw []byte) []json.RawMessage {
	t.Helper()
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return []json.RawMessage{raw}
	}
	return list
}

func TestEveryBodyOfTheRealHostIsAnswered(t *testing.T) {
	t.Parallel()
	_, _, env, _ := azure(t)
	url, out, _ := serve(t, env)
	files := beside(t, "host/*.json")
	if len(files) == 0 {
		t.Skip("what a real host sent is not beside this checkout")
	}
	for _, f := range files {
		body, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(f)
		switch kind, _, _ := strings.Cut(name, "."); kind {
		case "eventGridTrigger":
			wellAnswered(t, url, "keyvaultevents", name, body)
			wellAnswered(t, url, "resourceevents", name, body)
		case "queueTrigger":
			wellAnswered(t, url, "work", name, body)
		case "timerTrigger":
			wellAnswered(t, url, "sweep", name, body)
		case "httpTrigger": // no function takes one; it is answered all the same
			wellAnswered(t, url, "keyvaultevents", name, body)
		default:
			t.Errorf("%s: a trigger that nobody answers", name)
		}
	}
	if strings.Contains(out.String(), "panic") {
		t.Fatalf("it panicked:\n%s", out)
	}
}

// TestBadInputIsKeptAndNothingIsDone feeds what no host should send.
func TestBadInputIsKeptAndNothingIsDone(t *testing.T) {
	t.Parallel()
	sim, _, env, _ := azure(t)
	url, out, _ := serve(t, env)
	event := func(data string) string {
		return `{"Data":{"event":{"id":"x","topic":"` + scope + `Microsoft.KeyVault/vaults/kv-a","subject":"kek","eventType":"Microsoft.KeyVault.KeyNearExpiry","eventTime":"2026-11-01T00:00:00Z","dataVersion":"1","data":` + data + `}},"Metadata":{}}`
	}
	cases := map[string]struct{ body, reason string }{
		"not JSON":              {"nonsense", "invalid character"},
		"no binding":            {`{"Data":{},"Metadata":{}}`, "has no Data"},
		"data of a wrong type":  {event(`"text"`), "data is a string"},
		"a key URL elsewhere":   {event(`{"Id":"https://kv-a.vault.azure.net.evil.example/keys/kek/0123456789abcdef0123456789abcdef","VaultName":"kv-a","ObjectType":"Key","ObjectName":"kek"}`), "evil.example"},
		"an expiry of nonsense": {event(`{"Id":"https://kv-a.vault.azure.net/keys/kek/0123456789abcdef0123456789abcdef","VaultName":"kv-a","ObjectType":"Key","ObjectName":"kek","Version":"0123456789abcdef0123456789abcdef","EXP":{"a":1}}`), "EXP"},
	}
	for name, c := range cases {
		wellAnswered(t, url, "keyvaultevents", name, []byte(c.body))
		found := false
		for _, reason := range poisoned(t, env) {
			found = found || strings.Contains(reason, c.reason)
		}
		if !found {
			t.Errorf("%s: no poison names %q: %q", name, c.reason, poisoned(t, env))
		}
	}
	status, media, _ := answer(t, url, "keyvaultevents", bytes.Repeat([]byte("x"), 10<<20), false)
	if status != http.StatusOK || !strings.HasPrefix(media, "application/json") {
		t.Errorf("10 MB: %d %s", status, media)
	}
	for _, c := range sim.Calls() {
		if strings.Contains(c.Host, "evil") || c.Method == http.MethodPatch || strings.HasSuffix(c.Path, "/rotate") {
			t.Errorf("%s %s%s was called", c.Method, c.Host, c.Path)
		}
	}
	if strings.Contains(out.String(), "panic") {
		t.Fatalf("it panicked:\n%s", out)
	}
}
