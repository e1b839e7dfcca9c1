package cloud_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/fault"
)

// A profile that is taken leads to vaults of its own suffixes only, and one with
// a token or a clock leads nowhere but to this machine.
func FuzzLoad(f *testing.F) {
	local := `"dial":{"login.x:443":"127.0.0.1:1","arm.x:443":"127.0.0.1:1","*.v.x:443":"127.0.0.1:1"}`
	base := `"name":"s","authority":"https://login.x/","arm":"https://arm.x","armAudience":"https://a.x","vaultSuffixes":[".v.x"],"vaultAudience":"https://v.x","gridAudience":"https://g.x"`
	for _, s := range []string{
		"{" + base + "}", "{" + base + `,"token":"t",` + local + "}", "{" + base + `,"token":"t"}`, "{" + base + `,"clock":"http://127.0.0.1:1/clock",` + local + "}",
		"{" + base + `,"clock":"http://evil.example/",` + local + "}", `{"name":"public","token":"t"}`, `{"name":"public"}`, `{"name":"usgov","vaultSuffixes":["*.x"]}`,
		"{" + base + `,"token":"t","dial":{"arm.x:443":"[::1]:1"}}`, `{"name":"public","caFile":"x"}`, `{} {}`, `[]`, ``,
	} {
		f.Add([]byte(s))
	}
	path := filepath.Join(f.TempDir(), "cloud.json")
	f.Fuzz(func(t *testing.T, raw []byte) {
		if strings.Contains(strings.ToLower(string(raw)), "cafile") {
			return // would read a file of the fuzzer's choice
		}
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := cloud.Load(path)
		if err != nil {
			if !fault.Is(err, fault.Invalid) || p.Name != "" {
				t.Fatalf("%+v, %v", p, err)
			}
			return
		}
		for _, s := range append(p.VaultSuffixes, p.HSMSuffixes...) {
			if !strings.HasPrefix(s, ".") || strings.Count(s, ".") < 2 || s != strings.ToLower(s) {
				t.Fatalf("suffix %q", s)
			}
		}
		if p.Token == "" && p.ClockURL == "" {
			return
		}
		for from, to := range p.Dial {
			host, _, err := net.SplitHostPort(to)
			if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
				t.Fatalf("a test token is sent from %s to %s", from, to)
			}
		}
	})
}
