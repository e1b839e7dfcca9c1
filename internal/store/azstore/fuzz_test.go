package azstore

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// An answer to a transaction that is damaged gives fewer parts or ones that say
// so, and never one that succeeded where none did.
func FuzzReadParts(f *testing.F) {
	const whole = "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n" +
		"--c\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\nHTTP/1.1 204 No Content\r\nETag: W/\"1\"\r\n\r\n\r\n" +
		"--c\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 409 Conflict\r\nContent-Type: application/json\r\n\r\n{\"odata.error\":{\"code\":\"EntityAlreadyExists\"}}\r\n--c--\r\n--b--\r\n"
	odd := strings.Replace(whole, "204 No Content", "000 00000", 1)
	for _, s := range []string{whole, odd, whole[:200], "", "--b", "--b\r\n\r\n", "--b\r\nContent-Type: multipart/mixed; boundary=\r\n\r\n--\r\n\r\nx"} {
		f.Add("multipart/mixed; boundary=b", []byte(s))
	}
	f.Add("", []byte(whole))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		parts := readParts(&http.Response{StatusCode: http.StatusAccepted, Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(bytes.NewReader(body))})
		for _, p := range parts {
			if p.status < 200 || p.status >= 300 && p.status < 400 || p.status < 400 && !bytes.Contains(body, []byte("HTTP/")) {
				t.Fatalf("%+v of %q", p, body)
			}
		}
		if r := firstRefusal(parts); r != nil && r.status < 400 {
			t.Fatalf("%+v", r)
		}
	})
}
