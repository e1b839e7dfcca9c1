package heartbeat_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"cmkguard/internal/fault"
	"cmkguard/internal/heartbeat"
)

func TestPing(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]fault.Kind{
		200: 0, 202: 0, 204: 0, 302: fault.Invalid, 401: fault.Denied, 403: fault.Denied, 404: fault.Invalid, 409: fault.Invalid, 429: fault.Transient, 500: fault.Transient, 503: fault.Transient,
	} {
		var got *http.Request
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = r
			w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
			w.WriteHeader(status)
		}))
		w, err := heartbeat.New(srv.URL+"/secret-path", "GenieKey secret-key")
		if err != nil {
			t.Fatal(err)
		}
		err = w.Ping(context.Background())
		srv.Close()
		if (err == nil) != (want == 0) || err != nil && !fault.Is(err, want) {
			t.Errorf("%d: %v, want %v", status, err, want)
		}
		if got.Method != http.MethodGet || got.Header.Get("Authorization") != "GenieKey secret-key" || got.URL.Path != "/secret-path" || got.ContentLength != 0 {
			t.Errorf("%d: %s %s %v", status, got.Method, got.URL, got.Header)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%d: the error repeats a secret: %v", status, err)
		}
	}
	w, err := heartbeat.New("http://127.0.0.1:1/secret-path", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Ping(context.Background()); !fault.Is(err, fault.Transient) || strings.Contains(err.Error(), "secret") {
		t.Errorf("nobody there: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "http://watch.example/secret", "ftp://watch.example/secret", "https:///secret", "https://u:secret@watch.example/", "://secret"} {
		if _, err := heartbeat.New(bad, ""); !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := heartbeat.New("https://watch.example/", "a\r\nX: b"); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
}
