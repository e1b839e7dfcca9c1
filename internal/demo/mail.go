package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"cmkguard/internal/alert/preview"
)

// mailbox is a mail server on loopback that speaks TLS from the first byte and takes
// whatever it is sent, as much of SMTP as a sender needs (RFC 5321).
type mailbox struct {
	addr   string
	roots  string // PEM file by which its certificate is checked
	keep   func(preview.Message)
	listen net.Listener
}

func openMailbox(dir string, keep func(preview.Message)) (*mailbox, error) {
	cert, err := selfSigned()
	if err != nil {
		return nil, err
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	if err != nil {
		return nil, err
	}
	m := &mailbox{addr: l.Addr().String(), roots: filepath.Join(dir, "mail-roots.pem"), keep: keep, listen: l}
	if err := os.WriteFile(m.roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}), 0o600); err != nil {
		return nil, err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go m.serve(c)
		}
	}()
	return m, nil
}

// selfSigned is a certificate of this machine's for a day.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the demo's mail server"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

func (m *mailbox) serve(c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	r := bufio.NewReader(io.LimitReader(c, maxTaken))
	say := func(text string) { _, _ = io.WriteString(c, text+"\r\n") }
	say("220 demo ESMTP")
	var to []string
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		switch verb := strings.ToUpper(strings.TrimSpace(line)); {
		case strings.HasPrefix(verb, "EHLO"), strings.HasPrefix(verb, "HELO"):
			say("250 demo")
		case strings.HasPrefix(verb, "RCPT TO:"):
			to = append(to, strings.Trim(strings.TrimSpace(line)[len("RCPT TO:"):], " <>"))
			say("250 2.1.5 ok")
		case verb == "DATA":
			say("354 go on")
			body, err := text(r)
			if err != nil {
				return
			}
			m.keep(preview.Message{Channel: "mail", Kind: "email", To: strings.Join(to, ", "), Answer: "250 2.0.0 taken", Body: body})
			say("250 2.0.0 taken")
			to = nil
		case verb == "QUIT":
			say("221 2.0.0 bye")
			return
		case strings.HasPrefix(verb, "MAIL FROM:"), verb == "RSET", verb == "NOOP":
			say("250 2.0.0 ok")
		default:
			say("502 5.5.1 not here")
		}
	}
}

// text reads a mail up to the line with a dot, without what RFC 5321 4.5.2 adds.
func text(r *bufio.Reader) ([]byte, error) {
	var out []byte
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return nil, fmt.Errorf("the mail broke off: %w", err)
		}
		if line == ".\r\n" {
			return out, nil
		}
		out = append(out, strings.TrimPrefix(line, ".")...)
	}
}
