package webhook

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/post"
	"cmkguard/internal/alert/templates"
	"cmkguard/internal/fault"
	"cmkguard/internal/risk"
)

// Request is one call, for alerts of some lifecycles and at least a severity.
type Request struct {
	On          []string
	MinSeverity risk.Severity // "": any
	When        string        // "found" or "missing" at the receiver; "": whatever it has
	Method      string
	Path, Body  *templates.Template // Path nil: the URL as it is
}

// Prove adds to a request what shows the receiver who sends it. It may ask for a token.
// id and body are what is sent, at is when.
type Prove func(ctx context.Context, h http.Header, id string, body []byte, at time.Time) error

// CallsOptions are what Calls are made of.
type CallsOptions struct {
	URL      string
	Requests []Request // the first that takes an alert is made
	With     map[string]string
	Prove    Prove
	ID       string // dotted path of the receiver's id in its answer; "": it tells none
	Find     Find   // of its zero value nothing is asked
	Now      func() time.Time
}

// Calls is a channel whose requests are the policy's: a receiver that is configuration
// and not code.
type Calls struct {
	o  CallsOptions
	to *post.Client
}

var (
	_ alert.Channel  = (*Calls)(nil)
	_ alert.Renderer = (*Calls)(nil)
)

// NewCalls returns a channel. Errors are Invalid and never repeat a secret.
func NewCalls(o CallsOptions) (*Calls, error) {
	to, err := post.New("webhook.Send", o.URL, o.Now)
	if err != nil {
		return nil, err
	}
	return &Calls{o: o, to: to}, nil
}

// Send implements alert.Channel. An alert that no request takes is not sent, and its
// provider's id says so.
func (c *Calls) Send(ctx context.Context, a alert.Alert) (string, error) {
	if !slices.ContainsFunc(c.o.Requests, func(r Request) bool { return r.takes(a) }) {
		return "not sent: no request is for " + string(a.Lifecycle), nil
	}
	found, err := c.find(ctx, a)
	if err != nil {
		return "", err
	}
	r, ok := c.request(a, found)
	if !ok && found != "" {
		return found, nil // it has it, and no request says more
	}
	if !ok {
		return c.unknown(a)
	}
	call, err := c.call(a, r, found)
	if err != nil {
		return "", err
	}
	answer, err := c.do(ctx, a, call)
	if err != nil {
		return "", c.lost(r, err)
	}
	return cmp.Or(at(answer, c.o.ID), found, a.ID), nil
}

// do proves who asks, and asks.
func (c *Calls) do(ctx context.Context, a alert.Alert, call post.Request) ([]byte, error) {
	if err := c.o.Prove(ctx, call.Header, a.ID, call.Body, c.o.Now()); err != nil {
		return nil, err
	}
	return c.to.Do(ctx, call)
}

// takes reports whether the request is for alerts like this one, if the receiver has
// what it wants.
func (r Request) takes(a alert.Alert) bool {
	return slices.Contains(r.On, string(a.Lifecycle)) && a.Severity.Rank() >= r.MinSeverity.Rank()
}

// request is the first that takes the alert, by what the receiver has.
func (c *Calls) request(a alert.Alert, found string) (Request, bool) {
	at := slices.IndexFunc(c.o.Requests, func(r Request) bool {
		return r.takes(a) && (r.When == "" || (r.When == whenFound) == (found != ""))
	})
	if at < 0 {
		return Request{}, false
	}
	return c.o.Requests[at], true
}

// call makes the request. A body that the template cannot make of this alert falls back
// to the alert as JSON: the receiver may refuse it, and then it is kept, with the
// reason, and can be replayed.
func (c *Calls) call(a alert.Alert, r Request, found string) (post.Request, error) {
	out := post.Request{Method: r.Method, Header: headers()}
	if r.Path != nil {
		path, err := r.Path.RenderWith(a, a.At, c.o.With, found)
		if err != nil {
			return out, fault.New(fault.Invalid, "webhook.Send", "the policy's path: %w", err)
		}
		out.Path = path
	}
	body, err := r.Body.RenderWith(a, a.At, c.o.With, found)
	if err == nil {
		out.Body = []byte(body)
		return out, nil
	}
	a.Notes = append(slices.Clone(a.Notes), "the policy's body failed, so this is the whole alert: "+err.Error())
	out.Body, err = json.Marshal(alert.Fit(a))
	return out, fault.Wrap(fault.Invalid, "webhook.Send", err)
}

func headers() http.Header {
	return http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}}
}

// Render implements alert.Renderer: a problem that opens as to a receiver that does not
// have it, and what becomes of it as to one that does.
func (c *Calls) Render(a alert.Alert) (alert.Rendered, error) {
	found := ""
	if a.Lifecycle != alert.Trigger && a.Lifecycle != alert.Notice {
		found = "FOUND"
	}
	r, ok := c.request(a, found)
	if !ok {
		return alert.Rendered{Media: "text/plain", Body: []byte("not sent: no request is for " + string(a.Lifecycle) + "\n"), Text: "not sent"}, nil
	}
	call, err := c.call(a, r, found)
	return alert.Rendered{Media: "application/json", Body: call.Body, Text: alert.Render(a, a.At)}, err
}

// at returns the text or number at a dotted path of a JSON document, "" if there is
// none.
func at(raw []byte, path string) string {
	var v any
	if path == "" || json.Unmarshal(raw, &v) != nil {
		return ""
	}
	return text(inside(v, path))
}

// inside is what stands at a dotted path of a value; nil if nothing does.
func inside(v any, path string) any {
	for _, name := range strings.Split(path, ".") {
		o, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = o[name]
	}
	return v
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return alert.Clean(v, 200)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return ""
}

// Header proves with one header: a bearer token, a key.
func Header(name, value string) Prove {
	return func(_ context.Context, h http.Header, _ string, _ []byte, _ time.Time) error {
		h.Set(name, value)
		return nil
	}
}

// Basic proves with a user's password.
func Basic(user, password string) Prove {
	return Header("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}

// Nobody proves nothing.
func Nobody(context.Context, http.Header, string, []byte, time.Time) error { return nil }

// Token proves with a token that is asked for each time; whoever gives it keeps it for
// as long as it is good. That there is none now is no reason to give the alert up.
func Token(give func(ctx context.Context) (string, error)) Prove {
	return func(ctx context.Context, h http.Header, _ string, _ []byte, _ time.Time) error {
		token, err := give(ctx)
		if err != nil {
			return fault.New(fault.Transient, "webhook.Send", "no token: %w", err)
		}
		h.Set("Authorization", "Bearer "+token)
		return nil
	}
}

// Signature proves as the Standard Webhooks specification says. Errors are Invalid and
// never repeat the secret.
func Signature(secret string) (Prove, error) {
	signer, err := newSigner(secret)
	if err != nil {
		return nil, err
	}
	return func(_ context.Context, h http.Header, id string, body []byte, at time.Time) error {
		sig, err := signer.Sign(id, at, body)
		if err != nil {
			return fault.Wrap(fault.Invalid, "webhook.Send", err)
		}
		h.Set(standardwebhooks.HeaderWebhookID, id)
		h.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
		h.Set(standardwebhooks.HeaderWebhookSignature, sig)
		return nil
	}, nil
}
