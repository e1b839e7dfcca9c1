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
	"cmkguard/internal/store"
)

// stormy is a bench whose chat and pager tell a storm as one; the pager keeps incidents.
func stormy(t *testing.T, names ...string) *desks {
	k := newDesks(t, names...)
	k.rules.Storm = func(channel string) alert.Storm {
		if channel != "chat" && channel != "pager" {
			return alert.Storm{}
		}
		return alert.Storm{More: 20, Within: 10 * time.Minute, Keeps: channel == "pager"}
	}
	k.d = k.boot()
	return k
}

// split parts what a channel got into what was told alone and the messages about several.
func (f *fake) split() (single, several []alert.Alert) {
	for _, a := range f.got {
		if strings.HasPrefix(a.DedupKey, "cmkguard/storm~") || strings.HasPrefix(a.DedupKey, "cmkguard/group~") {
			several = append(several, a)
		} else {
			single = append(single, a)
		}
	}
	return single, several
}

func TestAStormIsToldAsOne(t *testing.T) {
	t.Parallel()
	k := stormy(t, "chat", "mail")
	var parts []string
	for n := range 60 {
		severity := risk.High
		if n >= 30 {
			severity = risk.Medium
		}
		if n%2 == 1 {
			severity = risk.Critical
		}
		parts = append(parts, k.tell(n, alert.Trigger, severity, "chat", "mail"))
	}
	chat, mail := k.chans["chat"], k.chans["mail"]
	if len(chat.got) != 20 || len(mail.got) != 60 {
		t.Fatalf("%d and %d: what one channel has is no other's business", len(chat.got), len(mail.got))
	}
	k.wait(6*time.Second, time.Second, parts...)
	_, storm := chat.split()
	if len(storm) != 1 || len(storm[0].Members) != 20 || storm[0].MoreMembers != 0 || storm[0].Severity != risk.Critical || storm[0].Title != "A storm of critical alerts: 20 critical" {
		t.Fatalf("the critical ones are told within seconds, by name: %+v", storm)
	}
	if left := k.wait(30*time.Second, time.Second, parts...); left != 0 {
		t.Fatalf("%d left", left)
	}
	_, storm = chat.split()
	if len(storm) != 2 || storm[1].Title != "A storm: 5 high, 15 medium" || storm[1].DedupKey == storm[0].DedupKey ||
		!strings.Contains(storm[1].What, "more than 20 messages came within 10 minutes") || !strings.Contains(storm[1].What, "By vault: kv-a 20") {
		t.Fatalf("%+v", storm)
	}
	for n := range 60 {
		told := 0
		for _, a := range chat.got {
			if a.Title == title(n) || slices.Contains(titles(a), title(n)) {
				told++
			}
		}
		if told != 1 {
			t.Errorf("problem %d was told %d times", n, told)
		}
	}
}

func title(n int) string { return fmt.Sprintf("problem %d", n) }

// While it lasts what is new is told at an interval; when it was quiet, alerts are alone
// again.
func TestAStormGoesOnAndIsOver(t *testing.T) {
	t.Parallel()
	k := stormy(t, "chat")
	var parts []string
	for n := range 30 {
		parts = append(parts, k.tell(n, alert.Trigger, risk.High, "chat"))
	}
	k.wait(time.Minute, 5*time.Second, parts...)
	for n := range 3 {
		parts = append(parts, k.tell(100+n, alert.Trigger, risk.High, "chat"))
	}
	k.wait(4*time.Minute, 10*time.Second, parts...)
	chat := k.chans["chat"]
	if _, storm := chat.split(); len(storm) != 1 {
		t.Fatalf("%+v", storm)
	}
	k.wait(time.Minute, 5*time.Second, parts...)
	_, storm := chat.split()
	if len(storm) != 2 || storm[1].Title != "The storm goes on: 3 high; 13 alerts in all" || storm[1].DedupKey != storm[0].DedupKey {
		t.Fatalf("%+v", storm)
	}
	k.clock = k.clock.Add(10 * time.Minute)
	k.tell(200, alert.Trigger, risk.High, "chat")
	if last := chat.got[len(chat.got)-1]; last.Title != "problem 200" {
		t.Errorf("%+v", last)
	}
}

// At a receiver that keeps incidents the summary is one, which ends with those that it
// stands for; what had come by itself ends by itself.
func TestAStormEndsAtAReceiverThatKeepsIncidents(t *testing.T) {
	t.Parallel()
	k := stormy(t, "pager")
	var parts []string
	for n := range 30 {
		severity := risk.High
		if n >= 28 {
			severity = risk.Critical
		}
		parts = append(parts, k.tell(n, alert.Trigger, severity, "pager"))
	}
	k.wait(time.Minute, 5*time.Second, parts...)
	pager := k.chans["pager"]
	single, storm := pager.split()
	if len(single) != 20 || len(storm) != 2 || storm[0].Lifecycle != alert.Trigger || storm[1].Lifecycle != alert.Trigger {
		t.Fatalf("%d alone, %+v", len(single), storm)
	}
	critical, rest := storm[0].DedupKey, storm[1].DedupKey
	k.clock = k.clock.Add(8 * 24 * time.Hour) // rows of the time before would be gone
	for n := range 27 {
		k.tell(n, alert.Resolve, risk.High, "pager")
	}
	k.tell(28, alert.Resolve, risk.Critical, "pager")
	k.wait(6*time.Minute, 10*time.Second, append(parts, alert.GatherPartition("pager"))...)
	if single, _ = pager.split(); len(single) != 40 {
		t.Fatalf("%d were told alone, with their ends: what came by itself ends by itself", len(single))
	}
	if got := pager.lives(rest); got[len(got)-1] == alert.Resolve {
		t.Fatalf("one is open still: %v", got)
	}
	// One gets worse: it is told with what is critical, and ends in both.
	k.tell(27, alert.Update, risk.Critical, "pager")
	k.wait(20*time.Second, time.Second, parts...)
	if got := pager.lives(critical); got[len(got)-1] != alert.Update {
		t.Fatalf("%v", got)
	}
	k.tell(29, alert.Resolve, risk.Critical, "pager")
	k.tell(27, alert.Resolve, risk.Critical, "pager")
	if left := k.wait(6*time.Minute, 10*time.Second, append(parts, alert.GatherPartition("pager"))...); left != 0 {
		t.Fatalf("%d left", left)
	}
	for _, key := range []string{critical, rest} {
		if got := pager.lives(key); got[len(got)-1] != alert.Resolve || got[len(got)-2] == alert.Resolve {
			t.Errorf("%s: %v", key, got)
		}
	}
	ended := func(a alert.Alert) bool {
		return a.DedupKey == rest && a.Title == "Fixed: A storm: all that was told of it is over, 8 alerts"
	}
	if !slices.ContainsFunc(pager.got, ended) {
		t.Error("the end does not say of how many")
	}
	k.tell(27, alert.Trigger, risk.High, "pager") // of another day: a problem like any other
	if last := pager.got[len(pager.got)-1]; last.Title != "problem 27" {
		t.Errorf("%+v", last)
	}
}

