package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

func scrape(t *testing.T, url, host string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// TestMetricsOfAProgramThatRunsAlone are at /metrics, for this machine only, and in
// the log when it ends.
func TestMetricsOfAProgramThatRunsAlone(t *testing.T) {
	t.Parallel()
	sim, key, env, _ := keyed(t)
	url, out, _, process := started(t, env)
	post(t, url, sim.NearExpiry(key, "e1"))
	eventually(t, out, "an alert, and a sweep, in the metrics", func() bool {
		sim.Clock().Advance(time.Second)
		_, text := scrape(t, url, "")
		return strings.Contains(text, `cmkguard_alert_sends_total{channel="console",outcome="sent"}`) && strings.Contains(text, `cmkguard_sweeps_total{outcome="ok"}`) &&
			strings.Contains(text, `cmkguard_journal_entries_total{kind="signal"} 1`)
	})
	if code, _ := scrape(t, url, "evil.example"); code != http.StatusNotFound {
		t.Errorf("under another's name: %d", code)
	}
	if err := process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	eventually(t, out, "the counts in the log", func() bool {
		for l := range strings.Lines(out.String()) {
			var line struct {
				Metric, Channel, Outcome string
				Value                    float64
			}
			if json.Unmarshal([]byte(l), &line) == nil && line.Metric == "cmkguard_alert_sends_total" && line.Channel == "console" && line.Outcome == "sent" && line.Value > 0 {
				return true
			}
		}
		return false
	})
	under, _, _, _ := started(t, append(env, "FUNCTIONS_CUSTOMHANDLER_WORKER_ID=w"))
	if code, _ := scrape(t, under, ""); code != http.StatusNotFound {
		t.Errorf("under a Functions host: %d", code)
	}
}
