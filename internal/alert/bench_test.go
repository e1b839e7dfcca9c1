package alert_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/webhook"
	"cmkguard/internal/fault"
	"cmkguard/internal/journal"
	"cmkguard/internal/store"
	"cmkguard/internal/store/memstore"
)

const part = "subject~1"

func start() time.Time { return time.Date(2026, 9, 20, 10, 0, 0, 0, time.UTC) }

// bench is a dispatcher over a real store and real HTTP receivers, with a clock
// that the test moves.
type bench struct {
	t     *testing.T
	clock time.Time
	state *flaky
	d     *alert.Dispatcher
}

func (b *bench) now() time.Time { return b.clock }

// flaky passes everything on, and fails Apply as told.
type flaky struct {
	store.State
	fail   func(ops []store.Op) error
	refuse func(partition string) bool // writes to it
}

func (f *flaky) Apply(ctx context.Context, p string, ops []store.Op) ([]string, error) {
	if f.refuse != nil && f.refuse(p) {
		return nil, fault.New(fault.Transient, "flaky.Apply", "%s cannot be written", p)
	}
	if f.fail != nil {
		if err := f.fail(ops); err != nil {
			return nil, err
		}
	}
	return f.State.Apply(ctx, p, ops)
}

// post is one request that a receiver got.
type post struct {
	id   string
	at   time.Time
	data alert.Alert
}

// receiver is a webhook receiver; answer may be nil for 202.
type receiver struct {
	url string
	mu  sync.Mutex
	got []post
}

func (r *receiver) all() []post {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

func (b *bench) receiver(answer func(n int, w http.ResponseWriter, r *http.Request)) *receiver {
	b.t.Helper()
	out := &receiver{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var ev struct{ Data alert.Alert }
		if err := json.NewDecoder(r.Body).Decode(&ev); err != nil {
			b.t.Error(err)
		}
		out.mu.Lock()
		out.got = append(out.got, post{r.Header.Get("webhook-id"), b.clock, ev.Data})
		n := len(out.got)
		out.mu.Unlock()
		if answer != nil {
			answer(n, w, r)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	b.t.Cleanup(srv.Close)
	out.url = srv.URL
	return out
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, clock: start()}
	b.state = &flaky{State: memstore.New(b.now)}
	return b
}

// connect makes the dispatcher, with a webhook channel per receiver.
func (b *bench) connect(receivers map[string]*receiver) {
	b.t.Helper()
	channels := map[string]alert.Channel{}
	for name, r := range receivers {
		c, err := webhook.New(r.url, base64.StdEncoding.EncodeToString(make([]byte, 24)), b.now)
		if err != nil {
			b.t.Fatal(err)
		}
		channels[name] = c
	}
	b.d = alert.NewDispatcher(b.state, journal.NewRecorder(b.state, "test", b.now), channels, b.now, func() float64 { return 0 })
}

func (b *bench) put(a alert.Alert, channels ...string) {
	b.t.Helper()
	if _, err := b.state.State.Apply(context.Background(), part, alert.Rows(alert.Notifications(a, alert.To(channels...), b.clock))); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) dispatch() (int, time.Time) {
	b.t.Helper()
	left, next, err := b.d.Dispatch(context.Background(), part)
	if err != nil {
		b.t.Fatal(err)
	}
	return left, next
}

// rows returns the outbox and the texts of the receipts.
func (b *bench) rows() (ns []alert.Notification, receipts []string) {
	b.t.Helper()
	rows, err := b.state.Scan(context.Background(), part, "", "", 10000)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, r := range rows {
		switch {
		case strings.HasPrefix(r.Key, "outbox~"):
			var n alert.Notification
			if err := json.Unmarshal(r.Value, &n); err != nil {
				b.t.Fatal(err)
			}
			ns = append(ns, n)
		case strings.HasPrefix(r.Key, "entry~"):
			var e journal.Entry
			if err := json.Unmarshal(r.Value, &e); err != nil {
				b.t.Fatal(err)
			}
			if e.Kind != journal.KindReceipt || e.Ref == "" {
				b.t.Errorf("entry %+v", e)
			}
			receipts = append(receipts, e.Text)
		}
	}
	return ns, receipts
}
