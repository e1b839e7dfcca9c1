package metric_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/rs/zerolog"

	"cmkguard/internal/alert"
	"cmkguard/internal/fault"
	"cmkguard/internal/journal"
	"cmkguard/internal/metric"
	"cmkguard/internal/store"
	"cmkguard/internal/store/memstore"
)

type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

// answer is a channel, a watcher and a sweep that end as it says, after a while.
type answer struct {
	err   error
	clock *clock
	after time.Duration
}

func (a answer) Send(_ context.Context, x alert.Alert) (string, error) { a.wait(); return x.ID, a.err }
func (a answer) Ping(context.Context) error                            { a.wait(); return a.err }
func (a answer) Sweep(context.Context) error                           { a.wait(); return a.err }
func (a answer) wait()                                                 { a.clock.at = a.clock.at.Add(a.after) }

func page(t *testing.T, m *metric.Meter) string {
	t.Helper()
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if rec.Code != http.StatusOK {
		t.Fatal(rec.Code)
	}
	return rec.Body.String()
}

func lines(t *testing.T, m *metric.Meter) []map[string]any {
	t.Helper()
	var b bytes.Buffer
	if err := m.Write(zerolog.New(&b)); err != nil {
		t.Fatal(err)
	}
	var out []map[string]any
	for l := range strings.Lines(b.String()) {
		var line map[string]any
		if err := json.Unmarshal([]byte(l), &line); err != nil {
			t.Fatal(err)
		}
		out = append(out, line)
	}
	return out
}

func want(t *testing.T, page string, series ...string) {
	t.Helper()
	for _, s := range series {
		if !strings.Contains(page, "\n"+s+"\n") {
			t.Errorf("no %s in\n%s", s, page)
		}
	}
}

// TestWhatIsRecordedIsCounted, and what is refused is not.
func TestWhatIsRecordedIsCounted(t *testing.T) {
	t.Parallel()
	ctx, c := context.Background(), &clock{time.Date(2026, 11, 1, 6, 0, 0, 0, time.UTC)}
	m := metric.New("v1", c.now)
	rec := m.Recorder(journal.NewRecorder(memstore.New(c.now).Backend().State, "v1", c.now))
	row := func(key, value string) store.Op { return store.Op{Kind: store.Insert, Key: key, Value: []byte(value)} }
	batch := func() error {
		return rec.Commit(ctx, "p", []journal.Entry{
			{Kind: journal.KindSignal, Subject: "key:a", Text: "x", Body: json.RawMessage(`{"time":"2026-11-01T05:59:10Z"}`)},
			{Kind: journal.KindReceipt, Subject: "key:a", Text: "x"},
		},
			row("outbox~1", `{"channel":"chat","state":"pending"}`), row("outbox~2", `{"channel":"chat","state":"poison"}`),
			row("saga~1", `{"plan":{"remedy":"rotate"},"phase":"follow"}`), row("plan~1", `{"plan":{"remedy":"rewire"},"rulings":[{"answer":"allow"},{"answer":"hold"},{"answer":"allow"}]}`),
			row("plan~2", `{"plan":{"remedy":"rewire"},"rulings":[{"answer":"hold"},{"answer":"refuse"},{"answer":"hold"}]}`),
			row("plan~3", `{"plan":{"remedy":"rewire"},"rulings":[]}`), row("signal", `not json`), row("outbox~3", `not json`))
	}
	if err := batch(); err != nil {
		t.Fatal(err)
	}
	if err := batch(); !fault.Is(err, fault.Conflict) { // the rows are there
		t.Fatal(err)
	}
	want(t, page(t, m),
		`cmkguard_journal_entries_total{kind="signal"} 1`, `cmkguard_journal_entries_total{kind="receipt"} 1`,
		`cmkguard_alert_deliveries_total{channel="chat",state="pending"} 1`, `cmkguard_alert_deliveries_total{channel="chat",state="poison"} 1`,
		`cmkguard_sagas_total{phase="follow",remedy="rotate"} 1`,
		`cmkguard_plans_total{remedy="rewire",ruling="hold"} 1`, `cmkguard_plans_total{remedy="rewire",ruling="refuse"} 1`, `cmkguard_plans_total{remedy="rewire",ruling="allow"} 1`,
		`cmkguard_signal_lateness_seconds_bucket{le="30"} 0`, `cmkguard_signal_lateness_seconds_bucket{le="60"} 1`, `cmkguard_build_info{version="v1"} 1`)
}

