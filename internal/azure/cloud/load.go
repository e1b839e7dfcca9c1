package cloud

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
)

// file is a cloud profile's JSON.
type file struct {
	Name          string            `json:"name"`
	Authority     string            `json:"authority"`
	ARM           string            `json:"arm"`
	ARMAudience   string            `json:"armAudience"`
	VaultSuffixes []string          `json:"vaultSuffixes"`
	HSMSuffixes   []string          `json:"hsmSuffixes"`
	VaultAudience string            `json:"vaultAudience"`
	GridAudience  string            `json:"gridAudience"`
	StorageSuffix string            `json:"storageSuffix"`
	Portal        string            `json:"portal"`
	CAFile        string            `json:"caFile"`
	Dial          map[string]string `json:"dial"`
	Token         string            `json:"token"`
	Clock         string            `json:"clock"`
}

// Load returns the profile that a setting names: "public" (or ""), "usgov",
// "china", or the path of a profile file. A file whose name is a built-in
// cloud's takes from it what it leaves out. Every problem of a file is
// reported at once, as an Invalid fault.
func Load(setting string) (Profile, error) {
	if c, ok := builtIn(setting); ok {
		return Profile{Cloud: c}, nil
	}
	const op = "cloud.Load"
	raw, err := os.ReadFile(setting)
	if err != nil {
		return Profile{}, fault.New(fault.Invalid, op, "neither public, usgov, china nor a readable cloud profile: %w", err)
	}
	f, err := decode(raw)
	if err != nil {
		return Profile{}, fault.New(fault.Invalid, op, "%s: %w", setting, err)
	}
	p := f.profile(filepath.Dir(setting))
	problems := p.problems()
	if p.CAFile != "" {
		if p.roots, err = readRoots(p.CAFile); err != nil {
			problems = append(problems, fmt.Errorf("caFile: %w", err))
		}
	}
	if len(problems) > 0 {
		return Profile{}, fault.New(fault.Invalid, op, "%s: %w", setting, errors.Join(problems...))
	}
	return p, nil
}

func builtIn(name string) (azureid.Cloud, bool) {
	switch strings.ToLower(name) {
	case "", "public":
		return azureid.Public(), true
	case "usgov":
		return azureid.USGov(), true
	case "china":
		return azureid.China(), true
	}
	return azureid.Cloud{}, false
}

func decode(raw []byte) (file, error) {
	var f file
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return file{}, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return file{}, errors.New("more than one JSON value")
	}
	return f, nil
}

// profile fills in what the named built-in cloud knows.
func (f file) profile(dir string) Profile {
	var base azureid.Cloud
	if f.Name != "" {
		base, _ = builtIn(f.Name)
	}
	c := azureid.Cloud{
		Name: f.Name, Authority: or(f.Authority, base.Authority), ARM: or(f.ARM, base.ARM),
		ARMAudience:   or(f.ARMAudience, base.ARMAudience),
		VaultSuffixes: orList(f.VaultSuffixes, base.VaultSuffixes), HSMSuffixes: orList(f.HSMSuffixes, base.HSMSuffixes),
		VaultAudience: or(f.VaultAudience, base.VaultAudience), GridAudience: or(f.GridAudience, base.GridAudience),
		StorageSuffix: strings.ToLower(or(f.StorageSuffix, base.StorageSuffix)), Portal: or(f.Portal, base.Portal),
	}
	p := Profile{Cloud: c, CAFile: f.CAFile, Dial: f.Dial, Token: f.Token, ClockURL: f.Clock}
	if p.CAFile != "" && !filepath.IsAbs(p.CAFile) {
		p.CAFile = filepath.Join(dir, p.CAFile)
	}
	return p
}

func or(s, base string) string {
	if s == "" {
		return base
	}
	return s
}

func orList(s, base []string) []string {
	out := make([]string, 0, len(s)+len(base))
	if s == nil {
		s = base
	}
	for _, v := range s {
		out = append(out, strings.ToLower(v))
	}
	return out
}

// problems returns everything that is wrong with the profile.
func (p Profile) problems() []error {
	var out []error
	bad := func(format string, args ...any) { out = append(out, fmt.Errorf(format, args...)) }
	if p.Name == "" {
		bad("name: missing")
	}
	for _, e := range [...]struct{ key, url string }{
		{"authority", p.Authority}, {"arm", p.ARM}, {"armAudience", p.ARMAudience},
		{"vaultAudience", p.VaultAudience}, {"gridAudience", p.GridAudience},
	} {
		if u, err := url.Parse(e.url); err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
			bad("%s: %q is not an https URL", e.key, e.url)
		}
	}
	if len(p.VaultSuffixes) == 0 {
		bad("vaultSuffixes: missing")
	}
	suffixes := append(append([]string{}, p.VaultSuffixes...), p.HSMSuffixes...)
	if p.StorageSuffix != "" { // without one, state is not in this cloud's storage
		suffixes = append(suffixes, p.StorageSuffix)
	}
	for _, s := range suffixes {
		if !strings.HasPrefix(s, ".") || strings.Count(s, ".") < 2 || strings.ContainsAny(s, "*/: ") {
			bad("suffix %q: want a dot and a domain, such as .vault.azure.net", s)
		}
	}
	for from, to := range p.Dial {
		if _, _, err := net.SplitHostPort(from); err != nil {
			bad("dial: %q is not HOST:PORT", from)
		}
		if _, _, err := net.SplitHostPort(to); err != nil {
			bad("dial: %q: target %q is not HOST:PORT", from, to)
		}
	}
	return append(out, p.testOnlyProblems()...)
}

// testOnlyProblems refuses the static token and the clock unless no endpoint
// can be a real one: every endpoint and every dial target is on this machine.
func (p Profile) testOnlyProblems() []error {
	if p.Token == "" && p.ClockURL == "" {
		return nil
	}
	var out []error
	need := func(what, addr string) {
		if !p.dialsToLoopback(addr) {
			out = append(out, fmt.Errorf("token and clock are for tests: %s (%s) does not dial to loopback", what, addr))
		}
	}
	urls := map[string]string{"authority": p.Authority, "arm": p.ARM}
	if p.ClockURL != "" {
		urls["clock"] = p.ClockURL
	}
	for _, name := range [...]string{"authority", "arm", "clock"} {
		raw, ok := urls[name]
		if !ok {
			continue
		}
		u, err := url.Parse(raw)
		if err != nil || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http") {
			out = append(out, fmt.Errorf("%s: %q is not a URL", name, raw))
			continue
		}
		need(name, hostPort(u))
	}
	for _, s := range append(append([]string{}, p.VaultSuffixes...), p.HSMSuffixes...) {
		need("suffix "+s, "any"+s+":443")
	}
	for from, to := range p.Dial {
		need("dial "+from, to)
	}
	return out
}

func readRoots(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a machine without roots: only the extra ones count
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate in PEM", path)
	}
	return pool, nil
}
