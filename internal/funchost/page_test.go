package funchost_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"cmkguard/internal/funchost"
)

func TestAPageIsForThisMachine(t *testing.T) {
	t.Parallel()
	s := funchost.New(funchost.Options{Log: zerolog.New(io.Discard), Now: time.Now})
	s.Page("/metrics", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "counts") }))
	ask := func(method, path, host string) int {
		r := httptest.NewRequest(method, path, nil)
		r.Host = host
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, r)
		return rec.Code
	}
	if got := ask("GET", "/metrics", "127.0.0.1:1"); got != http.StatusNotFound {
		t.Errorf("before it is ready: %d", got)
	}
	s.Ready()
	for _, c := range []struct {
		method, path, host string
		want               int
	}{
		{"GET", "/metrics", "127.0.0.1:8080", 200}, {"GET", "/metrics", "localhost:8080", 200}, {"GET", "/metrics", "[::1]:8080", 200}, {"GET", "/metrics", "127.0.0.1", 200},
		{"GET", "/metrics", "evil.example", 404}, {"GET", "/metrics", "localhost.evil.example:80", 404}, {"GET", "/metrics", "10.0.0.1:80", 404}, {"GET", "/metrics", "", 404},
		{"GET", "/metricsx", "localhost", 404}, {"HEAD", "/metrics", "localhost", 404}, {"GET", "/", "evil.example", 200},
	} {
		if got := ask(c.method, c.path, c.host); got != c.want {
			t.Errorf("%s %s at %q: %d, want %d", c.method, c.path, c.host, got, c.want)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a page after Ready was taken")
		}
	}()
	s.Page("/late", http.NotFoundHandler())
}