// What waited for a channel that was down is told as one when it is back.
func TestWhatWaitedForAChannelIsAStorm(t *testing.T) {
	t.Parallel()
	k := stormy(t, "chat")
	k.chans["chat"].fail = down()
	var parts []string
	for n := range 60 {
		parts = append(parts, k.tell(n, alert.Trigger, risk.High, "chat"))
	}
	parts = append(parts, alert.GatherPartition("chat"))
	k.wait(5*time.Minute, 10*time.Second, parts...)
	k.chans["chat"].fail = nil
	if left := k.wait(20*time.Minute, 10*time.Second, parts...); left != 0 {
		t.Fatalf("%d left", left)
	}
	single, storm := k.chans["chat"].split()
	stands := 0
	for _, a := range storm {
		stands += len(a.Members) + a.MoreMembers
	}
	if len(single) > 10 || len(single)+stands != 60 {
		t.Errorf("%d alone, %d together", len(single), stands)
	}
}

// What the receiver has by its own key is told by that, storm or not; and a success
// calls nobody.
func TestWhatAReceiverKeepsIsToldByItsKey(t *testing.T) {
	t.Parallel()
	k := stormy(t, "pager")
	for n := range 30 {
		k.tell(n, alert.Trigger, risk.High, "pager")
	}
	pager := k.chans["pager"]
	k.clock = k.clock.Add(time.Second)
	k.tell(0, alert.Update, risk.High, "pager")
	k.tell(1, alert.Resolve, risk.High, "pager")
	k.tell(100, alert.Notice, risk.Info, "pager")
	if got := pager.got[20:]; len(got) != 3 || got[0].Title != "problem 0" || got[1].Title != "problem 1" || got[2].Title != "problem 100" {
		t.Errorf("%+v", got)
	}
}

// What may have been told, though no receipt says so, is told again by itself, under its
// own id.
func TestWhatMayHaveBeenToldIsNoPartOfAStorm(t *testing.T) {
	t.Parallel()
	k := stormy(t, "pager")
	part, a := inVault(99, alert.Trigger, risk.High)
	k.put(part, a, alert.To("pager")...)
	k.state.fail = func(ops []store.Op) error {
		if slices.ContainsFunc(ops, func(o store.Op) bool { return strings.Contains(string(o.Value), `"state":"sent"`) }) {
			return fault.New(fault.Transient, "flaky", "no receipt")
		}
		return nil
	}
	if _, _, err := k.d.Dispatch(context.Background(), part); err == nil {
		t.Fatal("it has a receipt")
	}
	k.state.fail = nil
	for n := range 30 {
		k.tell(n, alert.Trigger, risk.High, "pager")
	}
	k.clock = k.clock.Add(time.Minute)
	k.tend(part)
	if got := k.chans["pager"].ids(); got[0] != a.ID || got[len(got)-1] != a.ID || k.outbox(part)["pager "+a.ID].State != alert.Sent {
		t.Errorf("%v", got)
	}
}

// What comes and ends in one moment has ended: by when its alerts were made, and not by
// when they were announced.
func TestWhatEndsInTheMomentInWhichItCame(t *testing.T) {
	t.Parallel()
	k := stormy(t, "pager")
	var parts []string
	for n := range 21 {
		parts = append(parts, k.tell(n, alert.Trigger, risk.High, "pager"))
	}
	k.clock = k.clock.Add(31 * time.Second) // the last of them is due, and takes along what comes now
	for n := 50; n < 58; n++ {
		part, a := inVault(n, alert.Trigger, risk.High)
		k.put(part, a, alert.To("pager")...)
		if _, _, err := k.d.Dispatch(context.Background(), part); err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part)
	}
	k.tend(parts...)
	for n := 50; n < 58; n++ {
		k.tell(n, alert.Resolve, risk.High, "pager")
	}
	k.wait(6*time.Minute, 10*time.Second, parts...)
	k.tell(20, alert.Resolve, risk.High, "pager")
	k.wait(6*time.Minute, 10*time.Second, parts...)
	_, storm := k.chans["pager"].split()
	if last := storm[len(storm)-1]; len(storm) != 3 || len(storm[0].Members) != 9 || last.Lifecycle != alert.Resolve {
		t.Errorf("%+v", storm)
	}
}
