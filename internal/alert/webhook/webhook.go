// Package webhook posts alerts as CloudEvents 1.0 (structured JSON) with the
// signature headers of the Standard Webhooks specification, so that a receiver
// can tell that it was us, when, and that it is the same alert again.
package webhook

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"cmkguard/internal/alert"
	"cmkguard/internal/canonical"
	"cmkguard/internal/fault"
)

// EventType is the CloudEvents type of an alert.
const EventType = "io.cmkguard.alert.v1"

const (
	timeout       = 15 * time.Second // above the dispatcher's own: for whoever calls without a deadline
	minSecret     = 24               // bytes; the specification's least
	maxRetryAfter = 24 * time.Hour   // a longer wish is a mistake; it also must not overflow
)

// Channel posts to one URL. It is safe for concurrent use.
type Channel struct {
	url    string
	signer *standardwebhooks.Webhook
	client *http.Client
	now    func() time.Time
}

var _ alert.Channel = (*Channel)(nil)

// New returns a Channel. secret is base64 of at least 24 bytes, with or without
// the prefix whsec_. The URL must be https; plain http only to this machine.
// Errors are Invalid and never repeat the URL's path or the secret.
func New(rawURL, secret string, now func() time.Time) (*Channel, error) {
	const op = "webhook.New"
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, fault.New(fault.Invalid, op, "url is not https://HOST/PATH without a password")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return nil, fault.New(fault.Invalid, op, "url %s://%s: want https (http only to a loopback address)", u.Scheme, u.Host)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(key) < minSecret {
		return nil, fault.New(fault.Invalid, op, "the secret is not base64 of at least %d bytes (whsec_...)", minSecret)
	}
	wh, err := standardwebhooks.NewWebhookRaw(key)
	if err != nil {
		return nil, fault.New(fault.Invalid, op, "the secret is refused")
	}
	return &Channel{url: rawURL, signer: wh, now: now, client: &http.Client{
		Timeout: timeout,
		// A redirect would carry the alert to a host that nobody configured.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || (ip != nil && ip.IsLoopback())
}

type cloudEvent struct {
	SpecVersion     string      `json:"specversion"`
	ID              string      `json:"id"`
	Source          string      `json:"source"`
	Type            string      `json:"type"`
	Subject         string      `json:"subject"`
	Time            time.Time   `json:"time"`
	DataContentType string      `json:"datacontenttype"`
	Data            alert.Alert `json:"data"`
}

// Send implements alert.Channel. The alert's id is the webhook-id: a receiver
// that saw it takes it once. What went wrong on the way is Unknown: the
// receiver may have acted.
func (c *Channel) Send(ctx context.Context, a alert.Alert) (string, error) {
	req, err := c.request(ctx, a)
	if err != nil {
		return "", err
	}
	resp, err := c.client.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // the URL may hold a token: not into logs and rows
		}
		return "", fault.Wrap(fault.Unknown, "webhook.Send", err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be kept
	if err := c.judge(resp); err != nil {
		return "", err
	}
	return a.ID, nil
}

// request builds the signed POST. The event's body is the same at every
// attempt; the signature's time is that of the attempt.
func (c *Channel) request(ctx context.Context, a alert.Alert) (*http.Request, error) {
	const op = "webhook.Send"
	at, made := c.now(), a.At
	if made.IsZero() {
		made = at
	}
	body, err := canonical.JSON(cloudEvent{"1.0", a.ID, "cmkguard", EventType, a.Subject, made.UTC(), "application/json", a})
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, op, err)
	}
	sig, err := c.signer.Sign(a.ID, at, body)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, op, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, fault.New(fault.Invalid, op, "the url cannot be posted to")
	}
	req.Header.Set("Content-Type", "application/cloudevents+json; charset=utf-8")
	req.Header.Set("User-Agent", "cmkguard")
	req.Header.Set(standardwebhooks.HeaderWebhookID, a.ID)
	req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	req.Header.Set(standardwebhooks.HeaderWebhookSignature, sig)
	return req, nil
}

// judge: what the receiver refused for good is given up, the rest comes again.
func (c *Channel) judge(resp *http.Response) error {
	code := resp.StatusCode
	if code >= 200 && code < 300 {
		return nil
	}
	e := fault.New(fault.Invalid, "webhook.Send", "the receiver answered %d %s", code, http.StatusText(code))
	switch {
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code >= 500:
		e.Kind, e.RetryAfter = fault.Transient, c.retryAfter(resp.Header.Get("Retry-After"))
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		e.Kind = fault.Denied
	}
	return e
}

// retryAfter reads seconds or an HTTP date; 0 for anything else.
func (c *Channel) retryAfter(s string) time.Duration {
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		return min(time.Duration(n)*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(s); err == nil {
		return min(max(0, at.Sub(c.now())), maxRetryAfter)
	}
	return 0
}
