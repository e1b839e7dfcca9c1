package alert_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/fault"
	"cmkguard/internal/risk"
)

// grouped is a bench whose chat is told by vault, after half a minute and then every
// five minutes.
func grouped(t *testing.T, names ...string) *desks {
	k := newDesks(t, names...)
	k.rules.Group = func(a alert.Alert, channel string) (alert.Group, bool) {
		return alert.Group{Key: "vault=" + a.Vault, Name: "vault " + a.Vault, Wait: 30 * time.Second, Every: 5 * time.Minute}, channel == "chat" && a.Vault != ""
	}
	k.d = k.boot()
	return k
}

// inVault is an alert of an incident about the vault, and part its partition.
func inVault(n int, life alert.Lifecycle, severity risk.Severity) (part string, a alert.Alert) {
	part = fmt.Sprintf("cluster~%04d", n)
	a = of(fmt.Sprintf("%s-%d", life, n), part, life)
	a.Vault, a.Severity, a.Title = "kv-a", severity, fmt.Sprintf("problem %d", n)
	a.Impact = []alert.Impact{{Cluster: fmt.Sprintf("/subscriptions/s/c-%d", n), Name: fmt.Sprintf("c-%d", n)}}
	return part, a
}

// tell puts alerts about the vault and dispatches their partitions once, as a work
// item would.
func (k *desks) tell(n int, life alert.Lifecycle, severity risk.Severity, channels ...string) string {
	k.t.Helper()
	part, a := inVault(n, life, severity)
	a.ID += fmt.Sprintf("@%d", k.clock.Sub(start())/time.Second)
	k.put(part, a, alert.To(channels...)...)
	k.tend(part)
	return part
}

func TestWhatIsGroupedIsToldTogether(t *testing.T) {
	t.Parallel()
	k := grouped(t, "chat")
	parts := []string{k.tell(1, alert.Trigger, risk.Medium, "chat")}
	k.clock = k.clock.Add(10 * time.Second)
	parts = append(parts, k.tell(2, alert.Trigger, risk.High, "chat"), k.tell(3, alert.Trigger, risk.Low, "chat"))
	chat := k.chans["chat"]
	if left := k.wait(19*time.Second, time.Second, parts...); left != 3 || len(chat.got) != 0 {
		t.Fatalf("%d left, told %v before its time", left, chat.ids())
	}
	if left := k.wait(time.Second, time.Second, parts...); left != 0 || len(chat.got) != 1 {
		t.Fatalf("%d left, told %v half a minute after the first", left, chat.ids())
	}
	d := chat.got[0]
	if d.Title != "3 alerts about vault kv-a: 1 high, 1 medium, 1 low" || d.Severity != risk.High || d.Lifecycle != alert.Trigger || d.Vault != "kv-a" || len(d.Impact) != 3 {
		t.Errorf("%+v", d)
	}
	if got := titles(d); !slices.Equal(got, []string{"problem 2", "problem 1", "problem 3"}) {
		t.Errorf("the worst first: %v", got)
	}
	for i, part := range parts {
		for id, n := range k.outbox(part) {
			if n.State != alert.Folded || n.Into != d.ID || n.OverAt == nil {
				t.Errorf("%s: %+v", id, n)
			}
		}
		want := fmt.Sprintf("folded for chat into the digest %s: problem %d", d.ID, i+1)
		if r := k.receipts(part); len(r) != 2 || !strings.HasPrefix(r[0], "held for chat to be told with others, as part of the group vault kv-a: ") || r[1] != want {
			t.Errorf("%q, want %q", r, want)
		}
	}
	if r := k.receipts(alert.GatherPartition("chat")); len(r) != 2 || r[1] != "told chat, for 3 alerts: "+d.Title {
		t.Errorf("%q", r)
	}
}

func titles(a alert.Alert) (out []string) {
	for _, m := range a.Members {
		out = append(out, m.Title)
	}
	return out
}

