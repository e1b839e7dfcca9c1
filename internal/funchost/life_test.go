package funchost_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"cmkguard/internal/fault"
	"cmkguard/internal/funchost"
)

const parentPID = 42

// hosted is a server under a host that polls fast, with an invocation that
// runs until finish is closed.
type hosted struct {
	*running
	interrupt, terminate chan os.Signal
	parent               atomic.Int64
	finish               chan struct{}
	status               chan int
}

func startHosted(t *testing.T) *hosted {
	t.Helper()
	h := &hosted{interrupt: make(chan os.Signal), terminate: make(chan os.Signal), finish: make(chan struct{}), status: make(chan int, 1)}
	h.parent.Store(parentPID)
	entered := make(chan struct{})
	h.running = start(t, funchost.Options{}, funchost.Life{
		Interrupt: h.interrupt, Terminate: h.terminate,
		Parent: func() int { return int(h.parent.Load()) },
		Poll:   5 * time.Millisecond, Drain: 200 * time.Millisecond, Quiet: 20 * time.Millisecond,
	}, map[string]funchost.Handler{
		"ok":   ok,
		"slow": func(context.Context, *funchost.Invocation) error { close(entered); <-h.finish; return nil },
	})
	h.Ready()
	go func() {
		// Without this process's connection pool: a hung one must not stay.
		res, err := (&http.Client{Transport: &http.Transport{}}).Post(h.url+"/slow", "application/json", strings.NewReader(envelope))
		if err != nil {
			h.status <- 0
			return
		}
		res.Body.Close()
		h.status <- res.StatusCode
	}()
	<-entered
	return h
}

func TestInterruptServesOnUntilIdle(t *testing.T) {
	h := startHosted(t)
	h.interrupt <- os.Interrupt
	for range 20 { // longer than Quiet, as each one is a round trip
		if s, _ := h.post(t, "ok", strings.NewReader(envelope)); s != http.StatusOK {
			t.Fatalf("after SIGINT with work in flight: %d", s)
		}
	}
	select {
	case code := <-h.code:
		t.Fatalf("left with %d while an invocation was in flight", code)
	case <-time.After(100 * time.Millisecond): // proves an absence: nothing to wait for
	}
	close(h.finish)
	if s := <-h.status; s != http.StatusOK {
		t.Errorf("the invocation in flight: %d", s)
	}
	if code := <-h.code; code != funchost.ExitLeft {
		t.Errorf("exit code %d", code)
	}
}

func TestTerminateAndSecondInterruptAreBounded(t *testing.T) {
	for name, send := range map[string]func(*hosted){
		"SIGTERM":      func(h *hosted) { h.terminate <- syscall.SIGTERM },
		"SIGINT twice": func(h *hosted) { h.interrupt <- os.Interrupt; h.interrupt <- os.Interrupt },
	} {
		h := startHosted(t)
		send(h)
		if s, _ := h.post(t, "ok", strings.NewReader(envelope)); s != http.StatusOK {
			t.Errorf("%s: within the bound: %d", name, s)
		}
		if code := <-h.code; code != funchost.ExitLeft {
			t.Errorf("%s: exit code %d", name, code)
		}
		close(h.finish)
		<-h.status
	}
}

func TestParentGoneStopsWorkAndDrains(t *testing.T) {
	h := startHosted(t)
	h.parent.Store(1)
	for { // the listener closes while the invocation runs on
		res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(h.url)
		if errors.Is(err, syscall.ECONNREFUSED) {
			break
		}
		if err == nil {
			res.Body.Close()
		}
	}
	close(h.finish)
	if s := <-h.status; s != http.StatusOK {
		t.Errorf("the invocation in flight: %d", s)
	}
	if code := <-h.code; code != funchost.ExitLeft {
		t.Errorf("exit code %d", code)
	}
}

func TestLeavingLetsTheWaitingGo(t *testing.T) {
	var parent atomic.Int64
	r := start(t, funchost.Options{}, funchost.Life{Parent: func() int { return int(parent.Load()) }, Poll: 5 * time.Millisecond}, nil)
	go func() {
		for r.Active() == 0 {
			time.Sleep(time.Millisecond)
		}
		parent.Store(1)
	}()
	if s, _ := r.post(t, "f", strings.NewReader(envelope)); s != http.StatusInternalServerError {
		t.Errorf("an invocation that waited for Ready: %d", s)
	}
	if code := <-r.code; code != funchost.ExitLeft {
		t.Errorf("exit code %d", code)
	}
}

func TestExitIsZeroOnlyWithoutAHost(t *testing.T) {
	signal := make(chan os.Signal, 1)
	signal <- os.Interrupt
	alone := start(t, funchost.Options{}, funchost.Life{Interrupt: signal}, nil)
	if code := <-alone.code; code != funchost.ExitOK {
		t.Errorf("told to stop without a host: %d", code)
	}
	ended := start(t, funchost.Options{}, funchost.Life{Parent: func() int { return parentPID }}, nil)
	ended.stop()
	if code := <-ended.code; code != funchost.ExitFailed {
		t.Errorf("context ended: %d", code)
	}
	s := funchost.New(funchost.Options{Log: zerolog.New(io.Discard), Now: time.Now})
	l, err := funchost.Listen("0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if code := s.Run(t.Context(), l, funchost.Life{}); code != funchost.ExitFailed {
		t.Errorf("listener broken: %d", code)
	}
}

func TestListen(t *testing.T) {
	for _, port := range []string{"", "x", "-1", "65536", "80 ", "http"} {
		if l, err := funchost.Listen(port); !fault.Is(err, fault.Invalid) {
			t.Errorf("port %q: %v, %v", port, l, err)
		}
	}
	l, err := funchost.Listen("0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	host, port, _ := strings.Cut(l.Addr().String(), ":")
	if host != "127.0.0.1" {
		t.Errorf("listens on %s", host)
	}
	if _, err := funchost.Listen(port); !fault.Is(err, fault.Conflict) {
		t.Errorf("a port that is taken: %v", err)
	}
}

// TestOrphanLeaves kills a real parent and waits for its real child to end.
func TestOrphanLeaves(t *testing.T) {
	switch os.Getenv("FUNCHOST_TEST_ROLE") {
	case "host":
		child := exec.Command(os.Args[0], "-test.run=^TestOrphanLeaves$")
		child.Env = append(os.Environ(), "FUNCHOST_TEST_ROLE=handler")
		child.Stdout = os.Stdout
		fmt.Fprintln(os.Stderr, child.Run()) // until killed
		os.Exit(1)
	case "handler":
		l, err := funchost.Listen("0")
		if err != nil {
			os.Exit(1)
		}
		s := funchost.New(funchost.Options{Log: zerolog.New(io.Discard), Now: time.Now})
		fmt.Println("http://" + l.Addr().String())
		os.Exit(s.Run(context.Background(), l, funchost.Life{Parent: os.Getppid, Poll: 20 * time.Millisecond}))
	}
	host := exec.Command(os.Args[0], "-test.run=^TestOrphanLeaves$")
	host.Env = append(os.Environ(), "FUNCHOST_TEST_ROLE=host")
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	var url string
	if _, err := fmt.Fscanln(out, &url); err != nil {
		t.Fatal(err)
	}
	res, err := http.Get(url)
	if err != nil {
		t.Fatalf("the handler does not serve: %v", err)
	}
	res.Body.Close()
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// The pipe ends when the last process that holds it, the handler, is gone.
	ended := make(chan error, 1)
	go func() { _, err := io.Copy(io.Discard, out); ended <- err }()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("the handler outlives its host")
	}
	_ = host.Wait() // killed, as meant
}