func TestSendsByWhatCameOfThem(t *testing.T) {
	t.Parallel()
	ctx, c := context.Background(), &clock{time.Date(2026, 11, 1, 6, 0, 0, 0, time.UTC)}
	m := metric.New("v1", c.now)
	rate := fault.New(fault.Transient, "t", "slow down")
	rate.Code = alert.CodeRate
	for _, o := range []error{
		nil, nil, rate, fault.New(fault.Transient, "t", "503"), fault.New(fault.Denied, "t", "401"), fault.New(fault.Invalid, "t", "400"), errors.New("reset"),
	} {
		a := alert.Alert{ID: "a", At: c.at}
		got, err := m.Channels(map[string]alert.Channel{"chat": answer{o, c, 3 * time.Second}})["chat"].Send(ctx, a)
		if !errors.Is(err, o) || got != "a" {
			t.Errorf("%q %v, want %v", got, err, o)
		}
	}
	text := page(t, m)
	want(t, text,
		`cmkguard_alert_sends_total{channel="chat",outcome="sent"} 2`, `cmkguard_alert_sends_total{channel="chat",outcome="rate"} 1`,
		`cmkguard_alert_sends_total{channel="chat",outcome="server"} 1`, `cmkguard_alert_sends_total{channel="chat",outcome="auth"} 1`,
		`cmkguard_alert_sends_total{channel="chat",outcome="payload"} 1`, `cmkguard_alert_sends_total{channel="chat",outcome="network"} 1`,
		`cmkguard_alert_delivery_seconds_count{channel="chat"} 2`, `cmkguard_alert_delivery_seconds_sum{channel="chat"} 6`)
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}

func TestSweepsAndTheirAge(t *testing.T) {
	t.Parallel()
	ctx, c := context.Background(), &clock{time.Date(2026, 11, 1, 6, 0, 0, 0, time.UTC)}
	m := metric.New("v1", c.now)
	want(t, page(t, m), "cmkguard_sweep_age_seconds -1")
	if err := m.Sweeper(answer{nil, c, time.Second}).Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	c.at = c.at.Add(time.Minute)
	bad := errors.New("storage is gone")
	if err := m.Sweeper(answer{bad, c, 0}).Sweep(ctx); !errors.Is(err, bad) {
		t.Fatal(err)
	}
	for _, o := range []error{nil, bad} {
		if err := m.Watcher(answer{o, c, 0}).Ping(ctx); !errors.Is(err, o) {
			t.Error(err)
		}
	}
	want(t, page(t, m), "cmkguard_sweep_age_seconds 60", `cmkguard_sweeps_total{outcome="ok"} 1`, `cmkguard_sweeps_total{outcome="failed"} 1`,
		`cmkguard_heartbeats_total{outcome="heard"} 1`, `cmkguard_heartbeats_total{outcome="network"} 1`, "cmkguard_sweep_seconds_count 2")
}

// TestLinesTellWhatGrew: each line what came since the one before, so that KQL can
// add them up over instances and restarts.
func TestLinesTellWhatGrew(t *testing.T) {
	t.Parallel()
	ctx, c := context.Background(), &clock{time.Date(2026, 11, 1, 6, 0, 0, 0, time.UTC)}
	m := metric.New("v1", c.now)
	send := func(took time.Duration, times int) {
		for range times {
			if _, err := m.Channels(map[string]alert.Channel{"chat": answer{nil, c, took}})["chat"].Send(ctx, alert.Alert{At: c.at}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := lines(t, m); len(got) != 0 {
		t.Errorf("nothing happened: %v", got)
	}
	send(300*time.Millisecond, 98)
	send(7*time.Second, 2)
	check := func(when string, value, count, p50, p99 float64) {
		t.Helper()
		got := lines(t, m)
		if len(got) != 2 {
			t.Fatalf("%s: %v", when, got)
		}
		h, s := got[0], got[1]
		if s["metric"] != "cmkguard_alert_sends_total" || s["value"] != value || s["channel"] != "chat" || s["outcome"] != "sent" || s["message"] != "metric" {
			t.Errorf("%s: %v", when, s)
		}
		if h["metric"] != "cmkguard_alert_delivery_seconds" || h["count"] != count || h["p50"] != p50 || h["p99"] != p99 {
			t.Errorf("%s: %v", when, h)
		}
	}
	check("a hundred", 100, 100, .5, 10)
	send(40*time.Millisecond, 3)
	check("three more", 3, 3, .1, .1)
	send(3*time.Hour, 1)
	check("beyond the last bound", 1, 1, 7200, 7200)
	if got := lines(t, m); len(got) != 0 {
		t.Errorf("nothing new: %v", got)
	}
}
