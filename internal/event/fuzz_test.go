package event

import (
	"encoding/json"
	"strings"
	"testing"

	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
)

// seeds are the documented shapes and the known ways of getting them wrong.
func seeds() []string {
	return []string{
		gridEvent(), cloudEvent(), "[" + gridEvent() + "," + cloudEvent() + "]", quote("[" + gridEvent() + "]"), quote(quote(cloudEvent())),
		gridEvent("KeyNearExpiry", "VaultAccessPolicyChanged"), gridEvent("KeyNearExpiry", "SecretNewVersionCreated"),
		gridEvent("KeyNearExpiry", "KeyNewVersionCreated", "1764547200", "null", `"1796083200"`, "1.8e9"),
		gridEvent("vault.azure.net", "vault.azure.net.evil.com"), gridEvent("/vaults/kv-orders", "/vaults/kv-else"),
		gridEvent(`"id":"e-1"`, `"id":"e-1"," ID ":"e-2"`), `[null,1,"x",[],{}]`, `{"specversion":"1.0"}`, `"`, "[", "{}{}", "\ufeff{}", ``,
		gridEvent("2026-11-01T00:05:12.1234567Z", "9999-12-31T23:59:59-01:00"),
	}
}

func FuzzParseKeyVault(f *testing.F) {
	for _, s := range seeds() {
		f.Add([]byte(s))
	}
	addCorpus(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		cloud := azureid.Public()
		p, err := ParseKeyVault(raw, cloud)
		got := len(p.Signals) + len(p.Ignored) + len(p.Rejected)
		if err != nil {
			if !fault.Is(err, fault.Invalid) || got != 0 {
				t.Fatalf("error %v with %d elements", err, got)
			}
			return
		}
		if want := countElements(t, raw); got != want {
			t.Fatalf("%d elements in, %d accounted for: %+v", want, got, p)
		}
		for _, s := range p.Signals {
			checkSignal(t, s, cloud)
		}
		for _, r := range p.Rejected {
			if len(r.Problems) == 0 || !json.Valid(r.Raw) {
				t.Fatalf("rejected without a reason or the element: %+v", r)
			}
		}
		if _, err := json.Marshal(p); err != nil {
			t.Fatalf("cannot be stored: %v", err)
		}
	})
}

func checkSignal(t *testing.T, s Signal, cloud azureid.Cloud) {
	t.Helper()
	own := strings.HasPrefix(strings.ToLower(s.Type), ownFacts) // whose source is an installation of ours, not a vault
	if s.ID == "" || s.Subject.ID == "" || s.Vault.Type() != azureid.TypeVault && !own {
		t.Fatalf("incomplete signal %+v", s)
	}
	if s.Kind == AccessPolicyChanged {
		return
	}
	if err := cloud.CheckVaultHost(s.Key.Host); err != nil || !own && !strings.EqualFold(s.Key.VaultName(), s.Vault.Name()) {
		t.Fatalf("key %v of vault %v: %v", s.Key, s.Vault, err)
	}
	if s.Subject.ID != s.Key.ID() {
		t.Fatalf("subject %v of key %v", s.Subject, s.Key)
	}
	if len(s.ID) > maxID || len(s.Type) > maxID || len(s.Source) > maxSource {
		t.Fatalf("a signal of %d, %d and %d bytes cannot be stored", len(s.ID), len(s.Type), len(s.Source))
	}
	for _, b := range []string{s.ID, s.Source, s.Type} {
		if b != strings.TrimSpace(b) {
			t.Fatalf("untrimmed %q", b)
		}
	}
}

// countElements counts by another road than the parser: it decodes all of it.
func countElements(t *testing.T, raw []byte) int {
	t.Helper()
	text := string(raw)
	for range 5 {
		var v any
		text = strings.TrimPrefix(strings.TrimSpace(text), "\ufeff")
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatalf("taken, but no JSON: %v", err)
		}
		switch v := v.(type) {
		case string:
			text = v
		case []any:
			return len(v)
		default:
			return 1
		}
	}
	t.Fatal("too many strings")
	return 0
}

func BenchmarkParseKeyVault(b *testing.B) {
	for name, raw := range map[string]string{
		"one":      gridEvent(),
		"batch500": "[" + strings.Repeat(gridEvent()+",", 499) + gridEvent() + "]",
		"string":   quote(quote(gridEvent())),
		"rejected": gridEvent("vault.azure.net", "evil.example"),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseKeyVault([]byte(raw), azureid.Public()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
