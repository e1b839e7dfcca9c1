package azureid

import (
	"strings"

	"cmkguard/internal/fault"
)

// Cloud is the hosts and audiences of one Azure cloud. Vault suffixes begin
// with a dot. (Hosts: azcore/cloud of the Azure SDK for Go and Key Vault's
// "About keys, secrets, certificates: DNS suffixes" page.)
type Cloud struct {
	Name          string
	Authority     string   // https://login.microsoftonline.com/
	ARM           string   // https://management.azure.com
	ARMAudience   string   // https://management.core.windows.net/
	VaultSuffixes []string // .vault.azure.net
	HSMSuffixes   []string // .managedhsm.azure.net
	VaultAudience string   // https://vault.azure.net
	GridAudience  string   // https://eventgrid.azure.net
	StorageSuffix string   // .core.windows.net
	Portal        string   // https://portal.azure.com
}

// Public returns Azure's public cloud.
func Public() Cloud {
	return Cloud{
		Name:          "public",
		Authority:     "https://login.microsoftonline.com/",
		ARM:           "https://management.azure.com",
		ARMAudience:   "https://management.core.windows.net/",
		VaultSuffixes: []string{".vault.azure.net"},
		HSMSuffixes:   []string{".managedhsm.azure.net"},
		VaultAudience: "https://vault.azure.net",
		GridAudience:  "https://eventgrid.azure.net",
		StorageSuffix: ".core.windows.net",
		Portal:        "https://portal.azure.com",
	}
}

// USGov returns Azure Government.
func USGov() Cloud {
	return Cloud{
		Name:          "usgov",
		Authority:     "https://login.microsoftonline.us/",
		ARM:           "https://management.usgovcloudapi.net",
		ARMAudience:   "https://management.core.usgovcloudapi.net/",
		VaultSuffixes: []string{".vault.usgovcloudapi.net"},
		HSMSuffixes:   []string{".managedhsm.usgovcloudapi.net"},
		VaultAudience: "https://vault.usgovcloudapi.net",
		GridAudience:  "https://eventgrid.azure.us",
		StorageSuffix: ".core.usgovcloudapi.net",
		Portal:        "https://portal.azure.us",
	}
}

// China returns Azure operated by 21Vianet.
func China() Cloud {
	return Cloud{
		Name:          "china",
		Authority:     "https://login.chinacloudapi.cn/",
		ARM:           "https://management.chinacloudapi.cn",
		ARMAudience:   "https://management.core.chinacloudapi.cn/",
		VaultSuffixes: []string{".vault.azure.cn"},
		HSMSuffixes:   []string{".managedhsm.azure.cn"},
		VaultAudience: "https://vault.azure.cn",
		GridAudience:  "https://eventgrid.azure.cn",
		StorageSuffix: ".core.chinacloudapi.cn",
		Portal:        "https://portal.azure.cn",
	}
}

// CheckVaultHost returns an Invalid fault unless host is one label in front of
// one of the cloud's vault or HSM suffixes. It is what keeps a token from ever
// going to a host that an event or a cluster merely named.
func (c Cloud) CheckVaultHost(host string) error {
	h := strings.ToLower(host)
	// Letters of other scripts can lower to ASCII (the Kelvin sign to k); such a
	// host is nobody's vault, whatever it would resolve to.
	if strings.IndexFunc(host, func(r rune) bool { return r > 127 }) >= 0 {
		h = ""
	}
	for _, set := range [][]string{c.VaultSuffixes, c.HSMSuffixes} {
		for _, suffix := range set {
			if label, ok := strings.CutSuffix(h, suffix); ok && isLabel(label) {
				return nil
			}
		}
	}
	return fault.New(fault.Invalid, "azureid.CheckVaultHost",
		"host %q is not a vault of cloud %q (want NAME%s)", host, c.Name, strings.Join(c.VaultSuffixes, " or NAME"))
}

// IsHSM reports whether host belongs to a Managed HSM of the cloud.
func (c Cloud) IsHSM(host string) bool {
	for _, suffix := range c.HSMSuffixes {
		if strings.HasSuffix(strings.ToLower(host), suffix) {
			return true
		}
	}
	return false
}

func isLabel(s string) bool {
	if s == "" || len(s) > 63 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
