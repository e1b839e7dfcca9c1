// Package webhook posts alerts as CloudEvents 1.0 (structured JSON) with the
// signature headers of the Standard Webhooks specification, so that a receiver
// can tell that it was us, when, and that it is the same alert again.
package webhook

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"cmkguard/internal/alert"
	"cmkguard/internal/canonical"
	"cmkguard/internal/fault"
)

// EventType is the CloudEvents type of an alert.
const EventType = "io.cmkguard.alert.v1"

// Channel posts to one URL.
type Channel struct {
	url    string
	signer *standardwebhooks.Webhook
	client *http.Client
	now    func() time.Time
}

var _ alert.Channel = (*Channel)(nil)

// New returns a Channel. secret is base64, with or without the prefix whsec_.
// The URL must be https; plain http only to this machine.
func New(rawURL, secret string, now func() time.Time) (*Channel, error) {
	const op = "webhook.New"
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, fault.New(fault.Invalid, op, "url is not https://HOST/PATH without a password")
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())) {
		return nil, fault.New(fault.Invalid, op, "url %s://%s: want https (http only to a loopback address)", u.Scheme, u.Host)
	}
	wh, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return nil, fault.New(fault.Invalid, op, "the secret is not base64 (whsec_...)")
	}
	return &Channel{url: rawURL, signer: wh, now: now, client: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
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
// that saw it takes it once.
func (c *Channel) Send(ctx context.Context, a alert.Alert) (string, error) {
	const op = "webhook.Send"
	at := c.now()
	body, err := canonical.JSON(cloudEvent{"1.0", a.ID, "cmkguard", EventType, a.Subject, at.UTC(), "application/json", a})
	if err != nil {
		return "", fault.Wrap(fault.Invalid, op, err)
	}
	sig, err := c.signer.Sign(a.ID, at, body)
	if err != nil {
		return "", fault.Wrap(fault.Invalid, op, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return "", fault.New(fault.Invalid, op, "the url cannot be posted to")
	}
	req.Header.Set("Content-Type", "application/cloudevents+json; charset=utf-8")
	req.Header.Set("User-Agent", "cmkguard")
	req.Header.Set("webhook-id", a.ID)
	req.Header.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
	req.Header.Set("webhook-signature", sig)
	resp, err := c.client.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // the URL may hold a token: not into logs and rows
		}
		return "", fault.Wrap(fault.Unknown, op, err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be kept
	return a.ID, c.judge(resp)
}

// judge: what the receiver refused for good is given up, the rest comes again.
func (c *Channel) judge(resp *http.Response) error {
	code := resp.StatusCode
	e := fault.New(fault.Invalid, "webhook.Send", "the receiver answered %s", resp.Status)
	switch {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code >= 500:
		e.Kind, e.RetryAfter = fault.Transient, c.retryAfter(resp.Header.Get("Retry-After"))
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		e.Kind = fault.Denied
	}
	return e
}

func (c *Channel) retryAfter(s string) time.Duration {
	if n, err := strconv.Atoi(s); err == nil && n >= 0 {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(0, at.Sub(c.now()))
	}
	return 0
}
