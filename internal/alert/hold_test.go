package alert_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cmkguard/internal/alert"
	"cmkguard/internal/fault"
	"cmkguard/internal/risk"
	"cmkguard/internal/store"
)

// holder holds what its function says.
type holder struct {
	hold  func(a alert.Alert, channel string) *alert.Hold
	fail  error
	marks []string
}

func (h *holder) Look(context.Context) (alert.Judge, error) { return h, h.fail }

func (h *holder) Hold(_ context.Context, a alert.Alert, channel string) (*alert.Hold, error) {
	if a.Lifecycle == alert.Resolve || h.hold == nil {
		return nil, nil
	}
	return h.hold(a, channel), nil
}

func (h *holder) Mark(_ context.Context, hold alert.Hold, n alert.Notification) error {
	h.marks = append(h.marks, hold.ID+" "+n.Alert.ID)
	return nil
}

// held is a bench whose holder holds everything below critical until it is told not to.
func held(t *testing.T, names ...string) (*desks, *holder) {
	k := newDesks(t, names...)
	h := &holder{hold: func(a alert.Alert, _ string) *alert.Hold {
		if a.Severity == risk.Critical {
			return nil
		}
		return &alert.Hold{Kind: alert.HoldSilence, ID: "s-1", Why: "silence s-1 of anna (change 7)"}
	}}
	k.rules.Holds = h
	k.d = k.boot()
	return k, h
}

func TestWhatIsHeldIsToldWhenTheHoldEnds(t *testing.T) {
	t.Parallel()
	k, h := held(t, "chat")
	k.put(p1, of("a-1", "x", alert.Trigger), alert.To("chat")...)
	if left := k.wait(3*time.Hour, time.Minute, p1); left != 1 || len(k.chans["chat"].got) != 0 {
		t.Fatalf("%d left, %v told", left, k.chans["chat"].ids())
	}
	n := k.outbox(p1)["chat a-1"]
	if n.State != alert.Pending || n.Held == nil || n.Held.ID != "s-1" || !n.Held.Since.Equal(start().Add(time.Minute)) || n.Attempt != 0 {
		t.Fatalf("%+v", n)
	}
	if r := k.receipts(p1); len(r) != 1 || r[0] != "held for chat by silence s-1 of anna (change 7): a-1" {
		t.Errorf("it is written down once: %q", r)
	}
	if !slices.Equal(h.marks, []string{"s-1 a-1"}) {
		t.Errorf("%v", h.marks)
	}
	h.hold = nil
	if left := k.wait(2*time.Minute, time.Minute, p1); left != 0 {
		t.Fatalf("%d left", left)
	}
	got := k.chans["chat"].got
	if len(got) != 1 || !has(got[0].Notes, "held back for 3 hours, because of silence s-1 of anna (change 7)") {
		t.Errorf("%+v", got)
	}
}

// What is looked at again does not call for a message of its own each time.
func TestWhatIsHeldWaitsForTheSweep(t *testing.T) {
	t.Parallel()
	k, h := held(t, "chat")
	k.put(p1, of("a-1", "x", alert.Trigger), alert.To("chat")...)
	if left, next, err := k.d.Dispatch(context.Background(), p1); err != nil || left != 1 || next.Sub(k.clock) <= time.Minute {
		t.Errorf("%d left, next in %s, %v", left, next.Sub(k.clock), err)
	}
	soon := k.clock.Add(20 * time.Second)
	h.hold = func(alert.Alert, string) *alert.Hold {
		return &alert.Hold{Kind: alert.HoldMute, ID: "night", Until: &soon}
	}
	if _, next, _ := k.d.Dispatch(context.Background(), p1); !next.Equal(soon) {
		t.Errorf("next %s, want when the window ends", next)
	}
}

func TestWhatHealsWhileItIsHeldIsToldToNobody(t *testing.T) {
	t.Parallel()
	k, _ := held(t, "chat")
	k.put(p1, of("a-1", "x", alert.Trigger), alert.To("chat")...)
	k.put(p1, of("a-2", "x", alert.Update), alert.To("chat")...)
	k.wait(5*time.Minute, time.Minute, p1)
	k.put(p1, of("a-3", "x", alert.Resolve), alert.To("chat")...)
	if left := k.wait(5*time.Minute, time.Minute, p1); left != 0 || len(k.chans["chat"].got) != 0 {
		t.Fatalf("%d left, told %v", left, k.chans["chat"].ids())
	}
	for id, n := range k.outbox(p1) {
		if n.State != alert.Dropped || n.OverAt == nil {
			t.Errorf("%s: %+v", id, n)
		}
	}
	for _, id := range []string{"a-1", "a-2", "a-3"} {
		if !has(k.receipts(p1), "told chat nothing: it healed while it was held: "+id) {
			t.Errorf("%s has no receipt: %q", id, k.receipts(p1))
		}
	}
	// The next one is a problem like any other, and rows of the past leave.
	a := of("a-4", "x", alert.Trigger)
	a.Severity = risk.Critical
	k.put(p1, a, alert.To("chat")...)
	k.wait(8*24*time.Hour, 24*time.Hour, p1)
	if !slices.Equal(k.chans["chat"].ids(), []string{"a-4"}) || len(k.outbox(p1)) != 1 {
		t.Errorf("told %v, rows %v", k.chans["chat"].ids(), k.outbox(p1))
	}
}

