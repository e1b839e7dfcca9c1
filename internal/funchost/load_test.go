package funchost_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"cmkguard/internal/funchost"
)

const envelope = `{"Data":{"event":{}}}`

func TestFiveHundredAtOnceRunEightAtATime(t *testing.T) {
	var running, most, ran atomic.Int64
	eight := make(chan struct{})
	r := start(t, funchost.Options{InFlight: 8}, funchost.Life{}, map[string]funchost.Handler{
		"f": func(context.Context, *funchost.Invocation) error {
			n := running.Add(1)
			defer running.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			if ran.Add(1) == 8 {
				close(eight)
			}
			<-eight // so that eight really are in at once
			return nil
		}})
	r.Ready()
	var wg sync.WaitGroup
	for range 500 {
		wg.Go(func() {
			if status, _ := r.post(t, "f", strings.NewReader(envelope)); status != http.StatusOK {
				t.Errorf("status %d", status)
			}
		})
	}
	wg.Wait()
	if most.Load() != 8 || ran.Load() != 500 || r.Active() != 0 {
		t.Errorf("at most %d at once, %d ran, %d active; want 8, 500, 0", most.Load(), ran.Load(), r.Active())
	}
}

func TestPostsWaitForReadyAndProbesDoNot(t *testing.T) {
	r := start(t, funchost.Options{}, funchost.Life{}, map[string]funchost.Handler{"f": ok})
	answered := make(chan int, 2)
	for _, function := range []string{"f", "nosuch"} {
		go func() { s, _ := r.post(t, function, strings.NewReader(envelope)); answered <- s }()
	}
	for r.Active() < 2 {
		res, err := http.Get(r.url + "/")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatalf("probe: %d", res.StatusCode)
		}
	}
	select {
	case s := <-answered:
		t.Fatalf("answered %d before Ready", s)
	default:
	}
	r.Ready()
	if a, b := <-answered, <-answered; a+b != http.StatusOK+http.StatusNotFound {
		t.Errorf("after Ready: %d and %d, want 200 for the function and 404 for none", a, b)
	}
}

func TestWaitingEndsAtTheDeadline(t *testing.T) {
	never := func(ctx context.Context, _ *funchost.Invocation) error { <-ctx.Done(); return ctx.Err() }
	o := funchost.Options{Deadline: 50 * time.Millisecond, InFlight: 1}
	unready := start(t, o, funchost.Life{}, nil)
	if s, answer := unready.post(t, "f", strings.NewReader(envelope)); s != 500 || answer != `{"error":"transient"}` {
		t.Errorf("never ready: %d %s", s, answer)
	}
	r := start(t, o, funchost.Life{}, map[string]funchost.Handler{"f": never})
	r.Ready()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if s, _ := r.post(t, "f", strings.NewReader(envelope)); s != http.StatusInternalServerError {
				t.Errorf("status %d", s)
			}
		})
	}
	wg.Wait()
}

func TestSlowSenderDoesNotHoldItsSlotForEver(t *testing.T) {
	r := start(t, funchost.Options{Deadline: 50 * time.Millisecond, InFlight: 1}, funchost.Life{}, map[string]funchost.Handler{"f": ok})
	r.Ready()
	c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /f HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || res.StatusCode != http.StatusInternalServerError {
		t.Fatalf("%v, %v", res, err)
	}
	if s, _ := r.post(t, "f", strings.NewReader(envelope)); s != http.StatusOK {
		t.Errorf("the next one: %d", s)
	}
}

func TestSenderThatHangsUpDoesNotEndTheInvocation(t *testing.T) {
	entered, goOn, result := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	r := start(t, funchost.Options{}, funchost.Life{}, map[string]funchost.Handler{
		"f": func(ctx context.Context, _ *funchost.Invocation) error {
			close(entered)
			<-goOn
			result <- ctx.Err()
			return nil
		}})
	r.Ready()
	ctx, hangUp := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+"/f", strings.NewReader(envelope))
	if err != nil {
		t.Fatal(err)
	}
	go func() { <-entered; hangUp() }()
	if res, err := http.DefaultClient.Do(req); err == nil {
		res.Body.Close()
		t.Fatal("answered")
	}
	close(goOn)
	if err := <-result; err != nil {
		t.Errorf("the context ended with the sender: %v", err)
	}
}

func TestOnlyTheHostGetsIn(t *testing.T) {
	r := start(t, funchost.Options{}, funchost.Life{}, map[string]funchost.Handler{
		"f": func(context.Context, *funchost.Invocation) error { t.Error("reached"); return nil }})
	r.Ready()
	cases := []struct {
		method, path, origin string
		status               int
	}{
		{"POST", "/F", "", 404}, {"POST", "/f/", "", 404}, {"POST", "/%66", "", 404}, {"POST", "/x/..%2ff", "", 404}, {"POST", "/", "", 404},
		{"GET", "/f", "", 404}, {"PUT", "/f", "", 404}, {"POST", "/f", "http://evil.example", 403},
	}
	for _, c := range cases {
		req := httptest.NewRequest(c.method, "http://127.0.0.1"+c.path, strings.NewReader(envelope))
		if c.origin != "" {
			req.Header.Set("Origin", c.origin)
		}
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		if w.Code != c.status || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, w.Code, c.status)
		}
	}
}

func TestHandleRefusesWhatWouldNeverBeReached(t *testing.T) {
	s := funchost.New(funchost.Options{Log: zerolog.New(io.Discard), Now: time.Now})
	s.Handle("f", ok)
	for name, call := range map[string]func(){
		"doubled": func() { s.Handle("f", ok) },
		"nil":     func() { s.Handle("g", nil) },
		"late":    func() { s.Ready(); s.Handle("h", ok) },
		"no Now":  func() { funchost.New(funchost.Options{}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: accepted", name)
				}
			}()
			if name == "late" {
				s = funchost.New(funchost.Options{Now: time.Now})
			}
			call()
		}()
	}
}

func BenchmarkInvocation(b *testing.B) {
	s := funchost.New(funchost.Options{Log: zerolog.New(io.Discard), Now: time.Now})
	s.Handle("f", ok)
	s.Ready()
	for b.Loop() {
		s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/f", strings.NewReader(envelope)))
	}
}
