package e2e_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the state is looked at from outside

	"cmkguard/internal/azuresim"
	"cmkguard/internal/hostproc"
	"cmkguard/internal/localhost"
)

// TestMain lets the test binary be the host that a handler is orphaned by.
func TestMain(m *testing.M) {
	if binary := os.Getenv("CMKGUARD_TEST_AS_HOST"); binary != "" {
		cmd := exec.Command(binary)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			fmt.Println(err)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func started(t *testing.T) (*world, *hostproc.Child) {
	t.Helper()
	w := newWorldIn(t, build(t), azuresim.Options{Wall: time.Now})
	w.env["CMKGUARD_REMEDIATOR_CLIENT_ID"] = "" // nothing may be changed here
	c := hostproc.New(w.binary, w.env)
	must(t, c.Start(context.Background()))
	t.Cleanup(c.Stop)
	return w, c
}

func envelope(t *testing.T, event []byte) []byte {
	t.Helper()
	body, err := localhost.EventGridEnvelope(localhost.Call{Function: "keyvaultevents", UtcNow: time.Now(), RandGuid: "r"}, "event", event)
	must(t, err)
	return body
}

// TestEveryAnswerIsOneThatTheHostCanUse is the matrix of what the host makes of
// answers: whatever comes in, the answer is one packet of a status that ends the
// invocation, application/json, and an object. An empty 200, a 204 or null would
// hang the invocation and then kill every other one.
func TestEveryAnswerIsOneThatTheHostCanUse(t *testing.T) {
	t.Parallel()
	w, c := started(t)
	fine := envelope(t, w.sim.NearExpiry(w.sample.Key, "e1"))
	for name, row := range map[string]struct {
		method, path string
		body         []byte
		headers      int
		status       int
		log          string
	}{
		"readiness":                {http.MethodGet, "/", nil, 0, 200, ""},
		"an event":                 {http.MethodPost, "/keyvaultevents", fine, 0, 200, ""},
		"the same event again":     {http.MethodPost, "/keyvaultevents", fine, 0, 200, ""},
		"a timer tick":             {http.MethodPost, "/sweep", []byte(`{"Data":{"timer":{"Schedule":{},"ScheduleStatus":null,"IsPastDue":false}},"Metadata":{}}`), 0, 200, ""},
		"a message that is none":   {http.MethodPost, "/work", []byte(`{"Data":{"message":"ew=="},"Metadata":{}}`), 0, 200, ""},
		"an envelope without Data": {http.MethodPost, "/keyvaultevents", []byte(`{"Metadata":{}}`), 0, 200, "no Data"},
		"no Metadata":              {http.MethodPost, "/keyvaultevents", []byte(`{"Data":{"event":{}}}`), 0, 200, ""},
		"another binding":          {http.MethodPost, "/keyvaultevents", []byte(`{"Data":{"other":{}},"Metadata":{}}`), 0, 200, "event"},
		"no JSON":                  {http.MethodPost, "/keyvaultevents", []byte(`nonsense`), 0, 200, "envelope of 8 bytes"},
		"an empty body":            {http.MethodPost, "/keyvaultevents", nil, 0, 200, "envelope of 0 bytes"},
		"100 MB":                   {http.MethodPost, "/keyvaultevents", bytes.Repeat([]byte("x"), 100<<20), 0, 0, ""},
		"1,000 headers":            {http.MethodPost, "/keyvaultevents", fine, 1000, 200, ""},
		"an unknown function":      {http.MethodPost, "/no-such-function", fine, 0, 404, ""},
		"a path that climbs":       {http.MethodPost, "/keyvaultevents/../work", fine, 0, 0, ""},
		"a GET on a function":      {http.MethodGet, "/keyvaultevents", nil, 0, 404, ""},
	} {
		req, err := http.NewRequest(row.method, c.URL()+row.path, bytes.NewReader(row.body))
		must(t, err)
		for i := range row.headers {
			req.Header.Set(fmt.Sprintf("X-Filler-%d", i), "x")
		}
		client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		resp, err := client.Do(req)
		if err != nil {
			if row.status == 0 {
				continue // cut off before it was read to its end: the sender is no host
			}
			t.Errorf("%s: %v", name, err)
			continue
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		var object map[string]any
		if err != nil || json.Unmarshal(body, &object) != nil || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
			t.Errorf("%s: %d %q %q %v", name, resp.StatusCode, resp.Header.Get("Content-Type"), body, err)
		}
		if s := resp.StatusCode; row.status != 0 && s != row.status || s == 204 || s >= 300 && s < 400 {
			t.Errorf("%s: %d, want %d", name, s, row.status)
		}
		if err := printed(t, c, row.log); err != nil {
			t.Errorf("%s: no log line names %q: %v", name, row.log, err)
		}
	}
	if rss := peak(t, c.PID()); rss > 400<<20 {
		t.Errorf("%d MiB at the most", rss>>20)
	}
	lyingSenders(t, c)
}

// printed waits for the text: a line reaches us through a pipe, after the answer.
func printed(t *testing.T, c *hostproc.Child, text string) error {
	t.Helper()
	return hostproc.Until(t.Context(), text+" is printed", func() (bool, error) {
		return strings.Contains(c.Output(), text), nil
	})
}

// lyingSenders: a body cut off in the middle, and a Content-Length that lies.
func lyingSenders(t *testing.T, c *hostproc.Child) {
	t.Helper()
	for _, raw := range []string{
		"POST /keyvaultevents HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"Data\":",
		"POST /keyvaultevents HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n{\"Da",
		"POST /keyvaultevents HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n{}",
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(c.URL(), "http://"))
		must(t, err)
		_, err = io.WriteString(conn, raw)
		must(t, err)
		must(t, conn.Close())
	}
	resp, err := http.Get(c.URL() + "/")
	must(t, err)
	resp.Body.Close()
	if strings.Contains(c.Output(), "panic") {
		t.Fatal(c.Tail())
	}
}

// peak is the most memory that the process ever held, in bytes.
func peak(t *testing.T, pid int) int64 {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skip("needs /proc")
	}
	var kib int64
	for line := range strings.Lines(string(raw)) {
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	t.Fatal("no VmHWM")
	return 0
}

// stored counts the signals in the embedded state.
func (w *world) stored() map[string]bool {
	w.t.Helper()
	dir := strings.TrimPrefix(w.env["CMKGUARD_STATE"], "file:")
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "cmkguard.db")+"?mode=ro&_pragma=busy_timeout(20000)") // who leaves may still be closing it
	must(w.t, err)
	defer db.Close()
	rows, err := db.Query(`SELECT json_extract(CAST(value AS TEXT), '$.signal.id') FROM state WHERE key = 'signal'`)
	must(w.t, err)
	defer rows.Close()
	out := map[string]bool{}
	for rows.Next() {
		var id string
		must(w.t, rows.Scan(&id))
		if out[id] {
			w.t.Errorf("signal %s is stored twice", id)
		}
		out[id] = true
	}
	must(w.t, rows.Err())
	return out
}