func TestWhatGetsWorseIsToldAndTheRestYields(t *testing.T) {
	t.Parallel()
	k, _ := held(t, "chat")
	k.put(p1, of("a-1", "x", alert.Trigger), alert.To("chat")...)
	k.tend(p1)
	k.clock = k.clock.Add(time.Minute)
	worse := of("a-2", "x", alert.Update)
	worse.Severity = risk.Critical
	k.put(p1, worse, alert.To("chat")...)
	if left := k.wait(2*time.Minute, time.Minute, p1); left != 0 || !slices.Equal(k.chans["chat"].ids(), []string{"a-2"}) {
		t.Fatalf("%d left, told %v", left, k.chans["chat"].ids())
	}
	if n := k.outbox(p1)["chat a-1"]; n.State != alert.Folded || n.Into != "a-2" {
		t.Errorf("%+v", n)
	}
	if !has(k.receipts(p1), "folded for chat into the later message a-2: a-1") {
		t.Errorf("%q", k.receipts(p1))
	}
	// The end goes out though the silence still holds: it is known.
	k.put(p1, of("a-3", "x", alert.Resolve), alert.To("chat")...)
	if left := k.wait(2*time.Minute, time.Minute, p1); left != 0 || !slices.Equal(k.chans["chat"].ids(), []string{"a-2", "a-3"}) {
		t.Fatalf("%d left, told %v", left, k.chans["chat"].ids())
	}
}

func TestTheEndOfWhatWasToldIsTold(t *testing.T) {
	t.Parallel()
	k, h := held(t, "chat")
	silence := h.hold
	h.hold = nil
	k.put(p1, of("a-1", "x", alert.Trigger), alert.To("chat")...)
	k.tend(p1)
	h.hold = silence
	k.clock = k.clock.Add(time.Minute)
	k.put(p1, of("a-2", "x", alert.Update), alert.To("chat")...)
	k.wait(2*time.Minute, time.Minute, p1)
	k.put(p1, of("a-3", "x", alert.Resolve), alert.To("chat")...)
	k.clock = k.clock.Add(time.Second)
	k.put(p1, of("a-4", "x", alert.Trigger), alert.To("chat")...) // and it comes again
	if left := k.wait(2*time.Minute, time.Minute, p1); left != 1 || !slices.Equal(k.chans["chat"].ids(), []string{"a-1", "a-3"}) {
		t.Errorf("%d left, told %v", left, k.chans["chat"].ids())
	}
}

// A process was killed after it had sent and before its receipt: nobody knows that
// somebody knows. The end is told then.
func TestWhatMayHaveBeenToldIsNotDropped(t *testing.T) {
	t.Parallel()
	k, h := held(t, "chat")
	silence := h.hold
	h.hold = nil
	k.put(p1, of("a-1", "x", alert.Trigger), alert.To("chat")...)
	k.state.fail = func(ops []store.Op) error {
		if slices.ContainsFunc(ops, func(o store.Op) bool { return o.Kind == store.Replace && contains(o.Key, "outbox~") }) {
			return fault.New(fault.Transient, "test", "killed")
		}
		return nil
	}
	if _, _, err := k.d.Dispatch(context.Background(), p1); err == nil || len(k.chans["chat"].got) != 1 {
		t.Fatal("it was not sent, or had a receipt")
	}
	k.state.fail, h.hold = nil, silence
	k.put(p1, of("a-2", "x", alert.Resolve), alert.To("chat")...)
	if left := k.wait(5*time.Minute, time.Minute, p1); left != 0 || !slices.Equal(k.chans["chat"].ids(), []string{"a-1", "a-2"}) {
		t.Errorf("%d left, told %v", left, k.chans["chat"].ids())
	}
}

// Whoever is killed after the later message was sent leaves what yielded to it: it is
// folded, not told after it.
func TestWhatYieldedIsNeverToldAfterwards(t *testing.T) {
	t.Parallel()
	k, h := held(t, "chat")
	k.put(p1, of("a-1", "x", alert.Trigger), alert.To("chat")...)
	k.put(p1, of("a-2", "x", alert.Update), alert.To("chat")...)
	k.tend(p1)
	k.clock = k.clock.Add(time.Minute)
	worse := of("a-3", "x", alert.Update)
	worse.Severity = risk.Critical
	k.put(p1, worse, alert.To("chat")...)
	folds := 0
	k.state.fail = func(ops []store.Op) error {
		for _, o := range ops {
			if contains(string(o.Value), `"state":"folded"`) {
				folds++
				return fault.New(fault.Transient, "test", "killed")
			}
		}
		return nil
	}
	for range 3 {
		_, _, _ = k.d.Dispatch(context.Background(), p1)
	}
	h.hold, k.state.fail = nil, nil // the silence ends, and another process goes on
	k.d = k.boot()
	if left := k.wait(2*time.Minute, time.Minute, p1); left != 0 || folds == 0 || !slices.Equal(k.chans["chat"].ids(), []string{"a-3"}) {
		t.Errorf("%d left, %d folds failed, told %v", left, folds, k.chans["chat"].ids())
	}
}

