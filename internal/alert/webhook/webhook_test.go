package webhook_test

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/webhook"
	"cmkguard/internal/fault"
)

var secret = "whsec_" + base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))

func TestTheReceiverCanVerify(t *testing.T) {
	t.Parallel()
	wh, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	var verified error
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		verified = wh.Verify(body, r.Header)
		if r.Header.Get("webhook-id") != "a1" {
			t.Error("webhook-id is not the alert's id")
		}
	}))
	defer srv.Close()
	ch, err := webhook.New(srv.URL, secret, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := ch.Send(context.Background(), alert.Alert{ID: "a1", Title: "<b>&"}); err != nil || id != "a1" || verified != nil {
		t.Fatal(id, err, verified)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		status int
		retry  string
		kind   fault.Kind
		wait   time.Duration
	}{
		{429, "120", fault.Transient, 2 * time.Minute},
		{503, "Sun, 01 Nov 2026 00:01:00 GMT", fault.Transient, time.Minute},
		{500, "", fault.Transient, 0}, {408, "", fault.Transient, 0},
		{401, "", fault.Denied, 0}, {403, "", fault.Denied, 0},
		{400, "", fault.Invalid, 0}, {410, "", fault.Invalid, 0}, {302, "", fault.Invalid, 0},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", c.retry)
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(c.status)
		}))
		ch, err := webhook.New(srv.URL, secret, func() time.Time { return now })
		if err != nil {
			t.Fatal(err)
		}
		_, err = ch.Send(context.Background(), alert.Alert{ID: "a"})
		if !fault.Is(err, c.kind) || fault.RetryAfter(err) != c.wait {
			t.Errorf("%d: %v, kind %s, after %s", c.status, err, fault.KindOf(err), fault.RetryAfter(err))
		}
		srv.Close()
	}
}

func TestLostAnswerIsUnknownAndKeepsTheURLToItself(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer srv.Close()
	ch, err := webhook.New(srv.URL+"/?token=hidden", secret, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	_, err = ch.Send(context.Background(), alert.Alert{ID: "a"})
	if !fault.Is(err, fault.Unknown) || strings.Contains(err.Error(), "hidden") {
		t.Fatal(err)
	}
}

func TestRefusesWhatIsNotSafe(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"http://example.com/", "ftp://x/", "https://user:pw@example.com/", "", "https://"} {
		if _, err := webhook.New(u, secret, time.Now); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q was taken", u)
		}
	}
	if _, err := webhook.New("https://example.com/", "not base64!", time.Now); !fault.Is(err, fault.Invalid) {
		t.Error("a secret that is not base64 was taken")
	}
}
