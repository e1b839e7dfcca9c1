// Package cloud knows one Azure cloud's endpoints and how to reach them: a
// built-in cloud by name, or a profile file that lets any Azure-like endpoint
// stand in. It gives the other adapters their HTTP client, credential, clock
// and client options, and keeps tokens inside the cloud.
//
// It calls no Azure service itself.
package cloud

import (
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"cmkguard/internal/azureid"
)

// Profile is a cloud and the way to it. The zero value is of no use; Load
// makes one.
type Profile struct {
	azureid.Cloud
	CAFile   string            // PEM file of extra roots, resolved against the profile's folder; "" is none
	Dial     map[string]string // "HOST:PORT" or "*.SUFFIX:PORT" to the address that is dialled instead
	Token    string            // static test token; "" asks Azure for tokens
	ClockURL string            // replaces the wall clock; "" is the wall clock

	drift     *Drift            // nil: our clock is not compared with the services'
	gate      Gate              // nil: services are called as often as anybody likes
	patience  time.Duration     // how long a call may wait at the gate; 0 is waitHere
	transport http.RoundTripper // nil: the network
	roots     *x509.CertPool    // CAFile on top of the system's roots; nil is the system's
}

// target returns the address that is dialled instead of addr (HOST:PORT), if
// any. An exact entry wins over a wildcard, and a longer wildcard over a
// shorter one.
func (p Profile) target(addr string) (string, bool) {
	addr = strings.ToLower(addr)
	best, out := "", ""
	for pattern, to := range p.Dial {
		pattern = strings.ToLower(pattern)
		if pattern == addr {
			return to, true
		}
		if suffix, ok := strings.CutPrefix(pattern, "*"); ok && strings.HasSuffix(addr, suffix) && len(suffix) > len(best) {
			best, out = suffix, to
		}
	}
	return out, best != ""
}

// dialsToLoopback reports whether a connection to addr stays on this machine,
// judged by text alone: a name other than localhost does not count.
func (p Profile) dialsToLoopback(addr string) bool {
	if to, ok := p.target(addr); ok {
		addr = to
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// hostPort returns a URL's HOST:PORT with the scheme's default port.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "443"
		if u.Scheme == "http" {
			port = "80"
		}
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// hostOf returns the host of a URL that validation already parsed.
func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}
