// Package heartbeat calls an external watcher, a dead man's switch: a service
// that pages when our call stays away, and so the only one that notices that we
// are gone altogether. It knows how to call and nothing else; when a call is due,
// and whether it is deserved, is the guard's (internal/guard/watcher.go).
package heartbeat

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"cmkguard/internal/fault"
)

const timeout = 10 * time.Second

// Watcher calls one URL. It is safe for concurrent use.
type Watcher struct {
	url, authorization string
	http               *http.Client
}

// New returns a Watcher. The URL must be https; plain http only to this machine.
// Whoever knows it can keep the watcher quiet: errors never repeat its path.
// authorization is the value of that header, or "".
//
// The call is a GET without a body, because every common watcher takes that:
// healthchecks.io ("HEAD, GET, and POST", healthchecks.io/docs/http_api), Dead
// Man's Snitch (deadmanssnitch.com/docs: curl of the snitch's URL), heartbeats of
// Opsgenie and Jira Service Management (GET /v2/heartbeats/NAME/ping with
// "Authorization: GenieKey KEY"). PagerDuty has none of its own; those above
// page through it.
func New(rawURL, authorization string) (*Watcher, error) {
	const op = "heartbeat.New"
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, fault.New(fault.Invalid, op, "the watcher's url is not https://HOST/PATH without a password")
	}
	ip := net.ParseIP(u.Hostname())
	here := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !here) {
		return nil, fault.New(fault.Invalid, op, "the watcher's url %s://%s: want https (http only to a loopback address)", u.Scheme, u.Host)
	}
	if strings.ContainsAny(authorization, "\r\n") {
		return nil, fault.New(fault.Invalid, op, "the watcher's key has more than one line")
	}
	return &Watcher{url: rawURL, authorization: authorization, http: &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Ping tells the watcher that all is well. A status of 200 to 299 is taken for
// heard. Sent twice it does no harm.
func (w *Watcher) Ping(ctx context.Context) error {
	const op = "heartbeat.Ping"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url, nil)
	if err != nil {
		return fault.New(fault.Invalid, op, "the watcher's url cannot be called")
	}
	req.Header.Set("User-Agent", "cmkguard")
	if w.authorization != "" {
		req.Header.Set("Authorization", w.authorization)
	}
	resp, err := w.http.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // the URL is a secret: not into logs and rows
		}
		return fault.Wrap(fault.Transient, op, err)
	}
	defer resp.Body.Close()
	switch code := resp.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusTooManyRequests || code >= 500:
		return fault.New(fault.Transient, op, "the watcher answered %d %s", code, http.StatusText(code))
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return fault.New(fault.Denied, op, "the watcher answered %d %s: its key is wrong", code, http.StatusText(code))
	default:
		return fault.New(fault.Invalid, op, "the watcher answered %d %s: is its url right?", code, http.StatusText(code))
	}
}
