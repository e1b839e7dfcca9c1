package alert_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/alerttest"
	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

func TestSentOnceWithAReceipt(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.receiver(nil)
	b.connect(map[string]*receiver{"ops": r})
	b.put(alerttest.Sample("a-1", start()), "ops", "ops")
	for range 3 {
		if left, next := b.dispatch(); left != 0 || !next.IsZero() {
			t.Fatalf("%d left, next %s", left, next)
		}
	}
	if got := r.all(); len(got) != 1 || got[0].id != "a-1" {
		t.Fatalf("%+v", got)
	}
	if diff := cmp.Diff(alerttest.Sample("a-1", start()), r.all()[0].data); diff != "" {
		t.Error(diff)
	}
	ns, receipts := b.rows()
	if ns[0].State != alert.Sent || ns[0].ProviderID != "a-1" || ns[0].Attempt != 1 || !ns[0].SentAt.Equal(start()) {
		t.Errorf("%+v", ns[0])
	}
	if diff := cmp.Diff([]string{"told ops: Broken: the identity cannot unwrap (CMK-050): pay-cache"}, receipts); diff != "" {
		t.Error(diff)
	}
}

// The process dies, or storage does, after the receiver acted: the alert goes
// out again under the same id, and one receipt is written in the end.
func TestACrashBetweenSendAndCommitSendsAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.receiver(nil)
	b.connect(map[string]*receiver{"ops": r})
	b.put(alerttest.Sample("a-1", start()), "ops")
	b.state.fail = func(ops []store.Op) error {
		if strings.HasPrefix(ops[0].Key, "outbox~") {
			return fault.New(fault.Transient, "test", "storage is away")
		}
		return nil
	}
	left, next, err := b.d.Dispatch(context.Background(), part)
	if !fault.Is(err, fault.Transient) || left != 1 || !next.Equal(start()) {
		t.Fatalf("left %d, next %s, err %v", left, next, err)
	}
	b.state.fail = nil
	if left, _ := b.dispatch(); left != 0 {
		t.Fatalf("%d left", left)
	}
	got := r.all()
	if len(got) != 2 || got[0].id != got[1].id {
		t.Fatalf("%+v", got)
	}
	if _, receipts := b.rows(); len(receipts) != 1 {
		t.Errorf("receipts %q", receipts)
	}
}

// The process dies between the sending and the receipt, having claimed the delivery:
// nobody sends it while it may be alive, and then it goes out under the same id.
func TestADeadClaimantIsWaitedOut(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.receiver(nil)
	b.connect(map[string]*receiver{"ops": r})
	b.put(alerttest.Sample("a-1", start()), "ops")
	b.state.fail = func(ops []store.Op) error {
		if strings.Contains(string(ops[0].Value), `"state":"sent"`) {
			return fault.New(fault.Transient, "test", "killed")
		}
		return nil
	}
	if _, _, err := b.d.Dispatch(context.Background(), part); !fault.Is(err, fault.Transient) {
		t.Fatal(err)
	}
	b.state.fail = nil
	if left, next := b.dispatch(); left != 1 || len(r.all()) != 1 || !next.Equal(start().Add(30*time.Second)) {
		t.Fatalf("%d left, next %s, %d sent", left, next, len(r.all()))
	}
	b.clock = b.clock.Add(30 * time.Second)
	left, _ := b.dispatch()
	if got := r.all(); left != 0 || len(got) != 2 || got[0].id != got[1].id {
		t.Fatalf("%d left, %+v", left, got)
	}
	if _, receipts := b.rows(); len(receipts) != 1 {
		t.Errorf("receipts %q", receipts)
	}
}

func TestALostAnswerIsSentAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.receiver(func(n int, _ http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			panic(http.ErrAbortHandler) // it acted, and the line dropped
		}
	})
	b.connect(map[string]*receiver{"ops": r})
	b.put(alerttest.Sample("a-1", start()), "ops")
	left, next := b.dispatch()
	if want := start().Add(2500 * time.Millisecond); left != 1 || !next.Equal(want) {
		t.Fatalf("%d left, next %s, want %s", left, next, want)
	}
	if b.dispatch(); len(r.all()) != 1 {
		t.Fatal("sent before its time")
	}
	b.clock = next
	if left, _ := b.dispatch(); left != 0 {
		t.Fatalf("%d left", left)
	}
	if got := r.all(); len(got) != 2 || got[0].id != got[1].id {
		t.Errorf("%+v", got)
	}
}

