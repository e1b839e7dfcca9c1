// Package email sends alerts as mails of text and HTML over SMTP, and never without
// TLS: by STARTTLS, which must be offered, or TLS from the first byte.
//
// One incident is one thread: each mail has a Message-ID of its own, made of the
// alert's id, so that a second attempt is recognised, and refers to one that is made of
// the incident's key.
//
// Messages are go-mail's; the conversation with the server is ours over its client,
// because its own sending gives all recipients up for one that is refused, and cannot
// tell a mail that was certainly not taken from one that may have been.
package email

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/mail"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/templates"
	"cmkguard/internal/fault"
)

// Options are what a Channel is made of.
type Options struct {
	Server   string // HOST:PORT
	Implicit bool   // TLS from the first byte; else STARTTLS, which must be offered
	User     string // "": the server asks for no password
	Password string
	From     string
	To       []string
	Roots    *x509.CertPool // nil: the system's
	Now      func() time.Time
}

// ImplicitTLS reports whether a server on the port speaks TLS from the first byte
// unless somebody says otherwise (RFC 8314: 465).
func ImplicitTLS(server string) bool {
	_, port, err := net.SplitHostPort(server)
	return err == nil && port == "465"
}

// Channel sends through one server to one list of people. It is safe for concurrent
// use.
type Channel struct {
	words templates.Set
	o     Options
	host  string
	tls   *tls.Config
	from  *mail.Address
	to    []*mail.Address
}

var (
	_ alert.Channel  = (*Channel)(nil)
	_ alert.Renderer = (*Channel)(nil)
)

// New returns a Channel. Errors are Invalid and never repeat the password.
func New(o Options) (*Channel, error) {
	const op = "email.New"
	host, _, err := net.SplitHostPort(o.Server)
	if err != nil || host == "" {
		return nil, fault.New(fault.Invalid, op, "server is not HOST:PORT")
	}
	c := &Channel{o: o, host: host, tls: &tls.Config{ServerName: host, RootCAs: o.Roots, MinVersion: tls.VersionTLS12}}
	if c.from, err = mail.ParseAddress(o.From); err != nil {
		return nil, fault.New(fault.Invalid, op, "from is no mail address")
	}
	for _, to := range o.To {
		a, err := mail.ParseAddress(to)
		if err != nil {
			return nil, fault.New(fault.Invalid, op, "to holds what is no mail address")
		}
		c.to = append(c.to, a)
	}
	if len(c.to) == 0 {
		return nil, fault.New(fault.Invalid, op, "nobody to send to")
	}
	return c, nil
}

// With returns the channel with templates of the policy.
func (c *Channel) With(words templates.Set) *Channel {
	out := *c
	out.words = words
	return &out
}

// Send implements alert.Channel. The provider's id is the Message-ID, and who of the
// recipients was refused for good: they are not a reason to tell nobody.
func (c *Channel) Send(ctx context.Context, a alert.Alert) (string, error) {
	m, _, err := c.message(a)
	if err != nil {
		return "", fault.Wrap(fault.Invalid, "email.Send", err)
	}
	refused, err := c.deliver(ctx, m)
	if err != nil {
		return "", err
	}
	id := "<" + c.messageID(a) + ">"
	if refused != "" {
		id += " but not to " + refused
	}
	return id, nil
}
