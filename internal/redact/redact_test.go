package redact_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cmkguard/internal/redact"
)

const token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl-_x"

func envelope(t interface{ Fatal(...any) }) []byte {
	b, err := json.Marshal(map[string]any{
		"Data": map[string]any{"req": map[string]any{"Url": "http://127.0.0.1/api/x?code=funckey42&a=1", "Query": map[string]any{"code": "funckey42", "a": "1"},
			"Headers":    map[string]any{"Authorization": []string{"Bearer " + token}, "Cookie": []string{"session=opaque42"}, "X-Functions-Key": []string{"funckey42"}},
			"Identities": []any{map[string]any{"BootstrapContext": "opaque42"}}}},
		"Metadata": map[string]any{"code": `"funckey42"`, "cookie": "", "Headers": map[string]any{"Authorization": "Bearer " + token, "cookie": "session=opaque42"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func leaks(b []byte) string {
	for _, secret := range []string{token, token[:40], "opaque42", "funckey42"} {
		if strings.Contains(string(b), secret) {
			return secret
		}
	}
	return ""
}

func TestAnEnvelopeLosesItsCredentials(t *testing.T) {
	t.Parallel()
	whole := envelope(t)
	quoted, err := json.Marshal(string(whole))
	if err != nil {
		t.Fatal(err)
	}
	twice, err := json.Marshal(string(quoted))
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"object": whole, "string": quoted, "string of a string": twice} {
		got := redact.Bytes(b)
		if s := leaks(got); s != "" {
			t.Errorf("%s: %s is left in\n%s", name, s, got)
		}
		if !strings.Contains(string(got), redact.Mark) || !json.Valid(got) {
			t.Errorf("%s: no longer JSON:\n%s", name, got)
		}
	}
	if s := leaks(whole); s == "" {
		t.Error("the test's own envelope holds nothing to find")
	}
}

// Wherever the sender hung up.
func TestACutEnvelopeLosesThemToo(t *testing.T) {
	t.Parallel()
	whole := envelope(t)
	rapid.Check(t, func(t *rapid.T) {
		cut := rapid.IntRange(0, len(whole)).Draw(t, "cut")
		if s := leaks(redact.Bytes(whole[:cut])); s != "" {
			t.Fatalf("cut at %d: %s is left", cut, s)
		}
	})
}

// The host hands the messages of queues and hubs over in base64, and JSON in base64
// begins as a token does. One bad message among them made poison of all.
func TestMessagesInBase64AreKept(t *testing.T) {
	t.Parallel()
	message := base64.StdEncoding.EncodeToString([]byte(`{"records":[{"category":"AuditEvent","operationName":"KeyDelete"}]}`))
	inner, err := json.Marshal([]string{message, "not base64!"})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{message, string(inner)} {
		raw, err := json.Marshal(map[string]any{"Data": map[string]any{"logs": v}, "Metadata": map[string]any{}})
		if err != nil {
			t.Fatal(err)
		}
		if got := redact.Bytes(raw); !bytes.Equal(got, raw) {
			t.Errorf("%s\nbecame\n%s", raw, got)
		}
	}
}

func TestTheRestIsKept(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"eventType":"Microsoft.KeyVault.KeyNearExpiry","data":{"VaultName":"kv"}}`, `not JSON at all`, "\x00\xff", ``,
		`{"data":{"authorization":{"scope":"/subscriptions/x","action":"Microsoft.Cache/write"}}}`, `the bearer of this`[:10],
	} {
		if got := string(redact.Bytes([]byte(text))); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

// A token of which only the beginning is there is one all the same; JSON in base64
// is none.
func TestACutToken(t *testing.T) {
	t.Parallel()
	for _, header := range []string{`{"alg":"RS256"}`, `{"typ":"JWT","alg":"RS256"}`, `{"kid":"1"}`, `{"x5t":"1"}`, `{"nonce":"1","alg":"RS256"}`, `{"enc":"1"}`, `{"cty":"JWT"}`} {
		whole := base64.RawURLEncoding.EncodeToString([]byte(header))
		if got := string(redact.Bytes([]byte(`{"token": "` + whole))); got != `{"token": "`+redact.Mark {
			t.Errorf("%s became %s", header, got)
		}
	}
	for _, body := range []string{`{"kind":"signal","id":"1"}`, `{"records":[]}`, `{"Data":{}}`, `{"id":"1"}`} {
		text := base64.StdEncoding.EncodeToString([]byte(body))
		if got := string(redact.Bytes([]byte(text))); got != text {
			t.Errorf("%s became %s", body, got)
		}
	}
}

// Whatever stands around a credential, it goes, and what is left grows by no more
// than the mark.
func FuzzBytes(f *testing.F) {
	for _, s := range []string{`{"Headers":{"Authorization":["`, `"code":"`, `?code=`, "\\\"cookie\\\":\\\"", `Basic `, ``, "\x00", `"x-functions-key" : [ "`} {
		f.Add([]byte(s), []byte(`"]}}`))
	}
	f.Fuzz(func(t *testing.T, before, after []byte) {
		b := []byte(string(before) + " Bearer " + token + " " + string(after))
		got := string(redact.Bytes(b))
		if strings.Contains(got, token) || !strings.Contains(got, redact.Mark) {
			t.Fatalf("%q became %q", b, got)
		}
	})
}
