package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"cmkguard/handlers/keyvaultevents"
	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/funchost"
	"cmkguard/internal/guard"
	"cmkguard/internal/journal"
	"cmkguard/internal/localhost"
	"cmkguard/internal/policy"
	"cmkguard/internal/store/filestore"
)

// bodies makes invocations of one event each, every one with an id of its own:
// a duplicate would be answered from one read.
func bodies(b *testing.B) func() []byte {
	sim := azuresim.New(azuresim.Options{})
	sample := sim.AddSample("v1", 365*24*time.Hour)
	var n atomic.Int64
	return func() []byte {
		event := sim.NearExpiry(sample.Key, fmt.Sprintf("event-%d", n.Add(1)))
		call := localhost.Call{Function: keyvaultevents.Name, UtcNow: time.Now(), RandGuid: "00000000-0000-4000-8000-000000000000"}
		body, err := localhost.EventGridEnvelope(call, keyvaultevents.Binding, event)
		if err != nil {
			b.Fatal(err)
		}
		return body
	}
}

// intake is the real server with the real intake on the embedded store.
func intake(b *testing.B) http.Handler {
	b.Helper()
	st, err := filestore.Open(b.TempDir(), time.Now)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = st.Close() })
	backend := st.Backend()
	g := &guard.Guard{
		Cloud: azureid.Public(), Policy: policy.Default(), State: backend.State, Queue: backend.Queue,
		Rec: journal.NewRecorder(backend.State, "bench", time.Now), Now: time.Now, NewID: uuid.NewString,
		Watch: guard.Watch{Losses: true},
	}
	srv := funchost.New(funchost.Options{Log: zerolog.New(io.Discard), Now: time.Now, OnPoison: func(_ context.Context, _, _, reason string, _ []byte) error {
		return fmt.Errorf("poison: %s", reason)
	}})
	srv.Handle(keyvaultevents.Name, keyvaultevents.Handler(g))
	srv.Ready()
	return srv
}

// bare decodes the same JSON, answers, and keeps nothing.
func bare() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var v struct {
			Data     map[string]json.RawMessage
			Metadata json.RawMessage
		}
		if json.NewDecoder(r.Body).Decode(&v) != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}")
	})
}

func BenchmarkIntake(b *testing.B) {
	for name, handler := range map[string]func(*testing.B) http.Handler{
		"stored-and-queued": intake,
		"bare-net-http":     func(*testing.B) http.Handler { return bare() },
	} {
		for _, atOnce := range []int{1, 500} {
			b.Run(fmt.Sprintf("%s/at-once-%d", name, atOnce), func(b *testing.B) {
				srv := httptest.NewServer(handler(b))
				defer srv.Close()
				next := bodies(b)
				client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: atOnce}}
				burst := make([][]byte, atOnce)
				for b.Loop() {
					b.StopTimer()
					for i := range burst {
						burst[i] = next()
					}
					b.StartTimer()
					var wg sync.WaitGroup
					for _, body := range burst {
						wg.Go(func() { postOnce(b, client, srv.URL, body) })
					}
					wg.Wait()
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*atOnce), "µs/event")
			})
		}
	}
}

func postOnce(b *testing.B, client *http.Client, url string, body []byte) {
	resp, err := client.Post(url+"/"+keyvaultevents.Name, "application/json", bytes.NewReader(body))
	if err != nil {
		b.Error(err)
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b.Errorf("status %d", resp.StatusCode)
	}
}

const hello = `package main

import (
	"io"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") })
	http.ListenAndServe("127.0.0.1:"+os.Getenv("FUNCTIONS_CUSTOMHANDLER_PORT"), nil)
}
`

// BenchmarkColdStart measures from the start of the process to its first
// answer of GET /, which is what the Functions host waits for.
func BenchmarkColdStart(b *testing.B) {
	dir := b.TempDir()
	src := filepath.Join(dir, "hello.go")
	if err := os.WriteFile(src, []byte(hello), 0o600); err != nil {
		b.Fatal(err)
	}
	for name, target := range map[string]string{"cmkguard": "cmkguard", "bare-net-http": src} {
		binary := filepath.Join(dir, name)
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, target)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		for _, state := range []string{"new state", "old state"} {
			if name != "cmkguard" && state != "new state" {
				continue
			}
			b.Run(name+"/"+strings.ReplaceAll(state, " ", "-"), func(b *testing.B) {
				for b.Loop() {
					where := filepath.Join(dir, "old")
					if state == "new state" {
						b.StopTimer()
						where = b.TempDir()
						b.StartTimer()
					}
					startOnce(b, binary, where)
				}
			})
		}
	}
}

func startOnce(b *testing.B, binary, state string) {
	b.StopTimer()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	cmd := exec.Command(binary)
	cmd.Env = []string{"FUNCTIONS_CUSTOMHANDLER_PORT=" + port, "CMKGUARD_STATE=file:" + state, "CMKGUARD_SUBSCRIPTIONS=11111111-1111-1111-1111-111111111111"}
	b.StartTimer()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(500 * time.Microsecond) {
		resp, err := http.Get("http://127.0.0.1:" + port + "/")
		if err == nil {
			resp.Body.Close()
			break
		}
		if time.Now().After(end) {
			b.Fatal("it never answers")
		}
	}
	b.StopTimer()
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	b.StartTimer()
}