// A group of one is that alert, as it is; and the next message comes an interval later.
func TestAGroupOfOneIsThatAlert(t *testing.T) {
	t.Parallel()
	k := grouped(t, "chat")
	one := k.tell(1, alert.Trigger, risk.High, "chat")
	k.wait(30*time.Second, time.Second, one)
	chat := k.chans["chat"]
	if len(chat.got) != 1 || chat.got[0].Title != "problem 1" || len(chat.got[0].Notes)+len(chat.got[0].Members) > 0 {
		t.Fatalf("%+v", chat.got)
	}
	two, three := k.tell(2, alert.Trigger, risk.High, "chat"), k.tell(3, alert.Trigger, risk.High, "chat")
	if left := k.wait(299*time.Second, time.Second, two, three); left != 2 || len(chat.got) != 1 {
		t.Fatalf("%d left, %v before the interval is over", left, chat.ids())
	}
	if k.wait(time.Second, time.Second, two, three); len(chat.got) != 2 || len(chat.got[1].Members) != 2 {
		t.Fatalf("%+v", chat.got)
	}
	if chat.got[1].DedupKey == chat.got[0].DedupKey {
		t.Error("a digest is no message about one of its members")
	}
}

func TestWhatIsCriticalDoesNotWait(t *testing.T) {
	t.Parallel()
	k := grouped(t, "chat")
	one := k.tell(1, alert.Trigger, risk.High, "chat")
	k.clock = k.clock.Add(10 * time.Second)
	two := k.tell(2, alert.Trigger, risk.Critical, "chat")
	chat := k.chans["chat"]
	if len(chat.got) != 1 || chat.got[0].Title != "problem 2" {
		t.Fatalf("%v", chat.ids())
	}
	// What waits gives way to the same problem when that gets worse.
	k.tell(1, alert.Update, risk.Critical, "chat")
	if len(chat.got) != 2 || chat.got[1].Lifecycle != alert.Update {
		t.Fatalf("%v", chat.ids())
	}
	if left := k.wait(2*time.Minute, time.Second, one, two); left != 0 || len(chat.got) != 2 {
		t.Fatalf("%d left, %v", left, chat.ids())
	}
	for id, n := range k.outbox(one) {
		if n.Alert.Lifecycle == alert.Trigger && (n.State != alert.Folded || n.Into != chat.got[1].ID) {
			t.Errorf("%s: %+v", id, n)
		}
	}
}

// What healed while it waited for others is told to nobody; what heals after it was told
// is told.
func TestWhatHealsInAGroupIsToldToNobody(t *testing.T) {
	t.Parallel()
	k := grouped(t, "chat")
	one, two := k.tell(1, alert.Trigger, risk.High, "chat"), k.tell(2, alert.Trigger, risk.High, "chat")
	three := k.tell(3, alert.Trigger, risk.High, "chat")
	k.clock = k.clock.Add(10 * time.Second)
	k.tell(1, alert.Resolve, risk.High, "chat")
	if left := k.wait(3*time.Minute, time.Second, one, two, three); left != 0 {
		t.Fatalf("%d left", left)
	}
	chat := k.chans["chat"]
	if len(chat.got) != 1 || !slices.Equal(titles(chat.got[0]), []string{"problem 2", "problem 3"}) {
		t.Fatalf("%+v", chat.got)
	}
	for id, n := range k.outbox(one) {
		if n.State != alert.Dropped {
			t.Errorf("%s: %+v", id, n)
		}
	}
	k.tell(2, alert.Resolve, risk.High, "chat")
	k.tell(3, alert.Resolve, risk.High, "chat")
	k.wait(6*time.Minute, time.Second, one, two, three)
	if len(chat.got) != 2 || chat.got[1].Lifecycle != alert.Resolve || chat.got[1].Title != "2 alerts about vault kv-a: 2 over" {
		t.Errorf("%+v", chat.got[1:])
	}
}

