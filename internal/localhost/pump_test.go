package localhost_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"cmkguard/handlers/sweep"
	"cmkguard/handlers/work"
	"cmkguard/internal/fault"
	"cmkguard/internal/funchost"
	"cmkguard/internal/localhost"
	"cmkguard/internal/store"
)

// direct hands requests to the real server without a socket, so that a test
// can run in a synctest bubble.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result(), nil
}

// worker is the core's side: it notes messages and fails on demand.
type worker struct {
	mu    sync.Mutex
	got   []string
	ticks int
	do    func(message string) error
}

func (w *worker) Work(_ context.Context, message []byte) error {
	w.mu.Lock()
	w.got = append(w.got, string(message))
	do := w.do
	w.mu.Unlock()
	if do == nil {
		return nil
	}
	return do(string(message))
}

func (w *worker) Sweep(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ticks++
	return nil
}

func (w *worker) seen() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.got...)
}

type world struct {
	*worker
	*queues
	host *localhost.Host
	done chan struct{}
}

// run starts the embedded host over the real handlers; call it in a bubble.
func run(t *testing.T, w *worker) *world {
	t.Helper()
	q := newQueues()
	s := funchost.New(funchost.Options{Log: zerolog.Nop(), Now: q.clock})
	s.Handle(work.Name, work.Handler(w))
	s.Handle(sweep.Name, sweep.Handler(w))
	s.Ready()
	h := localhost.New(localhost.Options{
		BaseURL: "http://handler", Queue: q, Now: q.clock, Log: zerolog.Nop(), HTTP: &http.Client{Transport: direct{s}},
		Queues: map[string]localhost.Target{work.Queue: {Function: work.Name, Binding: work.Binding}},
		Timers: []localhost.Timer{{Function: sweep.Name, Binding: sweep.Binding, Every: 5 * time.Minute}},
	})
	x := &world{worker: w, queues: q, host: h, done: make(chan struct{})}
	go func() { h.Run(t.Context()); close(x.done) }()
	return x
}

func (x *world) end() { x.host.Stop(); <-x.done }

func (x *world) put(t *testing.T, body string) {
	t.Helper()
	if err := x.Put(t.Context(), work.Queue, []byte(body), 0); err != nil {
		t.Fatal(err)
	}
}

func TestMessagesReachTheWorkerAsTheyAreAndAreRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := run(t, &worker{})
		want := []string{`{"kind":"signal","id":"1"}`, "not json", `"quoted"`, "\x00\xff"}
		for _, m := range want {
			x.put(t, m)
			settle()
		}
		x.end()
		if d := cmp.Diff(want, x.seen()); d != "" {
			t.Error(d)
		}
		if left := x.bodies(work.Queue); len(left) != 0 {
			t.Errorf("left: %q", left)
		}
	})
}

func TestFailedMessageWaitsIsTriedFiveTimesAndIsPoison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := run(t, &worker{do: func(string) error { return fault.Wrap(fault.Transient, "w", errors.New("down")) }})
		x.put(t, "m")
		for try := 1; try <= localhost.MaxDequeueCount; try++ {
			settle()
			if n := len(x.seen()); n != try {
				t.Fatalf("%d tries, want %d: a failed message must wait for its visibility time-out", n, try)
			}
			x.advance(localhost.DefaultVisibility)
		}
		settle()
		x.end()
		if n := len(x.seen()); n != localhost.MaxDequeueCount {
			t.Errorf("%d tries", n)
		}
		if d := cmp.Diff([]string{"m"}, x.bodies(work.Queue+localhost.PoisonSuffix)); d != "" {
			t.Error(d)
		}
		if left := x.bodies(work.Queue); len(left) != 0 {
			t.Errorf("left: %q", left)
		}
	})
}

func TestPoisonThatCannotBeMovedIsNotLostAndNotRunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := run(t, &worker{do: func(string) error { return errors.New("bug") }})
		x.put(t, "m")
		x.queues.mu.Lock() // of the queues
		x.putFails = 2
		x.queues.mu.Unlock()
		for range localhost.MaxDequeueCount + 3 {
			settle()
			x.advance(localhost.DefaultVisibility)
		}
		x.end()
		if n := len(x.seen()); n != localhost.MaxDequeueCount {
			t.Errorf("%d tries, want %d", n, localhost.MaxDequeueCount)
		}
		if d := cmp.Diff([]string{"m"}, x.bodies(work.Queue+localhost.PoisonSuffix)); d != "" {
			t.Error(d)
		}
	})
}

