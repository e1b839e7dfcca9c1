package alerttest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/examples"
	"cmkguard/internal/risk"
)

// Inbox is a server that keeps the bodies that it got and answers by Answer.
type Inbox struct {
	URL string

	mu     sync.Mutex
	bodies []string
	heads  []http.Header
}

// Serve starts an Inbox; it is closed with the test. answer gets the body.
func Serve(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, body []byte)) *Inbox {
	t.Helper()
	in := &Inbox{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		in.mu.Lock()
		in.bodies, in.heads = append(in.bodies, r.URL.Path+" "+string(body)), append(in.heads, r.Header.Clone())
		in.mu.Unlock()
		answer(w, r, body)
	}))
	t.Cleanup(srv.Close)
	in.URL = srv.URL
	return in
}

// All returns path and body of every request.
func (in *Inbox) All() []string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return append([]string(nil), in.bodies...)
}

// Kinds returns an alert of every kind by its name, for golden files.
func Kinds(at time.Time) map[string]alert.Alert {
	out := map[string]alert.Alert{}
	for name, change := range map[string]func(*alert.Alert){
		"trigger":     func(*alert.Alert) {},
		"update":      func(a *alert.Alert) { a.Lifecycle, a.Severity = alert.Update, risk.High },
		"resolve":     func(a *alert.Alert) { a.Lifecycle, a.Breaks, a.By = alert.Resolve, "", nil },
		"notice":      func(a *alert.Alert) { a.Lifecycle, a.Severity, a.Check = alert.Notice, risk.Info, "" },
		"dry-run":     func(a *alert.Alert) { a.DryRun = true },
		"drill":       func(a *alert.Alert) { a.Drill = true },
		"no-store":    func(a *alert.Alert) { a.Unrecorded = true },
		"acknowledge": func(a *alert.Alert) { a.Lifecycle = alert.Acknowledge },
	} {
		a := Sample("a-"+name, at)
		change(&a)
		out[name] = a
	}
	out["huge"] = examples.Huge(at)
	return out
}