// flood posts n events, at most width at once, and returns which were answered 200.
func (w *world) flood(c func() string, first, n, width int) map[string]bool {
	var mu sync.Mutex
	taken := map[string]bool{}
	client := &http.Client{Timeout: 60 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: width}}
	slots := make(chan struct{}, width)
	var wg sync.WaitGroup
	for i := range n {
		id := fmt.Sprintf("flood-%d", first+i)
		body := envelope(w.t, w.sim.NearExpiry(w.sample.Key, id))
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			resp, err := client.Post(c()+"/keyvaultevents", "application/json", bytes.NewReader(body))
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				mu.Lock()
				taken[id] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return taken
}

func TestFloodsAreTakenWhole(t *testing.T) {
	t.Parallel()
	w, c := started(t)
	first := 0
	for _, n := range []int{500, 5000} {
		begun := time.Now()
		if taken := w.flood(c.URL, first, n, n); len(taken) != n {
			t.Fatalf("%d of %d were answered 200\n%s", len(taken), n, c.Tail())
		}
		first += n
		t.Logf("%d posts at once: all 200 in %s, peak memory %d MiB", n, time.Since(begun).Round(time.Millisecond), peak(t, c.PID())>>20)
	}
	if got := len(w.stored()); got != first {
		t.Fatalf("%d of %d signals are stored", got, first)
	}
	if out := c.Output(); strings.Contains(out, `"outcome":"failed"`) {
		t.Fatal("an invocation failed")
	}
}

// TestKilledDuringTenThousandPosts: the handler dies at a random moment and is
// started again as the host does; what was answered 200 is there, once.
func TestKilledDuringTenThousandPosts(t *testing.T) {
	if os.Getenv("CMKGUARD_CRASH") != "all" {
		t.Skip("set CMKGUARD_CRASH=all, or run make crash")
	}
	t.Parallel()
	w, c := started(t)
	const n = 10_000
	after := time.Duration(200+rand.IntN(2500)) * time.Millisecond
	t.Logf("killed after %s", after)
	var mu sync.Mutex
	url := c.URL()
	restarted := make(chan struct{})
	time.AfterFunc(after, func() {
		defer close(restarted)
		c.Kill()
		must(t, c.Start(context.Background()))
		mu.Lock()
		url = c.URL()
		mu.Unlock()
	})
	taken := w.flood(func() string { mu.Lock(); defer mu.Unlock(); return url }, 0, n, 64)
	<-restarted
	stored := w.stored()
	for id := range taken {
		if !stored[id] {
			t.Errorf("%s was answered 200 and is lost", id)
		}
	}
	t.Logf("%d of %d were answered 200, %d are stored", len(taken), n, len(stored))
	if len(taken) < n/2 {
		t.Errorf("only %d were taken: it did not come back", len(taken))
	}
}
