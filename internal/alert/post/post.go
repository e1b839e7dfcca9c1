// Package post sends one JSON document to a receiver of alerts and says what
// became of it, in the words that the dispatcher decides by. It knows no
// receiver's format.
package post

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"cmkguard/internal/fault"
)

const (
	timeout       = 15 * time.Second // above the dispatcher's own: for whoever calls without a deadline
	maxAnswer     = 64 << 10         // of a receiver's answer
	maxRetryAfter = 24 * time.Hour   // a longer wish is a mistake; it also must not overflow
)

// Client posts to one URL, which may be a secret. It is safe for concurrent use.
type Client struct {
	op, url string
	http    *http.Client
	now     func() time.Time
}

// New returns a client; op names it in errors. The URL must be https; plain http
// only to this machine. Errors are Invalid and never repeat the URL's path.
func New(op, rawURL string, now func() time.Time) (*Client, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, fault.New(fault.Invalid, op, "url is not https://HOST/PATH without a password")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return nil, fault.New(fault.Invalid, op, "url %s://%s: want https (http only to a loopback address)", u.Scheme, u.Host)
	}
	return &Client{op: op, url: rawURL, now: now, http: &http.Client{
		Timeout: timeout, Transport: connections(),
		// A redirect would carry the alert to a host that nobody configured.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// connections are a client's own: nobody else's CloseIdleConnections breaks off an alert.
func connections() http.RoundTripper {
	if t, ok := http.DefaultTransport.(*http.Transport); ok {
		return t.Clone()
	}
	return http.DefaultTransport
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || (ip != nil && ip.IsLoopback())
}

// Send posts the body and returns the answer to a status of 200 to 299. What went
// wrong on the way is Unknown: the receiver may have acted. A status that means
// "not now" is Transient with the delay that the receiver asks for, 401 and 403
// are Denied, everything else is Invalid.
func (c *Client) Send(ctx context.Context, body []byte, header http.Header) ([]byte, error) {
	return c.Do(ctx, Request{Method: http.MethodPost, Body: body, Header: header})
}

// Request is one call below the client's URL.
type Request struct {
	Method string
	Path   string // goes behind the URL, with its query; "" or beginning with /
	Body   []byte
	Header http.Header
}

// Do is Send with another method or path.
func (c *Client) Do(ctx context.Context, r Request) ([]byte, error) {
	to := c.url
	if r.Path != "" {
		if !strings.HasPrefix(r.Path, "/") {
			return nil, fault.New(fault.Invalid, c.op, "the path does not begin with /")
		}
		to = strings.TrimSuffix(to, "/") + r.Path // behind the host, whatever it holds
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, to, bytes.NewReader(r.Body))
	if err != nil {
		return nil, fault.New(fault.Invalid, c.op, "the url cannot be posted to")
	}
	req.Header = r.Header.Clone()
	req.Header.Set("User-Agent", "cmkguard")
	resp, err := c.http.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // the URL may hold a token: not into logs and rows
		}
		return nil, fault.Wrap(fault.Unknown, c.op, err)
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // the status decides
	return answer, c.judge(resp, answer, req)
}

// judge: what the receiver refused for good is given up, the rest comes again.
func (c *Client) judge(resp *http.Response, answer []byte, req *http.Request) error {
	code := resp.StatusCode
	if code >= 200 && code < 300 {
		return nil
	}
	e := fault.New(fault.Invalid, c.op, "the receiver answered %d %s%s", code, http.StatusText(code), reason(answer, secretsOf(req)))
	if code == http.StatusTooManyRequests {
		e.Code = "rate" // alert.CodeRate
	}
	switch {
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code >= 500:
		e.Kind, e.RetryAfter = fault.Transient, c.retryAfter(resp.Header.Get("Retry-After"))
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		e.Kind = fault.Denied
	}
	return e
}

// retryAfter reads seconds or an HTTP date; 0 for anything else.
func (c *Client) retryAfter(s string) time.Duration {
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		return min(time.Duration(n)*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(s); err == nil {
		return min(max(0, at.Sub(c.now())), maxRetryAfter)
	}
	return 0
}