func TestRetryAfterIsHonouredAndBounded(t *testing.T) {
	t.Parallel()
	for asked, want := range map[string]time.Duration{"90": 90 * time.Second, "1": 2500 * time.Millisecond, "86400": time.Hour} {
		b := newBench(t)
		r := b.receiver(func(n int, w http.ResponseWriter, _ *http.Request) {
			if n == 1 {
				w.Header().Set("Retry-After", asked)
				w.WriteHeader(http.StatusTooManyRequests)
			}
		})
		b.connect(map[string]*receiver{"ops": r})
		b.put(alerttest.Sample("a-1", start()), "ops")
		if _, next := b.dispatch(); next.Sub(start()) != want {
			t.Fatalf("Retry-After %s: next in %s, want %s", asked, next.Sub(start()), want)
		}
		b.clock = start().Add(want - time.Millisecond)
		if b.dispatch(); len(r.all()) != 1 {
			t.Errorf("Retry-After %s: sent too early", asked)
		}
		b.clock = start().Add(want)
		if left, _ := b.dispatch(); left != 0 || len(r.all()) != 2 {
			t.Errorf("Retry-After %s: %d left after %d requests", asked, left, len(r.all()))
		}
	}
}

func TestADeadChannelStandsInNobodysWay(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	dead := b.receiver(func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	alive := b.receiver(nil)
	b.connect(map[string]*receiver{"dead": dead, "alive": alive})
	for i := range 5 {
		a := alerttest.Sample(fmt.Sprintf("a-%d", i), start().Add(time.Duration(i)*time.Second))
		a.DedupKey = a.ID
		b.put(a, "dead", "alive")
	}
	if left, _ := b.dispatch(); left != 5 || len(alive.all()) != 5 {
		t.Fatalf("%d left, %d at the live channel", left, len(alive.all()))
	}
	if n := len(dead.all()); n != 1 {
		t.Errorf("%d calls to the dead channel, want one: each may cost a time-out", n)
	}
	ns, _ := b.rows()
	tried := 0
	for _, n := range ns {
		if n.Channel == "dead" {
			tried += n.Attempt
		}
	}
	if tried != 1 {
		t.Errorf("%d attempts counted, want 1: those that waited lost none", tried)
	}
}

func TestOneIncidentKeepsItsOrder(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.receiver(func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	b.connect(map[string]*receiver{"ops": r})
	// Ids are chosen so that rows do not sort by age.
	broken, fixed := alerttest.Sample("z", start()), alerttest.Sample("b", start().Add(time.Second))
	other := alerttest.Sample("c", start().Add(2*time.Second))
	fixed.Lifecycle, other.DedupKey = alert.Resolve, "cmkguard/other"
	b.put(fixed, "ops")
	b.put(other, "ops")
	b.put(broken, "ops")
	ids := func() (out []string) {
		for _, p := range r.all() {
			out = append(out, p.id)
		}
		return out
	}
	b.dispatch() // z fails, and the channel rests
	b.dispatch() // z waits, b waits for z, c is free
	if diff := cmp.Diff([]string{"z", "c"}, ids()); diff != "" {
		t.Fatal(diff)
	}
	b.clock = b.clock.Add(time.Minute)
	if left, _ := b.dispatch(); left != 0 {
		t.Fatalf("%d left", left)
	}
	if diff := cmp.Diff([]string{"z", "c", "z", "b"}, ids()); diff != "" {
		t.Error(diff)
	}
}

func TestGivenUp(t *testing.T) {
	t.Parallel()
	slow := fault.New(fault.Transient, "fake", "429")
	slow.Code = alert.CodeRate
	for class, c := range map[alert.Class]struct {
		fail     error
		tried    time.Duration // for how long, about
		attempts int           // at most: an open breaker spares the receiver
	}{
		alert.ClassPayload: {fault.New(fault.Invalid, "fake", "410"), 0, 1},
		alert.ClassAuth:    {fault.New(fault.Denied, "fake", "403"), 7 * 24 * time.Hour, 7*24*8 + 8},
		alert.ClassServer:  {down(), 24 * time.Hour, 24*24 + 8},
		alert.ClassRate:    {slow, 24 * time.Hour, 24*24 + 8},
		alert.ClassNetwork: {context.DeadlineExceeded, 24 * time.Hour, 24*24 + 8},
	} {
		t.Run(string(class), func(t *testing.T) {
			t.Parallel()
			k := newDesks(t, "ops")
			ops := k.chans["ops"]
			ops.fail = c.fail
			k.put(part, alerttest.Sample("a-1", start()), alert.To("ops")...)
			for left := 1; left > 0; {
				var next time.Time
				var err error
				if left, next, err = k.d.Dispatch(context.Background(), part); err != nil {
					t.Fatal(err)
				}
				if wait := next.Sub(k.clock); left > 0 && (wait < 2500*time.Millisecond || wait > 15*time.Minute) {
					t.Fatalf("waits %s", wait)
				}
				if left > 0 {
					k.clock = next
				}
			}
			if over := k.clock.Sub(start()) - c.tried; over < 0 || over > 20*time.Minute {
				t.Errorf("given up after %s", k.clock.Sub(start()))
			}
			n := k.outbox(part)["ops a-1"]
			if ops.calls > c.attempts || ops.calls < c.attempts/4 || n.State != alert.Poison || n.Class != class || !strings.Contains(c.fail.Error(), n.LastError) {
				t.Errorf("%d calls, %+v", ops.calls, n)
			}
			want := fmt.Sprintf("gave up telling ops after %d attempts (%s): ", ops.calls, class)
			if r := k.receipts(part); len(r) != 1 || !strings.HasPrefix(r[0], want) {
				t.Errorf("receipts %q", r)
			}
			k.clock = k.clock.Add(365 * 24 * time.Hour)
			if k.tend(part); len(k.outbox(part)) != 1 {
				t.Error("what was given up is gone: it can no longer be replayed")
			}
		})
	}
}

// A policy that is not in force, or a secret that is not set, takes a channel away
// for a while: what waits for it is not given up at once.
func TestAChannelThatIsNotConfiguredIsWaitedFor(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.receiver(nil)
	b.connect(map[string]*receiver{"ops": r})
	b.put(alerttest.Sample("a-1", start()), "gone", "ops")
	if left, _ := b.dispatch(); left != 1 || len(r.all()) != 1 {
		t.Fatalf("%d left, %d sent", left, len(r.all()))
	}
	ns, _ := b.rows()
	i := slices.IndexFunc(ns, func(n alert.Notification) bool { return n.Channel == "gone" })
	if ns[i].State != alert.Pending || ns[i].Class != alert.ClassAuth || !strings.Contains(ns[i].LastError, `channel "gone" is not configured`) {
		t.Errorf("%+v", ns[i])
	}
	back := b.receiver(nil)
	b.connect(map[string]*receiver{"ops": r, "gone": back})
	b.clock = b.clock.Add(time.Hour)
	if left, _ := b.dispatch(); left != 0 || len(back.all()) != 1 {
		t.Errorf("%d left, %d sent once it was back", left, len(back.all()))
	}
}

func TestSentRowsLeaveAfterAWeek(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.connect(map[string]*receiver{"ops": b.receiver(nil)})
	b.put(alerttest.Sample("a-1", start()), "ops")
	b.dispatch()
	b.clock = start().Add(7 * 24 * time.Hour)
	b.dispatch()
	if ns, _ := b.rows(); len(ns) != 1 {
		t.Errorf("%d rows after exactly a week", len(ns))
	}
	b.clock = b.clock.Add(time.Second)
	b.dispatch()
	if ns, receipts := b.rows(); len(ns) != 0 || len(receipts) != 1 {
		t.Errorf("%d rows, receipts %q: the row goes, the receipt stays", len(ns), receipts)
	}
}

func TestAnOutboxLongerThanAPageIsSentWhole(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.receiver(nil)
	b.connect(map[string]*receiver{"ops": r})
	const many = 1003
	for i := range many {
		a := alert.Alert{ID: fmt.Sprintf("a-%d", i), Title: "t"}
		b.put(a, "ops")
	}
	if left, _ := b.dispatch(); left != 0 || len(r.all()) != many {
		t.Errorf("%d left, %d sent", left, len(r.all()))
	}
}

func TestARowThatCannotBeReadHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.receiver(nil)
	b.connect(map[string]*receiver{"ops": r})
	b.put(alerttest.Sample("a-1", start()), "ops")
	bad := []store.Op{{Kind: store.Insert, Key: "outbox~bad", Value: []byte("{")}}
	if _, err := b.state.State.Apply(context.Background(), part, bad); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.d.Dispatch(context.Background(), part); err == nil || !strings.Contains(err.Error(), "outbox~bad") || len(r.all()) != 1 {
		t.Errorf("%v; %d sent", err, len(r.all()))
	}
}

func TestDirectNeedsNoStorage(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.receiver(nil)
	down := b.receiver(func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	b.connect(map[string]*receiver{"ops": r, "down": down})
	b.state.fail = func([]store.Op) error { return fault.New(fault.Denied, "test", "storage is away") }
	a := alerttest.Sample("a-1", time.Time{})
	errs := b.d.Direct(context.Background(), a, []string{"down", "ops", "none"})
	if len(errs) != 2 || !fault.Is(errs[0], fault.Transient) || !strings.Contains(errs[1].Error(), "none") {
		t.Errorf("%v", errs)
	}
	got := r.all()
	if len(got) != 1 || !got[0].data.Unrecorded || !got[0].data.At.Equal(start()) {
		t.Fatalf("%+v", got)
	}
	if a.Unrecorded {
		t.Error("the caller's alert was changed")
	}
}

func TestAnEndedCallSendsNothingMore(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.receiver(nil)
	b.connect(map[string]*receiver{"ops": r})
	b.put(alerttest.Sample("a-1", start()), "ops")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if left, _, _ := b.d.Dispatch(ctx, part); left != 1 || len(r.all()) != 0 {
		t.Errorf("%d left, %d sent", left, len(r.all()))
	}
	if ns, _ := b.rows(); ns[0].Attempt != 0 {
		t.Errorf("%+v", ns[0])
	}
}
