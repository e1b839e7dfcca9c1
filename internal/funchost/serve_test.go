package funchost_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rs/zerolog"

	"cmkguard/internal/fault"
	"cmkguard/internal/funchost"
)

// running is a real server on a real port.
type running struct {
	*funchost.Server
	url  string
	log  *buffer
	code chan int
	stop context.CancelFunc
}

// buffer is a log that may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func start(t *testing.T, o funchost.Options, life funchost.Life, handlers map[string]funchost.Handler) *running {
	t.Helper()
	r := &running{log: &buffer{}, code: make(chan int, 1)}
	o.Log, o.Now = zerolog.New(r.log), time.Now
	r.Server = funchost.New(o)
	for name, h := range handlers {
		r.Handle(name, h)
	}
	l, err := funchost.Listen("0")
	if err != nil {
		t.Fatal(err)
	}
	r.url = "http://" + l.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	r.stop = cancel
	done := make(chan struct{})
	go func() { r.code <- r.Run(ctx, l, life); close(done) }()
	t.Cleanup(func() { http.DefaultClient.CloseIdleConnections(); cancel(); <-done })
	return r
}

// post sends a body as the host does and checks what every answer must be.
func (r *running) post(t *testing.T, function string, body io.Reader) (int, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, r.url+"/"+function, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("X-Azure-Functions-InvocationId", "inv-1")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.Header.Get("Content-Type") != "application/json" || !json.Valid(b) || res.ContentLength <= 0 {
		t.Errorf("answer %d %q %q, length %d, %v: the host takes none but application/json with a body",
			res.StatusCode, res.Header.Get("Content-Type"), b, res.ContentLength, err)
	}
	return res.StatusCode, string(b)
}

func ok(context.Context, *funchost.Invocation) error { return nil }

func captures(t *testing.T) map[string][]byte {
	t.Helper()
	dir := filepath.Join("..", "..", "..", "shared", "payloads", "host")
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) == 0 {
		t.Skip("no captures of the real host at " + dir)
	}
	bodies := make(map[string][]byte, len(files))
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		bodies[strings.TrimSuffix(filepath.Base(f), ".json")] = b
	}
	return bodies
}

func TestEveryCaptureOfTheRealHostIsAnswered(t *testing.T) {
	var seen atomic.Int64
	r := start(t, funchost.Options{}, funchost.Life{}, map[string]funchost.Handler{
		"events": func(_ context.Context, inv *funchost.Invocation) error {
			seen.Add(1)
			for name := range inv.Data {
				if name == "item" {
					_, err := inv.Bytes(name)
					return err
				}
				_, err := inv.Object(name)
				return err
			}
			return errors.New("no binding")
		},
	})
	r.Ready()
	bodies := captures(t)
	for name, body := range bodies {
		for kind, in := range map[string]io.Reader{"length": bytes.NewReader(body), "chunked": io.MultiReader(bytes.NewReader(body))} {
			if status, answer := r.post(t, "events", in); status != http.StatusOK || answer != "{}" {
				t.Errorf("%s %s: %d %s", name, kind, status, answer)
			}
		}
	}
	if got, want := seen.Load(), int64(2*len(bodies)); got != want {
		t.Errorf("%d invocations reached the handler, want %d", got, want)
	}
}

func TestAnswerFollowsTheFault(t *testing.T) {
	boom := errors.New("boom")
	cases := []struct {
		err     error
		status  int
		answer  string
		outcome string
	}{
		{nil, 200, "{}", "ok"},
		{fault.Wrap(fault.Invalid, "x", boom), 200, "{}", "handled"},
		{fault.Wrap(fault.Denied, "x", boom), 200, "{}", "handled"},
		{fault.Wrap(fault.Conflict, "x", boom), 200, "{}", "handled"},
		{fault.Wrap(fault.Transient, "x", boom), 500, `{"error":"transient"}`, "failed"},
		{fault.Wrap(fault.Unknown, "x", boom), 500, `{"error":"unknown"}`, "failed"},
		{boom, 500, `{"error":"unknown"}`, "failed"},
		{context.DeadlineExceeded, 500, `{"error":"unknown"}`, "failed"},
	}
	for _, c := range cases {
		r := start(t, funchost.Options{}, funchost.Life{}, map[string]funchost.Handler{
			"f": func(ctx context.Context, _ *funchost.Invocation) error {
				funchost.Field(ctx, "subject", "k1")
				zerolog.Ctx(ctx).Info().Msg("inside")
				return c.err
			}})
		r.Ready()
		status, answer := r.post(t, "f", strings.NewReader(`{"Data":{"event":{"secret":"s3cret"}}}`))
		if status != c.status || answer != c.answer {
			t.Errorf("%v: %d %s, want %d %s", c.err, status, answer, c.status, c.answer)
		}
		r.stop()
		<-r.code
		lines := parseLog(t, r.log)
		if lines["inside"]["invocation"] != "inv-1" {
			t.Errorf("a handler's own line lacks the invocation: %v", lines["inside"])
		}
		got := lines["invocation"]
		if got["outcome"] != c.outcome || got["subject"] != "k1" || got["function"] != "f" || got["invocation"] != "inv-1" {
			t.Errorf("%v: log line %v", c.err, got)
		}
		if strings.Contains(r.log.String(), "s3cret") {
			t.Error("the body stands in the log")
		}
	}
}

// parseLog returns the last line of each message.
func parseLog(t *testing.T, b *buffer) map[string]map[string]any {
	t.Helper()
	lines := make(map[string]map[string]any)
	for _, text := range strings.Split(strings.TrimSpace(b.String()), "\n") {
		var m map[string]any
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Fatalf("log line %q: %v", text, err)
		}
		lines[fmt.Sprint(m["message"])] = m
	}
	return lines
}

func TestPanicIsAFailureWithItsStack(t *testing.T) {
	r := start(t, funchost.Options{}, funchost.Life{}, map[string]funchost.Handler{
		"f": func(context.Context, *funchost.Invocation) error { panic("at the disco") }, "g": ok})
	r.Ready()
	if status, _ := r.post(t, "f", strings.NewReader(`{"Data":{"a":{}}}`)); status != http.StatusInternalServerError {
		t.Errorf("status %d", status)
	}
	if status, _ := r.post(t, "g", strings.NewReader(`{"Data":{"a":{}}}`)); status != http.StatusOK {
		t.Errorf("the next invocation: %d", status)
	}
	r.stop()
	<-r.code
	if log := r.log.String(); !strings.Contains(log, "at the disco") || !strings.Contains(log, "serve_test.go") {
		t.Errorf("no panic with stack in %s", log)
	}
}

func TestMetadataCanBeForgedAndChangesNothing(t *testing.T) {
	var got []funchost.Invocation
	r := start(t, funchost.Options{}, funchost.Life{}, map[string]funchost.Handler{
		"f": func(_ context.Context, inv *funchost.Invocation) error {
			got = append(got, *inv)
			return nil
		}})
	r.Ready()
	for _, metadata := range []string{`{"DequeueCount":"1"}`, `{"DequeueCount":"77","sys":{"MethodName":"forged"},"Data":{"item":"x"}}`, `"text"`, `null`} {
		if status, _ := r.post(t, "f", strings.NewReader(`{"Data":{"item":"aGk="},"Metadata":`+metadata+`}`)); status != http.StatusOK {
			t.Errorf("%s: %d", metadata, status)
		}
	}
	for _, inv := range got {
		if d := cmp.Diff(got[0], inv, cmpopts.IgnoreUnexported(funchost.Invocation{})); d != "" {
			t.Errorf("metadata changed the invocation: %s", d)
		}
	}
}
