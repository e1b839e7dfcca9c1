package email

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"cmkguard/internal/alert"
	"cmkguard/internal/fault"
)

const op = "email.Send"

// longest is how long one conversation may take where the caller sets no deadline.
const longest = 30 * time.Second

// deliver gives the mail to the server. It returns the recipients that were refused
// for good while others were taken.
func (c *Channel) deliver(ctx context.Context, m *gomail.Msg) (refused string, err error) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.o.Server)
	if err != nil {
		return "", fault.Wrap(fault.Transient, op, err)
	}
	defer conn.Close()
	// The library waits for answers without a context: its end closes the line.
	conn = &bounded{Conn: conn, left: maxAnswers}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	client, err := c.hello(ctx, conn)
	if err != nil {
		return "", judge("greeting", err)
	}
	if err := c.prove(client); err != nil {
		return "", judge("AUTH", err)
	}
	refused, err = c.transact(client, m)
	if err == nil {
		_ = client.Quit() // it is taken; what comes of the goodbye changes nothing
	}
	return refused, err
}

// maxAnswers is what a server may say in one conversation, its certificate included.
const maxAnswers = 256 << 10

// bounded is a line on which the other side may say only so much: the library reads an
// answer of many lines for as long as it goes on.
type bounded struct {
	net.Conn
	left int
}

// Read implements net.Conn.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("the server's answers have no end")
	}
	n, err := b.Conn.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// hello makes the line secure before anything is said on it.
func (c *Channel) hello(ctx context.Context, conn net.Conn) (*smtp.Client, error) {
	if c.o.Implicit {
		secure := tls.Client(conn, c.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("TLS: %w", err)
		}
		conn = secure
	}
	client, err := smtp.NewClient(conn, c.host)
	if err != nil {
		return nil, err
	}
	_, domain, _ := strings.Cut(c.from.Address, "@")
	if err := client.Hello(domain); err != nil {
		return nil, err
	}
	if c.o.Implicit {
		return client, nil
	}
	if offered, _ := client.Extension("STARTTLS"); !offered {
		return nil, errors.New("the server offers no STARTTLS, and nothing is sent without TLS: for TLS from the first byte set tls: implicit")
	}
	if err := client.StartTLS(c.tls); err != nil {
		return nil, fmt.Errorf("STARTTLS: %w", err)
	}
	return client, nil
}

func (c *Channel) prove(client *smtp.Client) error {
	if c.o.User == "" {
		return nil
	}
	_, offered := client.Extension("AUTH")
	methods := strings.Fields(strings.ToUpper(offered))
	for _, m := range []struct {
		name string
		auth smtp.Auth
	}{
		{"SCRAM-SHA-256", smtp.ScramSHA256Auth(c.o.User, c.o.Password)},
		{"PLAIN", smtp.PlainAuth("", c.o.User, c.o.Password, c.host, false)},
		{"LOGIN", smtp.LoginAuth(c.o.User, c.o.Password, c.host, false)},
	} {
		for _, have := range methods {
			if have == m.name {
				return client.Auth(m.auth)
			}
		}
	}
	return fmt.Errorf("the server offers no way to prove a password that we know (AUTH %s)", alert.Clean(offered, 100))
}

// transact: a recipient that is refused for good is left out, one that is refused for
// now holds the mail back from all, so that nobody gets it twice.
func (c *Channel) transact(client *smtp.Client, m *gomail.Msg) (refused string, err error) {
	if err := client.Mail("<" + c.from.Address + ">"); err != nil {
		return "", judge("MAIL", err)
	}
	var gone []string
	var last error
	for _, to := range c.to {
		err := client.Rcpt("<" + to.Address + ">")
		if err == nil {
			continue
		}
		last = judge("RCPT", err)
		if !fault.Is(last, fault.Invalid) {
			return "", last
		}
		gone = append(gone, fmt.Sprintf("%s (%s)", to.Address, word(err)))
	}
	if len(gone) == len(c.to) {
		return "", last
	}
	w, err := client.Data()
	if err != nil {
		return "", judge("DATA", err)
	}
	if _, err := m.WriteTo(w); err != nil {
		return "", judge("the text", err) // without its end it is not taken
	}
	if err := w.Close(); err != nil {
		if e := judge("the end", err); fault.CodeOf(e) != "" {
			return "", e
		}
		return "", fault.New(fault.Unknown, op, "the end: %w", err) // it may have been taken
	}
	return strings.Join(gone, ", "), nil
}

// judge reads the server's answer: 4xx is for now, what is about the password is
// Denied, and any other 5xx is for good. A line that broke before the end of the text
// carried nothing.
func judge(stage string, err error) error {
	var no *textproto.Error
	if !errors.As(err, &no) {
		return fault.New(fault.Transient, op, "%s: %w", stage, err)
	}
	e := fault.New(fault.Invalid, op, "%s: the server answered %s", stage, word(err))
	e.Code = strconv.Itoa(no.Code)
	switch {
	case no.Code < 500:
		e.Kind = fault.Transient
	case stage == "AUTH", no.Code == 530, no.Code == 534, no.Code == 535, no.Code == 538:
		e.Kind = fault.Denied
	}
	return e
}

// word is the server's answer, short and on one line.
func word(err error) string {
	var no *textproto.Error
	if errors.As(err, &no) {
		return alert.Clean(fmt.Sprintf("%d %s", no.Code, no.Msg), 150)
	}
	return "no code"
}

// addresses are those of a header.
func addresses(list []*mail.Address) []string {
	out := make([]string, len(list))
	for i, a := range list {
		out[i] = a.String()
	}
	return out
}
