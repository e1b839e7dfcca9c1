package azureid

import (
	"encoding/json"
	"net/url"
	"strings"

	"cmkguard/internal/fault"
)

// Key names a key, or one version of it, in a vault. Host is in lower case;
// Name is as given; Version is in lower case and empty for the key as a whole.
// The zero value is no key.
type Key struct {
	Host    string
	Name    string
	Version string
}

// ParseKey parses a Key Vault object URL, https://HOST/keys/NAME[/VERSION], or
// its deleted form, https://HOST/deletedkeys/NAME. The host must belong to the
// cloud, so that no later call can send a token elsewhere.
func ParseKey(raw string, c Cloud) (Key, error) {
	const op = "azureid.ParseKey"
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil {
		return Key{}, fault.New(fault.Invalid, op, "key URL %q: %w", raw, err)
	}
	if u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || (u.Port() != "" && u.Port() != "443") {
		return Key{}, fault.New(fault.Invalid, op, "key URL %q: want https://HOST/keys/NAME/VERSION and nothing else", raw)
	}
	// An escaped slash would make one segment into two, and no name has anything
	// to escape.
	if strings.ContainsRune(raw, '%') {
		return Key{}, fault.New(fault.Invalid, op, "key URL %q: has an escape (%%), which no key name needs", raw)
	}
	if err := c.CheckVaultHost(u.Hostname()); err != nil {
		return Key{}, err
	}
	host := strings.ToLower(u.Hostname())
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	isKeys := len(parts) >= 2 && len(parts) <= 3 && strings.EqualFold(parts[0], "keys")
	isDeleted := len(parts) == 2 && strings.EqualFold(parts[0], "deletedkeys")
	if !isKeys && !isDeleted {
		return Key{}, fault.New(fault.Invalid, op, "key URL %q: path is not /keys/NAME or /keys/NAME/VERSION", raw)
	}
	k := Key{Host: host, Name: parts[1]}
	if !isKeyName(k.Name) {
		return Key{}, fault.New(fault.Invalid, op, "key URL %q: name is not 1 to 127 letters, digits and dashes", raw)
	}
	if len(parts) == 3 {
		k.Version = strings.ToLower(parts[2])
		if !isVersion(k.Version) {
			return Key{}, fault.New(fault.Invalid, op, "key URL %q: version is not hexadecimal", raw)
		}
	}
	return k, nil
}

// ID returns the key without its version, in lower case: HOST/NAME.
func (k Key) ID() string { return k.Host + "/" + strings.ToLower(k.Name) }

// String returns the URL.
func (k Key) String() string {
	if k.IsZero() {
		return ""
	}
	s := "https://" + k.Host + "/keys/" + k.Name
	if k.Version != "" {
		s += "/" + k.Version
	}
	return s
}

// VaultURL returns the vault's base URL with a final slash.
func (k Key) VaultURL() string { return "https://" + k.Host + "/" }

// VaultName returns the host's first label.
func (k Key) VaultName() string { name, _, _ := strings.Cut(k.Host, "."); return name }

// At returns the key at a version.
func (k Key) At(version string) Key { k.Version = strings.ToLower(version); return k }

// Base returns the key without a version.
func (k Key) Base() Key { k.Version = ""; return k }

// IsZero reports whether k is no key.
func (k Key) IsZero() bool { return k == Key{} }

// SameKey reports whether both name the same key, whatever the version.
func (k Key) SameKey(o Key) bool { return k.ID() == o.ID() }

// Equal reports whether both name the same version of the same key.
func (k Key) Equal(o Key) bool { return k.SameKey(o) && k.Version == o.Version }

// MarshalJSON writes the URL.
func (k Key) MarshalJSON() ([]byte, error) { return json.Marshal(k.String()) }

// UnmarshalJSON reads what MarshalJSON wrote. It does not judge the host:
// stored keys were parsed with ParseKey before.
func (k *Key) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	*k = Key{}
	if s == "" {
		return nil
	}
	rest, ok := strings.CutPrefix(s, "https://")
	parts := strings.Split(rest, "/")
	if !ok || len(parts) < 3 || len(parts) > 4 || parts[1] != "keys" {
		return fault.New(fault.Invalid, "azureid.Key.UnmarshalJSON", "stored key %q is not a key URL", s)
	}
	k.Host, k.Name = parts[0], parts[2]
	if len(parts) == 4 {
		k.Version = parts[3]
	}
	return nil
}

func isKeyName(s string) bool {
	if s == "" || len(s) > 127 {
		return false
	}
	for i := range len(s) {
		c := s[i] | 0x20
		if (c < 'a' || c > 'z') && (s[i] < '0' || s[i] > '9') && s[i] != '-' {
			return false
		}
	}
	return true
}

// Versions are 32 hexadecimal digits in every example; nothing documents the
// length, so any run of hex up to 64 is taken.
func isVersion(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'f') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}
