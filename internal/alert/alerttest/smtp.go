package alerttest

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"
)

// SMTP is a fake mail server. It asks for TLS (RFC 3207: 530 before STARTTLS) and a
// password (RFC 4954: 530 without, 535 for a wrong one), takes 100 recipients and
// lines of 1,000 bytes with their end (RFC 5321 4.5.3.1), and mails with From, Date,
// Subject and a Message-ID (RFC 5322 3.6).
type SMTP struct {
	Implicit   bool              // TLS from the first byte (RFC 8314)
	User, Pass string            // "": it asks for no password
	Rcpt       map[string]string // recipient to its refusal: "550 5.1.1 no such user"
	At         map[string]string // command to the answer that it gets in place of the right one
	Mood       Mood

	roots *x509.CertPool
	tls   *tls.Config

	mu    sync.Mutex
	mails []Call
}

// smtpMost is the size that the server says it takes (RFC 1870).
const smtpMost = 1 << 20

// Start listens; it ends with the test. It returns HOST:PORT and the roots that its
// certificate can be checked by.
func (s *SMTP) Start(t testing.TB) (addr string, roots *x509.CertPool) {
	t.Helper()
	s.certificate(t)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.Map
	t.Cleanup(func() {
		_ = l.Close()
		open.Range(func(c, _ any) bool {
			if conn, ok := c.(net.Conn); ok {
				_ = conn.Close()
			}
			return true
		})
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Store(c, true)
			go func() {
				defer c.Close()
				s.serve(c)
			}()
		}
	}()
	return l.Addr().String(), s.roots
}

// Mails returns what was taken, the recipients as its path.
func (s *SMTP) Mails() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Call(nil), s.mails...)
}

// session is one connection.
type session struct {
	*SMTP
	conn    net.Conn
	r       *bufio.Reader
	secure  bool
	proved  bool
	from    bool
	rcpts   []string
	tooLong bool
}

func (s *SMTP) serve(c net.Conn) {
	x := &session{SMTP: s, conn: c, r: bufio.NewReader(c), proved: s.User == ""}
	if s.Implicit {
		x.upgrade()
	}
	switch s.Mood {
	case BusyMute:
		x.say("421 4.7.0 too many connections, try again later")
		return
	case Prose:
		x.say("HTTP/1.1 400 Bad Request")
		return
	case Endless:
		for {
			if _, err := io.WriteString(x.conn, "220-"+strings.Repeat("x", 500)+"\r\n"); err != nil {
				return
			}
		}
	default:
	}
	x.say("220 mail.example.com ESMTP")
	for {
		line, err := x.line()
		if err != nil || !x.do(line) {
			return
		}
	}
}

func (x *session) upgrade() {
	c := tls.Server(x.conn, x.tls)
	x.conn, x.r, x.secure = c, bufio.NewReader(c), true
}

func (x *session) say(s string) { _, _ = io.WriteString(x.conn, s+"\r\n") }