func TestNoticesOfOneKindAreEachTold(t *testing.T) {
	t.Parallel()
	k, h := held(t, "chat")
	for _, id := range []string{"a-1", "a-2", "a-3"} {
		a := of(id, "claim", alert.Notice)
		a.Check = ""
		k.put(p1, a, alert.To("chat")...)
		k.wait(time.Minute, time.Minute, p1)
	}
	h.hold = nil
	if left := k.wait(2*time.Minute, time.Minute, p1); left != 0 || !slices.Equal(k.chans["chat"].ids(), []string{"a-1", "a-2", "a-3"}) {
		t.Errorf("%d left, told %v", left, k.chans["chat"].ids())
	}
}

// That something could not be told is no news once it can be told again.
func TestWhatCouldNotBeToldYieldsToWhatCan(t *testing.T) {
	t.Parallel()
	for last, want := range map[alert.Lifecycle][]string{alert.Trigger: {"a-2"}, alert.Resolve: {}} {
		k, h := held(t, "chat")
		k.put(p1, of("a-1", "x", alert.Notice), alert.To("chat")...)
		k.wait(time.Minute, time.Minute, p1)
		k.put(p1, of("a-2", "x", last), alert.To("chat")...)
		k.wait(time.Minute, time.Minute, p1)
		h.hold = nil
		if left := k.wait(2*time.Minute, time.Minute, p1); left != 0 || !slices.Equal(k.chans["chat"].ids(), want) {
			t.Errorf("%s: %d left, told %v", last, left, k.chans["chat"].ids())
		}
	}
}

// An incident that comes and goes is told once it is quiet, in its last state.
func TestWhatComesAndGoesIsToldWhenItSettles(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lives []alert.Lifecycle // after it was told as flapping
		told  []string
	}{
		"healed":       {[]alert.Lifecycle{alert.Resolve, alert.Trigger, alert.Resolve}, []string{"a-0", "a-3"}},
		"broken":       {[]alert.Lifecycle{alert.Resolve, alert.Trigger}, []string{"a-0", "a-2"}},
		"broken, told": {[]alert.Lifecycle{alert.Trigger, alert.Resolve}, []string{"a-0", "a-2"}}, // flapping was told while it was well
	} {
		k := newDesks(t, "chat")
		first := of("a-0", "x", alert.Update)
		k.put(p1, first, alert.To("chat")...)
		k.tend(p1)
		for i, life := range c.lives {
			k.clock = k.clock.Add(5 * time.Minute)
			a := of([]string{"a-1", "a-2", "a-3"}[i], "x", life)
			settles := k.clock.Add(30 * time.Minute)
			a.Settles = &settles
			k.put(p1, a, alert.To("chat")...)
			k.tend(p1)
		}
		if left := k.wait(29*time.Minute, time.Minute, p1); left != len(c.lives) || len(k.chans["chat"].got) != 1 {
			t.Errorf("%s: %d left, told %v", name, left, k.chans["chat"].ids())
		}
		if left := k.wait(3*time.Minute, time.Minute, p1); left != 0 {
			t.Errorf("%s: %d left", name, left)
		}
		if diff := cmp.Diff(c.told, k.chans["chat"].ids()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// Where nobody can say what is silenced, people are told: noise is better than
// silence.
func TestAHolderThatFailsHoldsNothing(t *testing.T) {
	t.Parallel()
	k, h := held(t, "chat")
	h.fail = errors.New("silences cannot be read")
	k.put(p1, of("a-1", "x", alert.Trigger), alert.To("chat")...)
	if _, _, err := k.d.Dispatch(context.Background(), p1); err == nil || len(k.chans["chat"].got) != 1 {
		t.Errorf("told %v, %v", k.chans["chat"].ids(), err)
	}
}

// Longer than a batch: all of it is dropped, and nothing is told in between.
func TestALongRunIsDroppedWhole(t *testing.T) {
	t.Parallel()
	k, _ := held(t, "chat")
	for i := range 130 {
		a := of("a-"+string(rune('A'+i/26))+string(rune('a'+i%26)), "x", alert.Update)
		if i == 0 {
			a.Lifecycle = alert.Trigger
		}
		k.clock = k.clock.Add(time.Second)
		k.put(p1, a, alert.To("chat")...)
	}
	k.clock = k.clock.Add(time.Second)
	k.put(p1, of("b", "x", alert.Resolve), alert.To("chat")...)
	if left := k.wait(20*time.Minute, time.Minute, p1); left != 0 || len(k.chans["chat"].got) != 0 {
		t.Errorf("%d left, told %v", left, k.chans["chat"].ids())
	}
}
