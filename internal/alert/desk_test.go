package alert_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cmkguard/internal/alert"
	"cmkguard/internal/fault"
	"cmkguard/internal/risk"
	"cmkguard/internal/store"
)

func decode[T any](t *testing.T, rows []store.Row) []T {
	t.Helper()
	out := make([]T, len(rows))
	for i, r := range rows {
		if err := json.Unmarshal(r.Value, &out[i]); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func contains(s, part string) bool { return strings.Contains(s, part) }

const p1, p2, p3 = "subject~1", "subject~2", "subject~3"

// five alerts fail in five partitions; what comes then is not even tried.
func TestTheBreakerSparesAChannelThatIsDownAndIsToldOnce(t *testing.T) {
	t.Parallel()
	k := newDesks(t, "pager", "chat")
	pager, chat := k.chans["pager"], k.chans["chat"]
	desk := alert.DeskPartition("pager")
	pager.fail = down()
	var parts []string
	for i := range 8 {
		part := fmt.Sprintf("subject~%d", i)
		a := of(fmt.Sprintf("a-%d", i), part, alert.Trigger)
		a.Severity = risk.Medium // nobody stands in
		k.put(part, a, alert.To("pager")...)
		k.tend(part)
		parts = append(parts, part)
	}
	if pager.calls != 5 {
		t.Fatalf("%d calls before the breaker opened, want 5", pager.calls)
	}
	k.tend(desk)
	told := chat.lives("cmkguard/SELF-101/" + desk)
	if !slices.Equal(told, []alert.Lifecycle{alert.Trigger}) || !contains(chat.got[0].Title, "pager") || !contains(chat.got[0].What, "5 sendings in a row failed (server)") {
		t.Fatalf("the others were told %+v", chat.got)
	}
	if !has(k.receipts(desk), "Channel for alerts cannot be reached: pager (SELF-101)") {
		t.Errorf("journal: %q", k.receipts(desk))
	}
	// A second process knows it too.
	k.d = k.boot()
	k.tend(parts...)
	if pager.calls != 5 {
		t.Error("another process calls it all the same")
	}
	// For an hour one probe at a time goes out, further and further apart.
	k.wait(time.Hour, 10*time.Second, append(parts, desk)...)
	if probes := pager.calls - 5; probes < 10 || probes > 40 {
		t.Errorf("%d probes in an hour", probes)
	}
	pager.fail = nil
	if left := k.wait(10*time.Minute, 10*time.Second, append(parts, desk)...); left != 0 || len(pager.got) != 8 {
		t.Errorf("%d left, %d arrived once it was back", left, len(pager.got))
	}
	if told = chat.lives("cmkguard/SELF-101/" + desk); !slices.Equal(told, []alert.Lifecycle{alert.Trigger, alert.Resolve}) {
		t.Errorf("the others were told %v", told)
	}
}

func TestOneProbeAtATime(t *testing.T) {
	t.Parallel()
	k := newDesks(t, "pager")
	pager := k.chans["pager"]
	pager.fail = fault.New(fault.Denied, "fake", "401")
	k.put(p1, of("a-1", "x", alert.Trigger), alert.To("pager")...)
	k.put(p2, of("a-2", "y", alert.Trigger), alert.To("pager")...)
	k.tend(p1, p2)
	if pager.calls != 1 {
		t.Fatalf("%d calls: refused credentials open the breaker at once", pager.calls)
	}
	k.clock = k.clock.Add(20 * time.Minute)
	// While the probe of one process is out, another one looks.
	second := k.boot()
	k.chans["pager"].fail = nil
	k.d = k.boot()
	slow := &probing{fake: pager, during: func() {
		if _, _, err := second.Dispatch(context.Background(), p2); err != nil {
			t.Error(err)
		}
		if len(pager.got) != 0 {
			t.Error("a second probe went out")
		}
	}}
	d := alert.NewDispatcher(k.state, recorder(k), map[string]alert.Channel{"pager": slow}, k.now, func() float64 { return 0 })
	if _, _, err := d.Dispatch(context.Background(), p1); err != nil {
		t.Fatal(err)
	}
	if left := k.tend(p1, p2); left != 0 || len(pager.got) != 2 {
		t.Errorf("%d left, %d arrived", left, len(pager.got))
	}
}

// probing does something while a sending is under way.
type probing struct {
	*fake
	during func()
}

func (p *probing) Send(ctx context.Context, a alert.Alert) (string, error) {
	p.during()
	return p.fake.Send(ctx, a)
}

func TestAStandInIsToldWhileAChannelIsDown(t *testing.T) {
	t.Parallel()
	k := newDesks(t, "pager", "chat", "mail")
	pager, chat, mail := k.chans["pager"], k.chans["chat"], k.chans["mail"]
	pager.fail = fault.New(fault.Denied, "fake", "the receiver answered 403 Forbidden")
	to := alert.Target{Channel: "pager", Fallback: []string{"chat"}}
	first := of("a-1", "x", alert.Trigger)
	first.Severity = risk.Low
	k.put(p1, first, to)
	k.tend(p1)
	if got := k.outbox(p1)["pager a-1"]; got.State != alert.Pending || !slices.Equal(got.StoodIn, []string{"chat"}) || got.Class != alert.ClassAuth {
		t.Fatalf("%+v", got)
	}
	if len(chat.got) != 1 || !has(chat.got[0].Notes, "you are told in the place of pager: it cannot be reached since 2026-09-20 10:00 UTC (auth)") {
		t.Fatalf("%+v", chat.got)
	}
	if r := k.receipts(p1); !has(r, "chat told in the place of pager, it cannot be reached since") || !has(r, "told chat in the place of pager: a-1") {
		t.Errorf("journal: %q", r)
	}
	// The end comes while it is still down; the stand-in knows of the problem.
	k.clock = k.clock.Add(time.Minute)
	k.put(p1, of("a-2", "x", alert.Resolve), to)
	k.tend(p1)
	// It comes back: its own copies arrive too, in their order.
	pager.fail = nil
	if left := k.wait(time.Hour, time.Minute, p1); left != 0 {
		t.Fatalf("%d left", left)
	}
	if diff := cmp.Diff([]string{"a-1", "a-2"}, pager.ids()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"a-1", "a-2"}, chat.ids()); diff != "" {
		t.Error(diff)
	}
	// The next episode is none of the stand-in's, nor was anything of another channel's.
	k.put(p1, of("a-3", "x", alert.Trigger), to)
	k.put(p1, of("a-4", "x", alert.Resolve), to)
	k.clock = k.clock.Add(time.Minute)
	if left := k.tend(p1); left != 0 || len(chat.got) != 2 || len(mail.got) != 0 || len(pager.got) != 4 {
		t.Errorf("%d left; chat %v, mail %v, pager %v", left, chat.ids(), mail.ids(), pager.ids())
	}
}

// The stand-in was told of the problem, the channel came back in between: the
// stand-in is told of the end all the same.
func TestWhoStoodInIsToldOfTheEndAfterTheChannelIsBack(t *testing.T) {
	t.Parallel()
	k := newDesks(t, "pager", "chat")
	k.chans["pager"].fail = fault.New(fault.Denied, "fake", "403")
	to := alert.Target{Channel: "pager", Fallback: []string{"chat"}}
	k.put(p1, of("a-1", "x", alert.Trigger), to)
	k.tend(p1)
	k.chans["pager"].fail = nil
	k.wait(time.Hour, time.Minute, p1)
	k.put(p1, of("a-2", "x", alert.Resolve), to)
	if left := k.tend(p1); left != 0 {
		t.Fatalf("%d left", left)
	}
	for _, name := range []string{"pager", "chat"} {
		if diff := cmp.Diff([]string{"a-1", "a-2"}, k.chans[name].ids()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestASevereAlertWithoutAFallbackGoesToEverybodyElse(t *testing.T) {
	t.Parallel()
	k := newDesks(t, "pager", "chat", "mail")
	k.chans["pager"].fail, k.chans["mail"].fail = fault.New(fault.Denied, "fake", "403"), fault.New(fault.Denied, "fake", "403")
	low := of("a-0", "w", alert.Trigger)
	low.Severity = risk.Medium
	k.put(p2, low, alert.To("mail")...)
	k.tend(p2) // mail is known to be down as well
	k.put(p1, of("a-1", "x", alert.Trigger), alert.To("pager")...)
	k.put(p1, low, alert.To("pager")...)
	k.tend(p1)
	if diff := cmp.Diff([]string{"a-1"}, k.chans["chat"].ids()); diff != "" {
		t.Error(diff)
	}
	if got := k.outbox(p1)["pager a-1"]; !slices.Equal(got.StoodIn, []string{"chat"}) {
		t.Errorf("stood in: %v", got.StoodIn)
	}
}

func TestWhatIsGivenUpGoesToAStandIn(t *testing.T) {
	t.Parallel()
	k := newDesks(t, "pager", "chat")
	k.chans["pager"].fail = fault.New(fault.Invalid, "fake", "the receiver answered 400 Bad Request")
	k.put(p1, of("a-1", "x", alert.Trigger), alert.To("pager")...)
	if left := k.tend(p1); left != 0 {
		t.Fatalf("%d left", left)
	}
	if got := k.outbox(p1)["pager a-1"]; got.State != alert.Poison || got.Class != alert.ClassPayload {
		t.Errorf("%+v", got)
	}
	if got := k.chans["chat"].got; len(got) != 1 || !has(got[0].Notes, "it was given up there (payload)") {
		t.Errorf("%+v", got)
	}
}

// A receiver that asks to be left alone is left alone by all partitions.
func TestRetryAfterHoldsForTheWholeChannel(t *testing.T) {
	t.Parallel()
	k := newDesks(t, "chat")
	chat := k.chans["chat"]
	slow := fault.New(fault.Transient, "fake", "429")
	slow.RetryAfter = 10 * time.Minute
	chat.fail = slow
	k.put(p1, of("a-1", "x", alert.Trigger), alert.To("chat")...)
	k.put(p2, of("a-2", "y", alert.Trigger), alert.To("chat")...)
	k.tend(p1, p2)
	chat.fail = nil
	k.d = k.boot()
	if left := k.wait(9*time.Minute, 30*time.Second, p1, p2); left != 2 || chat.calls != 1 {
		t.Fatalf("%d left, %d calls within the time that it asked for", left, chat.calls)
	}
	if got := k.outbox(p2)["chat a-2"]; got.Attempt != 0 {
		t.Errorf("waiting cost %d attempts", got.Attempt)
	}
	if left := k.wait(2*time.Minute, 30*time.Second, p1, p2); left != 0 {
		t.Errorf("%d left", left)
	}
}

func TestAChannelsRateIsKept(t *testing.T) {
	t.Parallel()
	k := newDesks(t, "chat")
	tokens := 2
	k.rules.Take = func(context.Context, string) time.Duration {
		if tokens == 0 {
			return 7 * time.Second
		}
		tokens--
		return 0
	}
	k.d = k.boot()
	for i := range 3 {
		k.put(p1, of(fmt.Sprintf("a-%d", i), fmt.Sprint(i), alert.Trigger), alert.To("chat")...)
	}
	left, next, err := k.d.Dispatch(context.Background(), p1)
	if err != nil || left != 1 || next.Sub(k.clock) != 7*time.Second || len(k.chans["chat"].got) != 2 {
		t.Fatalf("%d left, next in %s, %v", left, next.Sub(k.clock), err)
	}
	tokens = 1
	if left := k.wait(7*time.Second, 7*time.Second, p1); left != 0 {
		t.Errorf("%d left", left)
	}
	if n := k.outbox(p1); n["chat a-2"].Attempt != 1 {
		t.Error("waiting for its turn cost an attempt")
	}
}

// Every channel is down for an hour: afterwards everything has arrived, each once,
// in the order of each incident.
func TestAnHourWithoutAnyChannel(t *testing.T) {
	t.Parallel()
	k := newDesks(t, "pager", "chat", "mail")
	parts := []string{p1, p2, p3, alert.DeskPartition("pager"), alert.DeskPartition("chat"), alert.DeskPartition("mail")}
	for i, name := range []string{"pager", "chat", "mail"} {
		k.chans[name].fail = []error{down(), fault.New(fault.Unknown, "fake", "reset"), fault.New(fault.Denied, "fake", "401")}[i]
	}
	want := map[string][]string{}
	for i := range 60 {
		part := parts[i%3]
		a := of(fmt.Sprintf("a-%02d", i), part, []alert.Lifecycle{alert.Trigger, alert.Update, alert.Resolve}[i/3%3])
		k.put(part, a, alert.To("pager", "chat", "mail")...)
		want[part] = append(want[part], a.ID)
		k.wait(time.Minute, time.Minute, parts...)
	}
	for _, f := range k.chans {
		if len(f.got) > 0 {
			t.Fatalf("%s got something", f.name)
		}
		f.fail = nil
	}
	if left := k.wait(40*time.Minute, time.Minute, parts...); left != 0 {
		t.Fatalf("%d left", left)
	}
	for name, f := range k.chans {
		got := map[string][]string{}
		for _, a := range f.got {
			if a.Check == "CMK-050" {
				got[strings.TrimPrefix(a.DedupKey, "cmkguard/CMK-050/")] = append(got[strings.TrimPrefix(a.DedupKey, "cmkguard/CMK-050/")], a.ID)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestClasses(t *testing.T) {
	t.Parallel()
	coded := fault.New(fault.Transient, "x", "429")
	coded.Code = alert.CodeRate
	for want, err := range map[alert.Class]error{
		"": nil, alert.ClassAuth: fault.New(fault.Denied, "x", "401"), alert.ClassPayload: fault.New(fault.Invalid, "x", "400"),
		alert.ClassServer: fault.New(fault.Transient, "x", "503"), alert.ClassNetwork: context.DeadlineExceeded,
	} {
		if got := alert.ClassOf(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
	if got := alert.ClassOf(coded); got != alert.ClassRate {
		t.Errorf("%q", got)
	}
}

// A desk that cannot be read holds nobody up.
func TestADamagedDeskBeginsAfresh(t *testing.T) {
	t.Parallel()
	k := newDesks(t, "chat")
	if _, err := k.state.Apply(context.Background(), alert.DeskPartition("chat"), []store.Op{{Kind: store.Insert, Key: "desk", Value: []byte("{")}}); err != nil {
		t.Fatal(err)
	}
	k.put(p1, of("a-1", "x", alert.Trigger), alert.To("chat")...)
	if left := k.tend(p1); left != 0 {
		t.Errorf("%d left", left)
	}
}
