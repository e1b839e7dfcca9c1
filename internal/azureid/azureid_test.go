package azureid

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cmkguard/internal/fault"
)

const keyVersion = "0123456789abcdef0123456789abcdef"

func TestParseKeyForms(t *testing.T) {
	base := Key{Host: "kv-a.vault.azure.net", Name: "Kek-1"}
	for raw, want := range map[string]Key{
		"https://kv-a.vault.azure.net/keys/Kek-1":                                          base,
		"https://kv-a.vault.azure.net/keys/Kek-1/":                                         base,
		"  https://kv-a.vault.azure.net/keys/Kek-1/" + keyVersion + "\n":                   base.At(keyVersion),
		"https://KV-A.Vault.Azure.Net/KEYS/Kek-1/" + strings.ToUpper(keyVersion):           base.At(keyVersion),
		"HTTPS://kv-a.vault.azure.net:443/keys/Kek-1/" + keyVersion + "/":                  base.At(keyVersion),
		"https://kv-a.vault.azure.net/deletedkeys/Kek-1":                                   base,
		"https://hsm1.managedhsm.azure.net/keys/k":                                         {Host: "hsm1.managedhsm.azure.net", Name: "k"},
		"https://kv-a.vault.azure.net/keys/" + strings.Repeat("n", 127) + "/" + keyVersion: {Host: base.Host, Name: strings.Repeat("n", 127), Version: keyVersion},
	} {
		got, err := ParseKey(raw, Public())
		if err != nil || got != want {
			t.Errorf("%q: got %+v, %v", raw, got, err)
		}
	}
}

func TestParseKeyRefusals(t *testing.T) {
	for _, raw := range []string{
		"", " ", "kv.vault.azure.net/keys/k", "//kv.vault.azure.net/keys/k", "http://kv.vault.azure.net/keys/k", "ftp://kv.vault.azure.net/keys/k",
		// Hosts that only look like a vault.
		"https://kv.vault.azure.net.evil.com/keys/k", "https://evil.com/keys/k", "https://vault.azure.net/keys/k", "https://.vault.azure.net/keys/k",
		"https://a.b.vault.azure.net/keys/k", "https://kvvault.azure.net/keys/k", "https://kv.vault.azure.net./keys/k", "https://kv.vault.azure.cn/keys/k",
		"https://kv.vault.usgovcloudapi.net/keys/k", "https://kv_a.vault.azure.net/keys/k", "https://" + strings.Repeat("a", 64) + ".vault.azure.net/keys/k",
		"https://kv.vault.azure.net@evil.com/keys/k", `https://evil.com\.vault.azure.net/keys/k`, "https://evil.com#.vault.azure.net/keys/k",
		"https://evil.com%2f.vault.azure.net/keys/k", "https://evil.com/.vault.azure.net/keys/k", "https://[::1]/keys/k", "https://169.254.169.254/keys/k",
		// Letters of other scripts, and ones that lower to ASCII (Kelvin sign).
		"https://kv.vаult.azure.net/keys/k", "https://\u212Av.vault.azure.net/keys/k", "https://kv。vault.azure.net/keys/k", "https://kv.vault.azure.net/keys/\u212Aek",
		// More than a key URL.
		"https://user@kv.vault.azure.net/keys/k", "https://u:p@kv.vault.azure.net/keys/k", "https://kv.vault.azure.net:8443/keys/k",
		"https://kv.vault.azure.net:0443/keys/k", "https://kv.vault.azure.net/keys/k?api-version=7.4", "https://kv.vault.azure.net/keys/k#x",
		// Paths.
		"https://kv.vault.azure.net/", "https://kv.vault.azure.net/keys", "https://kv.vault.azure.net/keys/", "https://kv.vault.azure.net/secrets/k",
		"https://kv.vault.azure.net/keys//k", "https://kv.vault.azure.net/keys/k/" + keyVersion + "/sign", "https://kv.vault.azure.net/deletedkeys/k/" + keyVersion,
		"https://kv.vault.azure.net/keys/../secrets/k", "https://kv.vault.azure.net/keys/k/..", "https://kv.vault.azure.net/keys/a%2fb", "https://kv.vault.azure.net/keys/a b",
		"https://kv.vault.azure.net/keys/" + strings.Repeat("n", 128), "https://kv.vault.azure.net/keys/k/latest", "https://kv.vault.azure.net/keys/k/" + strings.Repeat("a", 65),
		"https://kv.vault.azure.net/keys/k\x00", "https://kv.vault.azure.net/keys/k\r\nHost: evil",
	} {
		if got, err := ParseKey(raw, Public()); !fault.Is(err, fault.Invalid) || !got.IsZero() {
			t.Errorf("%q: got %+v, %v", raw, got, err)
		}
	}
}

