package e2e_test

import (
	"bytes"
	"encoding/base64"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/hostproc"
	"cmkguard/internal/localhost"
)

// The credentials of a person who calls an HTTP function.
const (
	callersToken = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJvaWQiOiJhbGljZSIsImF1ZCI6ImNta2d1YXJkIn0.c2lnbmF0dXJlLW9mLWFsaWNl"
	callersKey   = "funcKey-1234567890abcdef=="
	callersTea   = "session-cookie-of-alice"
)

// An HTTP function's envelope holds its caller's token twice. Whatever function
// it reaches, whole, cut off or inside of another binding, nothing that the
// process writes holds it.
func TestACallersTokenIsWrittenNowhere(t *testing.T) {
	t.Parallel()
	w, c := started(t)
	whole, err := localhost.HTTPEnvelope(localhost.Call{Function: "approvals", UtcNow: time.Now(), RandGuid: "r"}, "req", localhost.HTTPRequest{
		URL: "https://guard.example/api/approvals?code=" + callersKey, Method: http.MethodPost,
		Query:   []localhost.Pair{{Name: "code", Value: callersKey}},
		Headers: []localhost.Pair{{Name: "Authorization", Value: "Bearer " + callersToken}, {Name: "Cookie", Value: callersTea}, {Name: "x-functions-key", Value: callersKey}},
		Body:    []byte(`{"approve": true}`),
	})
	must(t, err)
	if n := bytes.Count(whole, []byte(callersToken)); n != 2 {
		t.Fatalf("the envelope holds the token %d times, as the real one does twice", n)
	}
	inside := bytes.Replace(whole, []byte(`"Data":{"req":`), []byte(`"Data":{"event":`), 1)
	for _, path := range []string{"/keyvaultevents", "/work", "/sweep", "/approvals", "/no-such-function"} {
		for _, body := range [][]byte{whole, whole[:len(whole)/2], whole[:len(whole)-300], inside, append(append([]byte(`{"Data":{"event":`), whole...), []byte(`},"Metadata":{}}`)...)} {
			resp, err := http.Post(c.URL()+path, "application/json", bytes.NewReader(body))
			must(t, err)
			resp.Body.Close()
		}
	}
	must(t, printed(t, c, `"outcome":"poison"`))
	must(t, hostproc.Until(t.Context(), "poison is kept", func() (bool, error) { return strings.Contains(written(t, w, c), redacted), nil }))
	all := written(t, w, c)
	for _, secret := range []string{callersToken, callersToken[:40], callersToken[40:80], callersKey, callersTea} {
		if i := strings.Index(all, secret); i >= 0 {
			t.Errorf("%q was written: ...%q...", secret, all[max(0, i-120):min(len(all), i+60)])
		}
	}
}

const redacted = "REDACTED"

// written is everything that the process wrote, and what base64 in it stands for.
func written(t *testing.T, w *world, c *hostproc.Child) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(c.Output())
	must(t, filepath.WalkDir(strings.TrimPrefix(w.env["CMKGUARD_STATE"], "file:"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		b.Write(raw)
		return err
	}))
	plain := b.String()
	for _, run := range regexp.MustCompile(`[A-Za-z0-9+/]{24,}={0,2}`).FindAllString(plain, -1) {
		if decoded, err := base64.StdEncoding.DecodeString(run); err == nil {
			b.Write(decoded)
		} else if decoded, err := base64.RawStdEncoding.DecodeString(run[:len(run)-len(run)%4]); err == nil {
			b.Write(decoded)
		}
	}
	return b.String()
}