func TestADigestStandsForSoMany(t *testing.T) {
	t.Parallel()
	k := grouped(t, "chat")
	var parts []string
	for n := range 60 {
		parts = append(parts, k.tell(n, alert.Trigger, risk.High, "chat"))
	}
	k.clock = k.clock.Add(31 * time.Second)
	if left := k.tend(parts...); left != 0 {
		t.Fatalf("%d left", left)
	}
	chat := k.chans["chat"]
	if len(chat.got) != 2 || len(chat.got[0].Members) != 20 || chat.got[0].MoreMembers != 30 || len(chat.got[1].Members) != 10 {
		t.Fatalf("%d, %+v", len(chat.got), chat.got)
	}
}

// A digest that its receiver does not take gives its members back.
func TestADigestThatIsGivenUpGivesItsMembersBack(t *testing.T) {
	t.Parallel()
	k := grouped(t, "chat")
	one, two := k.tell(1, alert.Trigger, risk.High, "chat"), k.tell(2, alert.Trigger, risk.High, "chat")
	chat := k.chans["chat"]
	chat.refuse = func(a alert.Alert) error {
		if len(a.Members) > 0 {
			return fault.New(fault.Invalid, "fake", "400 too many blocks")
		}
		return nil
	}
	if left := k.wait(3*time.Minute, time.Second, one, two); left != 0 {
		t.Fatalf("%d left", left)
	}
	if len(chat.got) != 2 || chat.got[0].Title != "problem 1" || chat.got[1].Title != "problem 2" {
		t.Fatalf("%+v", chat.got)
	}
	for id, n := range k.outbox(alert.GatherPartition("chat")) {
		if n.State != alert.Dropped || n.OverAt == nil {
			t.Errorf("%s: nothing is left for people to replay: %+v", id, n)
		}
	}
	if rows, err := k.state.Scan(context.Background(), alert.GivenUp, "", "", 10); err != nil || len(rows) > 0 {
		t.Errorf("%v, %v", rows, err)
	}
}

// Noise is better than silence.
func TestAGroupThatCannotBeWrittenKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	k := grouped(t, "chat")
	k.state.refuse = func(partition string) bool { return alert.Gathers(partition) }
	part, a := inVault(1, alert.Trigger, risk.High)
	k.put(part, a, alert.To("chat")...)
	chat := k.chans["chat"]
	for range 100 {
		k.clock = k.clock.Add(time.Second)
		_, _, _ = k.d.Dispatch(context.Background(), part)
	}
	if len(chat.got) != 1 || chat.got[0].Title != "problem 1" {
		t.Fatalf("%v", chat.ids())
	}
}

// While the channel is down, who stands in is told of each, and of each end; when it is
// back, the digest arrives.
func TestWhatWaitsForADigestHasItsStandIns(t *testing.T) {
	t.Parallel()
	k := grouped(t, "chat", "pager")
	k.chans["chat"].fail = down()
	one, two := k.tell(1, alert.Trigger, risk.High, "chat"), k.tell(2, alert.Trigger, risk.High, "chat")
	parts := []string{one, two, alert.GatherPartition("chat"), alert.DeskPartition("chat")}
	k.wait(20*time.Minute, 10*time.Second, parts...)
	stood := k.chans["pager"].got
	stood = slices.DeleteFunc(stood, func(a alert.Alert) bool { return a.Check == alert.CheckChannel })
	if len(stood) != 2 || !has(stood[0].Notes, "you are told in the place of chat") || len(stood[0].Members) > 0 {
		t.Fatalf("%+v", stood)
	}
	k.chans["chat"].fail = nil
	if left := k.wait(10*time.Minute, 10*time.Second, parts...); left != 0 {
		t.Fatalf("%d left", left)
	}
	if got := k.chans["chat"].got; len(got) != 1 || len(got[0].Members) != 2 {
		t.Fatalf("%+v", got)
	}
	k.tell(1, alert.Resolve, risk.High, "chat")
	k.tell(2, alert.Resolve, risk.High, "chat")
	k.wait(6*time.Minute, 10*time.Second, parts...)
	if got := k.chans["chat"].got; len(got) != 2 || got[1].Lifecycle != alert.Resolve || len(got[1].Members) != 2 {
		t.Errorf("%+v", got)
	}
	for n := 1; n <= 2; n++ {
		_, a := inVault(n, alert.Resolve, risk.High)
		if got := k.chans["pager"].lives(a.DedupKey); !slices.Equal(got, []alert.Lifecycle{alert.Trigger, alert.Resolve}) {
			t.Errorf("who stood in is told of the end: %v", got)
		}
	}
}