func (x *session) line() (string, error) {
	line, err := x.r.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

// do answers one command, and reports whether the connection goes on.
func (x *session) do(line string) bool {
	verb := strings.ToUpper(strings.Fields(line + " ?")[0])
	if answer, ok := x.At[verb]; ok {
		x.say(answer)
		return !strings.HasPrefix(answer, "421")
	}
	switch verb {
	case "EHLO":
		x.hello()
	case "STARTTLS":
		x.say("220 2.0.0 ready")
		x.upgrade()
	case "AUTH":
		x.auth(line)
	case "MAIL", "RCPT", "DATA":
		return x.transaction(verb, line)
	case "RSET":
		x.from, x.rcpts = false, nil
		x.say("250 2.0.0 ok")
	case "NOOP":
		x.say("250 2.0.0 ok")
	case "QUIT":
		x.say("221 2.0.0 bye")
		return false
	default:
		x.say("502 5.5.1 not implemented")
	}
	return true
}

func (x *session) hello() {
	x.say("250-mail.example.com")
	if !x.secure && x.Mood != Elsewhere {
		x.say("250-STARTTLS")
	}
	if x.secure && x.User != "" {
		x.say("250-AUTH PLAIN LOGIN")
	}
	x.say(fmt.Sprintf("250-SIZE %d", smtpMost))
	x.say("250 ENHANCEDSTATUSCODES")
}

func (x *session) auth(line string) {
	raw, _ := base64.StdEncoding.DecodeString(line[strings.LastIndexByte(line, ' ')+1:])
	switch {
	case !x.secure:
		x.say("538 5.7.11 encryption required for the requested authentication mechanism")
	case string(raw) == "\x00"+x.User+"\x00"+x.Pass:
		x.proved = true
		x.say("235 2.7.0 accepted")
	default:
		x.say("535 5.7.8 authentication credentials invalid")
	}
}

func (x *session) transaction(verb, line string) bool {
	switch {
	case !x.secure:
		x.say("530 5.7.0 must issue a STARTTLS command first")
	case !x.proved:
		x.say("530 5.7.0 authentication required")
	case verb == "MAIL" && x.Mood == Busy:
		x.say("451 4.7.1 greylisted, please try again later")
	case (verb == "MAIL" || verb == "RCPT") && !strings.Contains(line, ":<"): // RFC 5321 4.1.1.2
		x.say("501 5.5.4 syntax: " + verb + " FROM or TO:<address>")
	case verb == "MAIL":
		x.from = true
		x.say("250 2.1.0 ok")
	case verb == "RCPT" && x.from:
		x.rcpt(line)
	case verb == "DATA" && len(x.rcpts) > 0:
		x.say("354 go ahead")
		return x.data()
	default:
		x.say("503 5.5.1 bad sequence of commands")
	}
	return true
}

func (x *session) rcpt(line string) {
	to := line[strings.IndexByte(line, '<')+1:]
	to = to[:max(0, strings.IndexByte(to, '>'))]
	switch answer, refused := x.Rcpt[to]; {
	case refused:
		x.say(answer)
	case len(x.rcpts) >= 100:
		x.say("452 4.5.3 too many recipients")
	default:
		x.rcpts = append(x.rcpts, to)
		x.say("250 2.1.5 ok")
	}
}

func (x *session) data() bool {
	var b bytes.Buffer
	for {
		raw, err := x.r.ReadBytes('\n')
		if err != nil {
			return false
		}
		if string(raw) == ".\r\n" {
			break
		}
		x.tooLong = x.tooLong || len(raw) > 1000 || !bytes.HasSuffix(raw, []byte("\r\n"))
		b.Write(bytes.TrimPrefix(raw, []byte("."))) // dot-stuffing, RFC 5321 4.5.2
	}
	switch x.Mood {
	case Hung:
		_, _ = x.r.ReadByte() // until the other side goes
		return false
	case Cut:
		return false
	default:
	}
	if answer, ok := x.At["."]; ok {
		x.say(answer)
		return true
	}
	problem := x.problem(b.Bytes())
	x.mu.Lock()
	x.mails = append(x.mails, Call{Method: "DATA", Path: strings.Join(x.rcpts, ","), Body: b.Bytes(), Taken: problem == ""})
	x.mu.Unlock()
	if problem != "" {
		x.say("554 5.6.0 " + problem)
	} else {
		x.say("250 2.0.0 queued as 4711")
	}
	x.from, x.rcpts = false, nil
	return true
}

func (x *session) problem(raw []byte) string {
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	switch {
	case err != nil:
		return "no mail: " + err.Error()
	case x.tooLong:
		return "a line is too long"
	case len(raw) > smtpMost:
		return "message too big"
	}
	for _, h := range []string{"From", "To", "Date", "Subject", "Message-Id", "Mime-Version"} {
		if len(m.Header[h]) != 1 {
			return fmt.Sprintf("%d headers %s", len(m.Header[h]), h)
		}
	}
	if bytes.ContainsFunc(raw, func(r rune) bool { return r > '~' || r < ' ' && r != '\r' && r != '\n' && r != '\t' }) {
		return "8-bit text without 8BITMIME"
	}
	return ""
}

func (s *SMTP) certificate(t testing.TB) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail"}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	s.roots = x509.NewCertPool()
	s.roots.AddCert(cert)
	s.tls = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
}
