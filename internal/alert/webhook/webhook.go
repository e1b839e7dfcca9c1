// Package webhook posts alerts as CloudEvents 1.0 (structured JSON) with the
// signature headers of the Standard Webhooks specification, so that a receiver
// can tell that it was us, when, and that it is the same alert again.
package webhook

import (
	"context"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/post"
	"cmkguard/internal/canonical"
	"cmkguard/internal/fault"
)

// EventType is the CloudEvents type of an alert.
const EventType = "io.cmkguard.alert.v1"

const minSecret = 24 // bytes; the specification's least

// Channel posts to one URL. It is safe for concurrent use.
type Channel struct {
	to     *post.Client
	signer *standardwebhooks.Webhook
	now    func() time.Time
}

var (
	_ alert.Channel  = (*Channel)(nil)
	_ alert.Renderer = (*Channel)(nil)
)

// New returns a Channel. secret is base64 of at least 24 bytes, with or without
// the prefix whsec_. The URL must be https; plain http only to this machine.
// Errors are Invalid and never repeat the URL's path or the secret.
func New(rawURL, secret string, now func() time.Time) (*Channel, error) {
	to, err := post.New("webhook.Send", rawURL, now)
	if err != nil {
		return nil, err
	}
	signer, err := newSigner(secret)
	if err != nil {
		return nil, err
	}
	return &Channel{to: to, signer: signer, now: now}, nil
}

func newSigner(secret string) (*standardwebhooks.Webhook, error) {
	const op = "webhook.New"
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(key) < minSecret {
		return nil, fault.New(fault.Invalid, op, "the secret is not base64 of at least %d bytes (whsec_...)", minSecret)
	}
	wh, err := standardwebhooks.NewWebhookRaw(key)
	if err != nil {
		return nil, fault.New(fault.Invalid, op, "the secret is refused")
	}
	return wh, nil
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
	body, header, err := c.request(a)
	if err != nil {
		return "", err
	}
	if _, err := c.to.Send(ctx, body, header); err != nil {
		return "", err
	}
	return a.ID, nil
}

// request signs the event. Its body is the same at every attempt; the signature's
// time is that of the attempt.
func (c *Channel) request(a alert.Alert) ([]byte, http.Header, error) {
	const op = "webhook.Send"
	at, made := c.now(), a.At
	if made.IsZero() {
		made = at
	}
	body, err := canonical.JSON(cloudEvent{"1.0", a.ID, "cmkguard", EventType, a.Subject, made.UTC(), "application/json", a})
	if err != nil {
		return nil, nil, fault.Wrap(fault.Invalid, op, err)
	}
	sig, err := c.signer.Sign(a.ID, at, body)
	if err != nil {
		return nil, nil, fault.Wrap(fault.Invalid, op, err)
	}
	h := http.Header{}
	h.Set("Content-Type", "application/cloudevents+json; charset=utf-8")
	h.Set(standardwebhooks.HeaderWebhookID, a.ID)
	h.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	h.Set(standardwebhooks.HeaderWebhookSignature, sig)
	return body, h, nil
}

// Render implements alert.Renderer.
func (c *Channel) Render(a alert.Alert) (alert.Rendered, error) {
	body, header, err := c.request(a)
	return alert.Rendered{Media: header.Get("Content-Type"), Body: body, Text: alert.Render(a, a.At)}, err
}
