package entra_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/approval/entra"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/fault"
)

const (
	tenant   = "44444444-4444-4444-4444-444444444444"
	audience = "55555555-5555-5555-5555-555555555555"
	ann      = "00000000-0000-0000-0000-0000000000A1"
)

func verifier(t *testing.T, sim *azuresim.Sim) *entra.Verifier {
	t.Helper()
	v, err := entra.New(entra.Options{
		Authority: "https://login.microsoftonline.com/", Tenant: tenant, Audience: audience,
		HTTP: &http.Client{Transport: sim.Transport()}, Now: sim.Clock().Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestPerson(t *testing.T) {
	t.Parallel()
	sim, stranger := azuresim.New(azuresim.Options{}), azuresim.New(azuresim.Options{})
	v := verifier(t, sim)
	for name, token := range map[string]string{
		"v2": sim.SignIn(ann, audience, nil),
		"v1": sim.SignIn(ann, "api://"+audience, map[string]any{"iss": "https://sts.windows.net/" + tenant + "/", "ver": "1.0", "upn": "a@example.com"}),
	} {
		p, err := v.Person(t.Context(), token)
		if err != nil || p.Object != strings.ToLower(ann) || p.Tenant != tenant || p.Name == "" {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	good := sim.SignIn(ann, audience, nil)
	parts := strings.Split(good, ".")
	cases := map[string]string{
		"nothing":                   "",
		"no token":                  "hello",
		"another audience":          sim.SignIn(ann, "66666666-6666-6666-6666-666666666666", nil),
		"another directory":         sim.SignIn(ann, audience, map[string]any{"tid": "66666666-6666-6666-6666-666666666666"}),
		"another issuer":            sim.SignIn(ann, audience, map[string]any{"iss": "https://login.microsoftonline.com/66666666-6666-6666-6666-666666666666/v2.0"}),
		"expired":                   sim.SignIn(ann, audience, map[string]any{"exp": sim.Clock().Now().Add(-time.Minute).Unix()}),
		"not yet":                   sim.SignIn(ann, audience, map[string]any{"nbf": sim.Clock().Now().Add(time.Hour).Unix()}),
		"an application":            sim.SignIn(ann, audience, map[string]any{"idtyp": "app"}),
		"no scope":                  sim.SignIn(ann, audience, map[string]any{"scp": nil}),
		"no role":                   sim.SignIn(ann, audience, map[string]any{"roles": []string{"Reader"}}),
		"no object id":              sim.SignIn(ann, audience, map[string]any{"oid": ""}),
		"signed by a stranger":      stranger.SignIn(ann, audience, nil),
		"altered":                   parts[0] + "." + parts[1][:len(parts[1])-4] + "AAAA." + parts[2],
		"not signed":                b64(`{"alg":"none"}`) + "." + parts[1] + ".",
		"signed by a shared secret": hs256(parts[1]),
	}
	for name, token := range cases {
		p, err := v.Person(t.Context(), token)
		if !fault.Is(err, fault.Denied) || p.Object != "" {
			t.Errorf("%s: %+v, %v, want Denied", name, p, err)
		}
		if err != nil && len(token) > 20 && strings.Contains(err.Error(), token[:20]) {
			t.Errorf("%s: the error tells the token", name)
		}
	}
}

func TestSettingsAreNamed(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]entra.Options{
		"CMKGUARD_APPROVAL_TENANT":   {Audience: audience},
		"CMKGUARD_APPROVAL_AUDIENCE": {Tenant: tenant},
	} {
		if _, err := entra.New(o); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func hs256(body string) string {
	signed := b64(`{"alg":"HS256","kid":"sim-key-1"}`) + "." + body
	m := hmac.New(sha256.New, []byte("guessed"))
	m.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}