func TestSomeAreNeverToldWithOthers(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*alert.Alert){
		"a test":              func(a *alert.Alert) { a.Test = true },
		"an exercise":         func(a *alert.Alert) { a.Drill = true },
		"unrecorded":          func(a *alert.Alert) { a.Unrecorded = true },
		"critical":            func(a *alert.Alert) { a.Severity = risk.Critical },
		"of unknown severity": func(a *alert.Alert) { a.Severity = "terrible" },
		"of no group":         func(a *alert.Alert) { a.Vault = "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := grouped(t, "chat")
			part, a := inVault(1, alert.Trigger, risk.High)
			change(&a)
			k.put(part, a, alert.To("chat")...)
			if left := k.tend(part); left != 0 || len(k.chans["chat"].got) != 1 {
				t.Errorf("%d left, %v", left, k.chans["chat"].ids())
			}
		})
	}
}

// A silence that comes while an alert waits for others keeps it from the digest.
func TestWhatIsSilencedMeanwhileLeavesItsGroup(t *testing.T) {
	t.Parallel()
	k := grouped(t, "chat")
	h := &holder{}
	k.rules.Holds = h
	k.d = k.boot()
	parts := []string{k.tell(1, alert.Trigger, risk.High, "chat"), k.tell(2, alert.Trigger, risk.High, "chat"), k.tell(3, alert.Trigger, risk.High, "chat")}
	k.clock = k.clock.Add(10 * time.Second)
	h.hold = func(a alert.Alert, _ string) *alert.Hold {
		if a.Title != "problem 1" {
			return nil
		}
		return &alert.Hold{Kind: alert.HoldSilence, ID: "s-1", Why: "silence s-1"}
	}
	k.tend(parts...)
	k.clock = k.clock.Add(time.Minute)
	k.tend(parts...)
	chat := k.chans["chat"]
	if len(chat.got) != 1 || !slices.Equal(titles(chat.got[0]), []string{"problem 2", "problem 3"}) {
		t.Fatalf("%+v", chat.got)
	}
	h.hold = nil
	k.wait(2*time.Minute, time.Minute, parts...)
	if len(chat.got) != 2 || chat.got[1].Title != "problem 1" || len(chat.got[1].Notes) != 1 {
		t.Errorf("%+v", chat.got)
	}
}

// Rows leave in the end.
func TestWhatWasToldTogetherIsForgotten(t *testing.T) {
	t.Parallel()
	k := grouped(t, "chat")
	for round := range 3 {
		one, two := k.tell(round*2, alert.Trigger, risk.High, "chat"), k.tell(round*2+1, alert.Trigger, risk.High, "chat")
		k.wait(40*time.Second, 10*time.Second, one, two, alert.GatherPartition("chat"))
		k.clock = k.clock.Add(25 * time.Hour)
	}
	k.clock = k.clock.Add(48 * time.Hour)
	k.tend(alert.GatherPartition("chat"))
	k.tend(alert.GatherPartition("chat"))
	for _, prefix := range []string{"member~", "stream~", "outbox~"} {
		rows, err := k.state.Scan(context.Background(), alert.GatherPartition("chat"), prefix, prefix+"~", 100)
		if err != nil || len(rows) > 0 {
			t.Errorf("%s: %d rows, %v", prefix, len(rows), err)
		}
	}
}
