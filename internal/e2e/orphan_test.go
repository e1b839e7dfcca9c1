package e2e_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cmkguard/internal/azuresim"
	"cmkguard/internal/hostproc"
)

// underHost starts the binary as the child of a process that can be killed.
func (w *world) underHost() (host *exec.Cmd, url string) {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(w.t, err)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	must(w.t, l.Close())
	host = exec.Command(os.Args[0])
	host.Env = append(os.Environ(), "CMKGUARD_TEST_AS_HOST="+w.binary, "FUNCTIONS_CUSTOMHANDLER_PORT="+port, "FUNCTIONS_CUSTOMHANDLER_WORKER_ID=1")
	for k, v := range w.env {
		host.Env = append(host.Env, k+"="+v)
	}
	must(w.t, host.Start())
	url = "http://127.0.0.1:" + port
	must(w.t, hostproc.Until(w.t.Context(), "readiness", func() (bool, error) { return answers(url), nil }))
	return host, url
}

func answers(url string) bool {
	resp, err := http.Get(url + "/")
	if err == nil {
		resp.Body.Close()
	}
	return err == nil
}

func TestAnOrphanLeaves(t *testing.T) {
	t.Parallel()
	w := newWorldIn(t, build(t), azuresim.Options{Wall: time.Now})
	host, url := w.underHost()
	if taken := w.flood(func() string { return url }, 0, 20, 4); len(taken) != 20 {
		t.Fatalf("%d of 20 taken", len(taken))
	}
	must(t, host.Process.Signal(syscall.SIGKILL))
	_ = host.Wait()
	begun := time.Now()
	must(t, hostproc.Until(t.Context(), "the orphan leaves", func() (bool, error) { return !answers(url), nil }))
	if d := time.Since(begun); d > 10*time.Second {
		t.Errorf("it left after %s, want at most 10 s", d)
	}
	if got := len(w.stored()); got != 20 {
		t.Errorf("%d of 20 signals are in the state that it left", got)
	}
}

// The host is killed while its handler is in the middle of an effect, and starts
// again at once: for some seconds orphan and successor work on one state. There
// is one new version, one PATCH, and a journal that verifies.
func TestAnOrphanAndItsSuccessorHaveOneEffect(t *testing.T) {
	t.Parallel()
	binary := build(t)
	for name, at := range map[string]func(string) bool{
		"rotating": func(call string) bool {
			return strings.HasPrefix(call, http.MethodPost) && strings.HasSuffix(call, "/rotate")
		},
		"rewiring":  func(call string) bool { return strings.HasPrefix(call, http.MethodPatch) },
		"preparing": func(call string) bool { return strings.HasSuffix(call, "/rotationpolicy") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, binary)
			host, url := w.underHost()
			var once sync.Once
			orphaned := make(chan struct{})
			w.sim.SetTap(func(r *http.Request) *azuresim.Fault {
				if at(r.Method + " " + r.URL.Path) {
					once.Do(func() { _ = host.Process.Signal(syscall.SIGKILL); close(orphaned) })
				}
				return nil // the call itself goes well: the orphan has an outcome to write down
			})
			for w.post(url, "event-1") != nil {
				time.Sleep(10 * time.Millisecond)
			}
			pace := w.pace()
			for begun := time.Now(); !isDone(orphaned); time.Sleep(10 * time.Millisecond) {
				if time.Since(begun) > 5*time.Minute {
					t.Fatal("the moment never came")
				}
				pace.Tick()
			}
			successor := hostproc.New(w.binary, w.env)
			defer successor.Stop()
			must(t, successor.Start(t.Context()))
			both := answers(url)
			must(t, w.end(t.Context(), func() *hostproc.Child { return successor }))
			_ = host.Wait()
			must(t, hostproc.Until(t.Context(), "the orphan leaves", func() (bool, error) { return !answers(url), nil }))
			t.Logf("the orphan was alive beside its successor: %t", both)
		})
	}
}

func isDone(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// post sends a near-expiry event to a handler that is not a child of ours.
func (w *world) post(url, id string) error {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url+"/keyvaultevents", strings.NewReader(string(envelope(w.t, w.sim.NearExpiry(w.sample.Key, id)))))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
