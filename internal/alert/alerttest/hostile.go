package alerttest

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/examples"
	"cmkguard/internal/fault"
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

// Conform holds what every channel over HTTP must do: the table of statuses, a
// receiver that hangs up, one that redirects, and an alert of every kind and of
// the largest size, which the receiver in valid must accept.
func Conform(t *testing.T, make func(url string) (alert.Channel, error), valid func(w http.ResponseWriter, r *http.Request, body []byte)) {
	t.Helper()
	at := time.Date(2026, 9, 20, 10, 0, 0, 0, time.UTC)
	send := func(t *testing.T, a alert.Alert, answer func(http.ResponseWriter, *http.Request, []byte)) (string, error) {
		t.Helper()
		c, err := make(Serve(t, answer).URL)
		if err != nil {
			t.Fatal(err)
		}
		return c.Send(context.Background(), a)
	}
	StatusTable(t, func(t *testing.T, h http.HandlerFunc) error {
		_, err := send(t, Sample("a-1", at), func(w http.ResponseWriter, r *http.Request, body []byte) {
			rec := httptest.NewRecorder()
			if h(rec, r); rec.Code == http.StatusOK {
				valid(w, r, body)
				return
			}
			for k := range rec.Header() {
				w.Header().Set(k, rec.Header().Get(k))
			}
			w.WriteHeader(rec.Code)
		})
		return err
	})
	for name, a := range Kinds(at) {
		if id, err := send(t, a, valid); err != nil || id == "" {
			t.Errorf("%s: id %q, %v", name, id, err)
		}
	}
	_, err := send(t, Sample("a-1", at), func(http.ResponseWriter, *http.Request, []byte) { panic(http.ErrAbortHandler) })
	if !fault.Is(err, fault.Unknown) {
		t.Errorf("a receiver that hangs up: %v", err)
	}
	_, err = send(t, Sample("a-1", at), func(w http.ResponseWriter, r *http.Request, _ []byte) {
		http.Redirect(w, r, "http://127.0.0.1:1/elsewhere", http.StatusTemporaryRedirect)
	})
	if !fault.Is(err, fault.Invalid) {
		t.Errorf("a receiver that redirects: %v", err)
	}
}
