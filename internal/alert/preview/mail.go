package preview

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"

	"cmkguard/internal/fault"
)

// Mail is an e-mail's parts. HTML is the sender's: it may be shown only in a frame
// of its own, under MailHeaders.
type Mail struct {
	Subject, From, To string
	Text, HTML        string
}

const (
	maxMail = 1 << 20
	maxDeep = 4 // parts within parts
)

func drawMail(c *Card) error {
	m, err := ReadMail(c.Body)
	if err != nil {
		return err
	}
	c.Mail, c.Title = &m, m.Subject
	return nil
}

// ReadMail reads a message of RFC 5322 with a text and an HTML part.
func ReadMail(raw []byte) (Mail, error) {
	const op = "preview.ReadMail"
	msg, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return Mail{}, fault.Wrap(fault.Invalid, op, err)
	}
	var dec mime.WordDecoder
	header := func(name string) string {
		s, err := dec.DecodeHeader(msg.Header.Get(name))
		if err != nil {
			return msg.Header.Get(name)
		}
		return s
	}
	m := Mail{Subject: header("Subject"), From: header("From"), To: header("To")}
	if err := m.part(msg.Header.Get("Content-Type"), msg.Header.Get("Content-Transfer-Encoding"), msg.Body, 0); err != nil {
		return Mail{}, fault.Wrap(fault.Invalid, op, err)
	}
	return m, nil
}

func (m *Mail) part(contentType, encoding string, body io.Reader, depth int) error {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		kind = "text/plain"
	}
	if strings.HasPrefix(kind, "multipart/") && depth < maxDeep {
		r := multipart.NewReader(body, params["boundary"])
		for {
			p, err := r.NextRawPart()
			if err == io.EOF { //nolint:errorlint // as NextRawPart documents it
				return nil
			}
			if err != nil {
				return err
			}
			if err := m.part(p.Header.Get("Content-Type"), p.Header.Get("Content-Transfer-Encoding"), p, depth+1); err != nil {
				return err
			}
		}
	}
	switch strings.ToLower(encoding) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	text, err := io.ReadAll(io.LimitReader(body, maxMail))
	switch {
	case err != nil:
		return err
	case kind == "text/html":
		m.HTML = string(text)
	case kind == "text/plain":
		m.Text = string(text)
	}
	return nil
}
