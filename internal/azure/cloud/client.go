package cloud

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	azcloud "github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"cmkguard/internal/fault"
)

const (
	applicationID = "cmkguard" // in the User-Agent, so that owners find us in their logs
	dialTimeout   = 10 * time.Second
	headerTimeout = 60 * time.Second
	wholeTimeout  = 2 * time.Minute
)

// HTTPClient returns a client that dials as the profile says, trusts its extra
// roots, uses no proxy for dialled hosts, and follows no redirect: Azure's
// control and data planes send none, and a token must not follow one.
func (p Profile) HTTPClient() *http.Client {
	if p.transport != nil {
		return &http.Client{Timeout: wholeTimeout, Transport: p.transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	d := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	return &http.Client{
		Timeout:       wholeTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: p.proxy,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				if to, ok := p.target(addr); ok {
					addr = to
				}
				return d.DialContext(ctx, network, addr)
			},
			TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: p.roots},
			ForceAttemptHTTP2:     true,
			TLSHandshakeTimeout:   dialTimeout,
			ResponseHeaderTimeout: headerTimeout,
			IdleConnTimeout:       90 * time.Second,
			MaxIdleConns:          100,
			MaxIdleConnsPerHost:   10,
		},
	}
}

func (p Profile) proxy(r *http.Request) (*url.URL, error) {
	if _, dialled := p.target(hostPort(r.URL)); dialled {
		return nil, nil
	}
	return http.ProxyFromEnvironment(r)
}

// NoRetry switches the SDK's retries off: for calls that are not idempotent.
func NoRetry() policy.RetryOptions { return policy.RetryOptions{MaxRetries: -1} }

// ReadRetry is the SDK's retries, bounded to what fits into one invocation.
func ReadRetry() policy.RetryOptions {
	return policy.RetryOptions{
		MaxRetries: 2, RetryDelay: 500 * time.Millisecond, MaxRetryDelay: 5 * time.Second,
		// 429 is not retried here: the caller comes back when the service said.
		StatusCodes: []int{http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway,
			http.StatusServiceUnavailable, http.StatusGatewayTimeout},
	}
}

// ClientOptions returns the options of every SDK client: this cloud, this way
// to it, no bodies in logs, and no request to a host outside the cloud. Each
// call makes a new HTTP client; reuse the result.
func (p Profile) ClientOptions(retry policy.RetryOptions) azcore.ClientOptions {
	o := p.authOptions(retry)
	o.PerCallPolicies = []policy.Policy{hostGuard{p}}
	if p.gate != nil {
		o.PerRetryPolicies = []policy.Policy{gatePolicy{p, p.gate}}
	}
	if p.drift != nil {
		o.PerRetryPolicies = append(o.PerRetryPolicies, driftPolicy{p.drift})
	}
	return o
}

// authOptions lacks the host guard: identity endpoints are the credential's.
func (p Profile) authOptions(retry policy.RetryOptions) azcore.ClientOptions {
	return azcore.ClientOptions{
		Cloud: azcloud.Configuration{
			ActiveDirectoryAuthorityHost: p.Authority,
			Services: map[azcloud.ServiceName]azcloud.ServiceConfiguration{
				azcloud.ResourceManager: {Audience: p.ARMAudience, Endpoint: p.ARM},
			},
		},
		Retry:     p.paced(retry),
		Telemetry: policy.TelemetryOptions{ApplicationID: applicationID},
		Transport: p.HTTPClient(),
	}
}

// paced shortens the pauses between retries in a world that has a clock of its own: it
// does not get better by this machine's waiting.
func (p Profile) paced(retry policy.RetryOptions) policy.RetryOptions {
	if p.ClockURL != "" {
		retry.RetryDelay, retry.MaxRetryDelay = simulatedPause, simulatedPause
	}
	return retry
}

const simulatedPause = 10 * time.Millisecond

// ARMOptions is ClientOptions for Resource Manager clients, which would
// otherwise try to register resource providers: a write that nobody asked for.
func (p Profile) ARMOptions(retry policy.RetryOptions) *arm.ClientOptions {
	return &arm.ClientOptions{ClientOptions: p.ClientOptions(retry), DisableRPRegistration: true}
}

// hostGuard refuses requests to hosts outside the cloud before a token is
// asked for. Polling and paging URLs come from answers and pass here too.
type hostGuard struct{ p Profile }

// Do implements policy.Policy.
func (g hostGuard) Do(r *policy.Request) (*http.Response, error) {
	if err := g.p.CheckHost(r.Raw().URL); err != nil {
		return nil, err
	}
	return r.Next()
}

// CheckHost returns an Invalid fault unless the URL is https and its host is
// the cloud's Resource Manager, one of its vaults or an Event Grid topic; with
// a static token it must also dial to loopback.
func (p Profile) CheckHost(u *url.URL) error {
	const op = "cloud.CheckHost"
	host := strings.ToLower(u.Hostname())
	switch {
	case u.Scheme != "https" || u.User != nil:
		return fault.New(fault.Invalid, op, "refused to call %s: not a plain https URL", u.Redacted())
	case !p.owns(u, host):
		return fault.New(fault.Invalid, op, "refused to call %q: not a host of cloud %q", u.Host, p.Name)
	case p.Token != "" && !p.dialsToLoopback(hostPort(u)):
		return fault.New(fault.Invalid, op, "refused to send the test token to %q: it does not dial to loopback", u.Host)
	}
	return nil
}

func (p Profile) owns(u *url.URL, host string) bool {
	if a, err := url.Parse(p.ARM); err == nil && hostPort(a) == hostPort(u) {
		return true
	}
	if u.Port() != "" && u.Port() != "443" {
		return false
	}
	return p.CheckVaultHost(host) == nil || strings.HasSuffix(host, "."+hostOf(p.GridAudience)) || p.ownsStorage(host)
}

// ownsStorage takes ACCOUNT.SERVICE.SUFFIX of the services that hold our state.
func (p Profile) ownsStorage(host string) bool {
	rest, ok := strings.CutSuffix(host, p.StorageSuffix)
	if !ok || p.StorageSuffix == "" {
		return false
	}
	account, service, ok := strings.Cut(rest, ".")
	return ok && account != "" && (service == "table" || service == "queue" || service == "blob")
}
