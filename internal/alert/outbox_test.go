package alert_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/fault"
	"cmkguard/internal/journal"
	"cmkguard/internal/risk"
	"cmkguard/internal/store"
	"cmkguard/internal/store/memstore"
)

var ctx = context.Background()

// channel answers with the next of its errors, then nil.
type channel struct {
	errs []error
	sent []string
}

func (c *channel) Send(_ context.Context, a alert.Alert) (string, error) {
	c.sent = append(c.sent, a.ID)
	if len(c.errs) == 0 {
		return "p-" + a.ID, nil
	}
	err := c.errs[0]
	c.errs = c.errs[1:]
	return "", err
}

type kit struct {
	now time.Time
	b   store.Backend
	rec alert.Recorder
	ch  map[string]alert.Channel
}

func newKit(channels map[string]alert.Channel) *kit {
	k := &kit{now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), ch: channels}
	k.b = memstore.New(k.clock).Backend()
	k.rec = journal.NewRecorder(k.b.State, "test", k.clock)
	return k
}

func (k *kit) clock() time.Time { return k.now }

func (k *kit) put(t *testing.T, channels ...string) {
	t.Helper()
	a := alert.Alert{ID: "a1", DedupKey: "d", Title: "Broken", Severity: risk.High, Subject: "key:k"}
	if err := k.rec.Commit(ctx, "p", nil, alert.Rows(alert.Notifications(a, channels, k.now))...); err != nil {
		t.Fatal(err)
	}
}

func (k *kit) dispatch() (int, time.Time, error) {
	return alert.NewDispatcher(k.b.State, k.rec, k.ch, k.clock, func() float64 { return 0 }).Dispatch(ctx, "p")
}

func (k *kit) receipts(t *testing.T) int {
	t.Helper()
	rows, err := k.b.State.Scan(ctx, "p", "entry~", "entry~~", 100)
	if err != nil {
		t.Fatal(err)
	}
	return len(rows)
}

func TestDeliveredOnceWithAReceipt(t *testing.T) {
	t.Parallel()
	c := &channel{}
	k := newKit(map[string]alert.Channel{"ops": c})
	k.put(t, "ops")
	for range 3 {
		if left, _, err := k.dispatch(); err != nil || left != 0 {
			t.Fatal(left, err)
		}
	}
	if len(c.sent) != 1 || k.receipts(t) != 1 {
		t.Fatalf("sent %d times, %d receipts", len(c.sent), k.receipts(t))
	}
}

func TestRetryAfterIsHonouredAndBackOffGrows(t *testing.T) {
	t.Parallel()
	slow := fault.New(fault.Transient, "t", "429")
	slow.RetryAfter = 10 * time.Minute
	c := &channel{errs: []error{slow, fault.New(fault.Unknown, "t", "cut"), fault.New(fault.Unknown, "t", "cut")}}
	k := newKit(map[string]alert.Channel{"ops": c})
	k.put(t, "ops")
	var waits []time.Duration
	for range 3 {
		left, next, err := k.dispatch()
		if err != nil || left != 1 {
			t.Fatal(left, err)
		}
		waits = append(waits, next.Sub(k.now))
		k.now = next.Add(-time.Second)
		if before := len(c.sent); before != len(waits) {
			t.Fatal("sent out of turn")
		}
		if _, _, err := k.dispatch(); err != nil || len(c.sent) != len(waits) {
			t.Fatal("sent before it was due")
		}
		k.now = next
	}
	if waits[0] != 10*time.Minute || waits[1] != 5*time.Second || waits[2] != 10*time.Second {
		t.Fatal(waits)
	}
	if left, _, err := k.dispatch(); err != nil || left != 0 {
		t.Fatal(left, err)
	}
}

func TestOneChannelDownDoesNotBlockTheOther(t *testing.T) {
	t.Parallel()
	bad, good := &channel{errs: []error{fault.New(fault.Denied, "t", "401")}}, &channel{}
	k := newKit(map[string]alert.Channel{"bad": bad, "good": good})
	k.put(t, "bad", "good", "not-configured")
	if left, _, err := k.dispatch(); err != nil || left != 0 {
		t.Fatal(left, err)
	}
	if len(good.sent) != 1 || k.receipts(t) != 3 {
		t.Fatalf("%d sent, %d receipts: what was given up is recorded too", len(good.sent), k.receipts(t))
	}
}

func TestGivesUpAfterTwelve(t *testing.T) {
	t.Parallel()
	c := &channel{}
	for range 20 {
		c.errs = append(c.errs, fault.New(fault.Transient, "t", "503"))
	}
	k := newKit(map[string]alert.Channel{"ops": c})
	k.put(t, "ops")
	for range 30 {
		_, next, err := k.dispatch()
		if err != nil {
			t.Fatal(err)
		}
		if next.After(k.now) {
			k.now = next
		}
	}
	if len(c.sent) != 12 || k.receipts(t) != 1 {
		t.Fatalf("%d tries, %d entries", len(c.sent), k.receipts(t))
	}
}

// refusing fails the commit of a receipt: the process died after sending.
type refusing struct{}

func (refusing) Commit(context.Context, string, []journal.Entry, ...store.Op) error {
	return fmt.Errorf("killed")
}

func TestACrashBetweenSendingAndReceiptSendsAgain(t *testing.T) {
	t.Parallel()
	c := &channel{}
	k := newKit(map[string]alert.Channel{"ops": c})
	k.put(t, "ops")
	rec := k.rec
	k.rec = refusing{}
	if _, _, err := k.dispatch(); err == nil {
		t.Fatal("an unrecorded delivery must be an error")
	}
	k.rec = rec
	if _, _, err := k.dispatch(); err != nil || len(c.sent) != 2 || c.sent[0] != c.sent[1] {
		t.Fatalf("%v %v: at least once, under the same id", c.sent, err)
	}
}

func TestDirectNeedsNoStoreAndSaysSo(t *testing.T) {
	t.Parallel()
	var got alert.Alert
	d := alert.NewDispatcher(nil, nil, map[string]alert.Channel{"ops": keep{&got}}, time.Now, nil)
	if err := errors.Join(d.Direct(ctx, alert.Alert{ID: "a"}, []string{"ops"})...); err != nil || !got.Unrecorded {
		t.Fatal(err, got)
	}
}

type keep struct{ a *alert.Alert }

func (k keep) Send(_ context.Context, a alert.Alert) (string, error) { *k.a = a; return "", nil }

func TestRender(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 1, 3, 0, 0, 0, time.UTC)
	by := now.Add(50 * time.Hour)
	text := alert.Render(alert.Alert{
		Severity: risk.Critical, Title: "Broken: key\x1b[31m\nINFO all is well", What: "w", Breaks: "offline", By: &by, Drill: true,
		Impact: []alert.Impact{{Name: "cache", Owner: "team"}}, Done: []string{"held"}, Next: []string{"do this"}, Since: now, Subject: "key:k", Ref: "r",
	}, now)
	want := `[DRILL] CRITICAL Broken: key [31m INFO all is well
  what:     w
  breaks:   offline
  by:       2026-11-03 05:00 UTC (2 days left)
  hits:     cache, owner team
  we:       held
  you:      do this
  since:    2026-11-01 03:00 UTC
  subject:  key:k
  ref:      r
`
	if text != want {
		t.Fatalf("got:\n%s\nwant:\n%s", text, want)
	}
}
