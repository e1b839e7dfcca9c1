package localhost_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"cmkguard/internal/funchost"
	"cmkguard/internal/localhost"
)

// TestTheFrontSpeaksForAnHTTPFunction to the handler's own side of the protocol.
func TestTheFrontSpeaksForAnHTTPFunction(t *testing.T) {
	t.Parallel()
	s := funchost.New(funchost.Options{Log: zerolog.New(io.Discard), Now: time.Now})
	s.Handle("pages", func(_ context.Context, inv *funchost.Invocation) error {
		r, err := inv.Request("req")
		if err != nil {
			return err
		}
		inv.Reply("res", funchost.Response{Status: http.StatusTeapot, Header: map[string]string{"X-Who": r.Header("x-who")}, Body: r.Method + " " + r.Params["id"] + " " + r.Body})
		return nil
	})
	s.Handle("silent", func(context.Context, *funchost.Invocation) error { return nil })
	s.Ready()
	backend := httptest.NewServer(s)
	defer backend.Close()
	front := func(function string) *httptest.Server {
		return httptest.NewServer(localhost.Front{
			BaseURL: backend.URL, Function: function, Binding: "req", Output: "res", Prefix: "/api/pages/", Param: "id", Now: time.Now, NewID: func() string { return "id" },
		})
	}
	srv, silent := front("pages"), front("silent")
	defer srv.Close()
	defer silent.Close()
	ask := func(url, method, body string) (int, string, string) {
		req, err := http.NewRequest(method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Who", "me")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text), resp.Header.Get("X-Who")
	}
	if code, text, who := ask(srv.URL+"/api/pages/plan~1", "POST", "a=b"); code != http.StatusTeapot || text != "POST plan~1 a=b" || who != "me" {
		t.Errorf("%d %q %q", code, text, who)
	}
	if code, text, _ := ask(srv.URL+"/api/pages/", "GET", ""); code != http.StatusTeapot || text != "GET  " {
		t.Errorf("%d %q", code, text)
	}
	if code, _, _ := ask(srv.URL+"/elsewhere", "GET", ""); code != http.StatusNotFound {
		t.Errorf("another path: %d", code)
	}
	if code, _, _ := ask(silent.URL+"/api/pages/x", "GET", ""); code != http.StatusBadGateway {
		t.Errorf("no answer: %d", code)
	}
}