func TestLongInvocationIsNotDoubledAndItsMessageIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		x := run(t, &worker{do: func(string) error { <-goOn; return nil }})
		x.put(t, "m")
		for range 3 { // the message becomes visible while its invocation runs
			settle()
			x.advance(localhost.DefaultVisibility)
		}
		close(goOn)
		settle()
		x.end()
		if d := cmp.Diff([]string{"m"}, x.seen()); d != "" {
			t.Error(d)
		}
		if left := x.bodies(work.Queue); len(left) != 0 {
			t.Errorf("left, although it is done: %q", left)
		}
	})
}

func TestStopTakesNoNewWorkAndWaitsForWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		x := run(t, &worker{do: func(string) error { <-goOn; return nil }})
		x.put(t, "first")
		settle()
		x.host.Stop()
		x.host.Stop()
		x.put(t, "second")
		settle()
		select {
		case <-x.done:
			t.Error("Run returned over an invocation in flight")
		default:
		}
		close(goOn)
		<-x.done
		if d := cmp.Diff([]string{"second"}, x.bodies(work.Queue)); d != "" {
			t.Error(d)
		}
	})
}

func TestFloodIsTakenInBatchesAndIdleQueuesArePolledSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		x := run(t, &worker{do: func(string) error {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(time.Millisecond)
			now.Add(-1)
			return nil
		}})
		for i := range 300 {
			x.put(t, fmt.Sprint(i))
		}
		settle()
		if n := len(x.seen()); n != 300 || most.Load() > 16+8 {
			t.Errorf("%d of 300 delivered, %d at once; the host has at most 24", n, most.Load())
		}
		x.queues.mu.Lock()
		before := x.takes
		x.queues.mu.Unlock()
		time.Sleep(time.Minute)
		x.end()
		if polls := x.takes - before; polls < 50 || polls > 70 {
			t.Errorf("%d polls in an idle minute, want about 60", polls)
		}
	})
}

func TestTimerFollowsItsClockAndCatchesUpOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := run(t, &worker{})
		want := 0
		for _, step := range []struct {
			advance time.Duration
			ticks   int
		}{{4 * time.Minute, 0}, {time.Minute, 1}, {time.Second, 0}, {5 * time.Minute, 1}, {72 * time.Hour, 1}, {5 * time.Minute, 1}} {
			x.advance(step.advance)
			want += step.ticks
			settle()
			x.worker.mu.Lock()
			if x.ticks != want {
				t.Errorf("after %v: %d ticks, want %d", step.advance, x.ticks, want)
			}
			x.worker.mu.Unlock()
		}
		x.end()
	})
}

func TestPostReadsAnswersAsTheHostDoes(t *testing.T) {
	cases := []struct {
		status      int
		media, body string
		ok          bool
	}{
		{200, "application/json", "{}", true},
		{202, "application/json; charset=utf-8", `{"Logs":null,"x":1}`, true},
		{200, "text/plain", "{}", false}, {200, "", "{}", false}, {200, "application/problem+json", "{}", false},
		{200, "application/json", "", false}, {200, "application/json", "null", false}, {200, "application/json", "[]", false},
		{200, "application/json", `"x"`, false}, {200, "application/json", "{", false}, {204, "application/json", "", false},
		{500, "application/json", "{}", false}, {404, "application/json", "{}", false}, {429, "application/json", "{}", false},
	}
	for _, c := range cases {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			if err != nil || r.Method != http.MethodPost || r.URL.Path != "/f" || string(b) != "{1}" || r.ContentLength != 3 ||
				r.Header.Get("X-Azure-Functions-InvocationId") != "id" || !strings.HasPrefix(r.UserAgent(), "Azure-Functions-Host/4.") ||
				r.Header.Get("Content-Type") != "application/json; charset=utf-8" {
				t.Errorf("request %s %s %v, body %q", r.Method, r.URL, r.Header, b)
			}
			w.Header()["Content-Type"] = []string{c.media}
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body) // a 204 refuses one
		}))
		err := localhost.Post(t.Context(), srv.Client(), srv.URL, "f", "id", []byte("{1}"))
		if (err == nil) != c.ok || err != nil && !fault.Is(err, fault.Unknown) {
			t.Errorf("%d %q %q: %v", c.status, c.media, c.body, err)
		}
		srv.Close()
	}
	if err := localhost.Post(t.Context(), http.DefaultClient, "http://127.0.0.1:1", "f", "id", nil); !fault.Is(err, fault.Unknown) {
		t.Errorf("nobody listens: %v", err)
	}
}

var _ store.Queue = (*queues)(nil)
