package app_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestTheSweepCallsTheWatcher through the program, by its policy; a setting that is
// missing leaves it observing, and says which line wants it.
func TestTheSweepCallsTheWatcher(t *testing.T) {
	t.Parallel()
	sim, _, env, dir := keyed(t)
	var calls atomic.Int64
	var key atomic.Value
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		key.Store(r.URL.Path + " " + r.Header.Get("Authorization"))
		calls.Add(1)
	}))
	t.Cleanup(srv.Close)
	file := filepath.Join(dir, "policy.yaml")
	text := "version: 1\nheartbeat: {url: \"" + srv.URL + "/v2/heartbeats/cmk/ping\", secretRef: DOG_KEY, every: 5m}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env = append(env, "CMKGUARD_POLICY="+file)
	_, out, stop := serve(t, append([]string{"DOG_KEY=GenieKey k"}, env...))
	for n := range int64(2) {
		eventually(t, out, "a call of the watcher", func() bool {
			sim.Clock().Advance(time.Second)
			return calls.Load() > n
		})
	}
	if key.Load() != "/v2/heartbeats/cmk/ping GenieKey k" {
		t.Errorf("%v", key.Load())
	}
	stop()
	_, out, _ = serve(t, env)
	eventually(t, out, "the missing setting to be told", func() bool {
		return strings.Contains(out.String(), "policy.yaml:2: heartbeat: setting DOG_KEY (secretRef) is not set")
	})
}