func TestCloudsKeepToThemselves(t *testing.T) {
	clouds := map[string]Cloud{"https://a.vault.azure.net/keys/k": Public(), "https://a.vault.usgovcloudapi.net/keys/k": USGov(), "https://a.vault.azure.cn/keys/k": China()}
	for raw, home := range clouds {
		for _, c := range clouds {
			if _, err := ParseKey(raw, c); (err == nil) != (c.Name == home.Name) {
				t.Errorf("%s in %s: %v", raw, c.Name, err)
			}
		}
	}
	if c := Public(); !c.IsHSM("A.ManagedHSM.azure.net") || c.IsHSM("a.vault.azure.net") || c.IsHSM("a.managedhsm.azure.net.evil.com") {
		t.Error("IsHSM")
	}
	if (Cloud{}).CheckVaultHost("a.vault.azure.net") == nil {
		t.Error("a cloud without suffixes took a host")
	}
}

func TestKeyComparesAsAzureDoes(t *testing.T) {
	a := Key{Host: "kv.vault.azure.net", Name: "Kek", Version: "ab"}
	b := Key{Host: "kv.vault.azure.net", Name: "kEK"}
	if !a.SameKey(b) || a.Equal(b) || !a.Equal(b.At("AB")) || a.Base().Version != "" || a.ID() != "kv.vault.azure.net/kek" {
		t.Errorf("%+v and %+v", a, b)
	}
	if a.VaultURL() != "https://kv.vault.azure.net/" || a.VaultName() != "kv" || (Key{}).String() != "" || !(Key{}).IsZero() {
		t.Errorf("%+v", a)
	}
}

func TestKeysSurviveTextAndJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := Key{
			Host:    rapid.StringMatching(`[a-z0-9-]{1,24}`).Draw(t, "vault") + ".vault.azure.net",
			Name:    rapid.StringMatching(`[A-Za-z0-9-]{1,127}`).Draw(t, "name"),
			Version: rapid.StringMatching(`([0-9a-f]{32})?`).Draw(t, "version"),
		}
		if got, err := ParseKey(k.String(), Public()); err != nil || got != k {
			t.Fatalf("%v: %v, %v", k, got, err)
		}
		b, err := json.Marshal(k)
		var got Key
		if err != nil || json.Unmarshal(b, &got) != nil || got != k {
			t.Fatalf("%s: %v, %v", b, got, err)
		}
	})
	for _, text := range []string{`7`, `"x"`, `"http://a/keys/k"`, `"https://a/secrets/k"`, `"https://a/keys/k/v/w"`} {
		k := Key{Name: "old"}
		if err := json.Unmarshal([]byte(text), &k); err == nil {
			t.Errorf("%s: taken as %+v", text, k)
		}
	}
	k := Key{Host: "old"}
	if err := json.Unmarshal([]byte(`""`), &k); err != nil || !k.IsZero() {
		t.Errorf("empty text: %+v, %v", k, err)
	}
}

func FuzzParseKey(f *testing.F) {
	for _, s := range []string{"https://kv.vault.azure.net/keys/k/" + keyVersion, "https://u@kv.vault.azure.net:443/keys/k", "https://kv.vault.azure.net.evil.com/keys/k", "https://kv.vault.azure.net/keys/%6b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		k, err := ParseKey(raw, Public())
		if err != nil {
			return
		}
		again, err := ParseKey(k.String(), Public())
		if err != nil || again != k || !strings.HasSuffix(k.Host, ".azure.net") || strings.ContainsAny(k.String()[8:], "@:?#\\% ") {
			t.Fatalf("%q became %+v and then %+v, %v", raw, k, again, err)
		}
	})
}
