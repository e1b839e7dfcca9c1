package alert_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cmkguard/internal/alert"
	"cmkguard/internal/journal"
	"cmkguard/internal/risk"
	"cmkguard/internal/store"
)

// errKilled is what a killed process panics with.
type errKilled struct{}

// killer kills a process at its n-th write or sending, and lets nothing of it through
// afterwards.
type killer struct {
	calls  []string
	at     int // from 1; 0: live
	landed bool
	dead   bool
}

func (k *killer) call(name string, do func()) {
	if k.dead {
		panic(errKilled{})
	}
	k.calls = append(k.calls, name)
	if len(k.calls) != k.at {
		do()
		return
	}
	if k.dead = true; k.landed {
		do()
	}
	panic(errKilled{})
}

type killState struct {
	store.State
	k *killer
}

func (s killState) Apply(ctx context.Context, p string, ops []store.Op) (etags []string, err error) {
	s.k.call("write", func() { etags, err = s.State.Apply(ctx, p, ops) })
	return etags, err
}

type killChannel struct {
	*fake
	k *killer
}

func (c killChannel) Send(ctx context.Context, a alert.Alert) (id string, err error) {
	c.k.call("send "+c.name, func() { id, err = c.fake.Send(ctx, a) })
	return id, err
}

// bootKilled is a process whose every write and sending goes through the killer.
func (k *desks) bootKilled(kill *killer) *alert.Dispatcher {
	channels := map[string]alert.Channel{}
	for name, f := range k.chans {
		channels[name] = killChannel{f, kill}
	}
	state := killState{k.state, kill}
	return alert.NewDispatcher(state, journal.NewRecorder(state, "test", k.now), channels, k.now, func() float64 { return 0 }).Under(k.rules)
}

// life dispatches every partition as long as the process lives.
func (k *desks) life(d *alert.Dispatcher, partitions ...string) (alive bool) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(errKilled); !ok {
				panic(r)
			}
		}
	}()
	for range 4 {
		for _, p := range partitions {
			if _, _, err := d.Dispatch(context.Background(), p); err != nil {
				k.t.Fatal(err)
			}
		}
	}
	return true
}

// hourDown is the story in which the process is killed once: both channels are down
// for an hour, in which two incidents open, change and end, and the pager has a
// stand-in.
func hourDown(t *testing.T, kill *killer) *desks {
	k := newDesks(t, "pager", "chat")
	parts := []string{p1, p2, alert.DeskPartition("pager"), alert.DeskPartition("chat")}
	d := k.bootKilled(kill)
	for minute := 0; minute <= 130; minute += 5 {
		to := []alert.Target{{Channel: "pager", Fallback: []string{"chat"}}, {Channel: "chat"}}
		put := func(part, id string, life alert.Lifecycle) {
			a := of(id, part, life)
			a.At = k.clock
			k.put(part, a, to...)
		}
		switch minute {
		case 0:
			put(p1, "a-1", alert.Trigger)
		case 5:
			k.chans["pager"].fail, k.chans["chat"].fail = down(), down()
			put(p2, "b-1", alert.Trigger)
		case 20:
			put(p1, "a-2", alert.Update)
			put(p2, "b-2", alert.Resolve)
		case 30:
			put(p1, "a-3", alert.Resolve)
		case 40:
			put(p2, "b-3", alert.Trigger)
		case 65:
			k.chans["pager"].fail, k.chans["chat"].fail = nil, nil
		}
		if !k.life(d, parts...) {
			d = k.boot()
			k.life(d, parts...)
		}
		k.clock = k.clock.Add(5 * time.Minute)
	}
	return k
}

// delivered checks what each channel got of the wanted alerts: all of them, in the
// order of each incident, and only doubled where the kill allows it.
func delivered(k *desks, want map[string][]string, doubles int) (problems []string) {
	for name, f := range k.chans {
		first := map[string][]string{}
		seen := map[string]int{}
		for _, a := range f.got {
			if a.Check != "CMK-050" {
				continue
			}
			incident := strings.TrimPrefix(a.DedupKey, "cmkguard/CMK-050/")
			if seen[a.ID]++; seen[a.ID] == 1 {
				first[incident] = append(first[incident], a.ID)
			}
		}
		for incident, ids := range want {
			if !slices.Equal(first[incident], ids) {
				problems = append(problems, fmt.Sprintf("%s, %s: told %v, want %v", name, incident, first[incident], ids))
			}
		}
		for id, n := range seen {
			doubles -= n - 1
			if doubles < 0 {
				problems = append(problems, fmt.Sprintf("%s: %s was told %d times", name, id, n))
			}
		}
	}
	return problems
}

// sparse is the step between the points that are tried: quick, or each where
// CMKGUARD_CRASH=all asks for it.
func sparse(quick int) int {
	if os.Getenv("CMKGUARD_CRASH") == "all" {
		return 1
	}
	return quick
}

func hourWants() map[string][]string {
	return map[string][]string{p1: {"a-1", "a-2", "a-3"}, p2: {"b-1", "b-2", "b-3"}}
}

// TestKilledBetweenIncidentAndReceipt kills the process at every write to the store and
// every sending of the story, with and without effect; another process goes on.
// CMKGUARD_CRASH=all tries every point, otherwise every third.
func TestKilledBetweenIncidentAndReceipt(t *testing.T) {
	t.Parallel()
	clean := &killer{}
	if problems := delivered(hourDown(t, clean), hourWants(), 0); len(problems) > 0 {
		t.Fatalf("undisturbed: %v", problems)
	}
	every := sparse(3)
	sends, tried := 0, 0
	for at := 1; at <= len(clean.calls); at += every {
		for _, landed := range []bool{false, true} {
			tried++
			name := clean.calls[at-1]
			if strings.HasPrefix(name, "send") {
				sends++
			}
			// A receipt is lost with the write behind a sending, so any write may be one.
			k := hourDown(t, &killer{at: at, landed: landed})
			for _, problem := range delivered(k, hourWants(), 1) {
				t.Errorf("killed at %d, %s, landed %v: %s", at, name, landed, problem)
			}
		}
	}
	t.Logf("%d writes and sendings, %d crash points tried, %d of them at a sending", len(clean.calls), tried, sends)
}

// Whatever goes up and down, whoever is killed when, and what is silenced meanwhile:
// in the end each alert was told, folded or dropped, never given up; no end comes
// before its beginning; and the same alert comes twice only under the same id.
func TestWhateverHappensEveryAlertIsAccountedFor(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		k, h := held(t, "pager", "chat")
		silence := h.hold
		h.hold = nil
		parts := []string{p1, p2, alert.DeskPartition("pager"), alert.DeskPartition("chat")}
		open, n, kills := map[string]bool{}, 0, 0
		kill := &killer{at: rapid.IntRange(0, 40).Draw(r, "kill")}
		d := k.bootKilled(kill)
		for range rapid.IntRange(1, 25).Draw(r, "steps") {
			switch rapid.IntRange(0, 4).Draw(r, "what") {
			case 0, 1:
				part := rapid.SampledFrom([]string{p1, p2}).Draw(r, "incident")
				life := alert.Trigger
				if open[part] {
					life = rapid.SampledFrom([]alert.Lifecycle{alert.Update, alert.Resolve}).Draw(r, "life")
				}
				open[part] = life != alert.Resolve
				n++
				a := of(fmt.Sprintf("a-%02d", n), part, life)
				a.Severity = rapid.SampledFrom([]risk.Severity{risk.Critical, risk.High, risk.Medium}).Draw(r, "severity")
				k.put(part, a, alert.Target{Channel: "pager", Fallback: []string{"chat"}}, alert.Target{Channel: "chat"})
			case 2:
				f := k.chans[rapid.SampledFrom([]string{"pager", "chat"}).Draw(r, "channel")]
				if f.fail == nil {
					f.fail = down()
				} else {
					f.fail = nil
				}
			case 3:
				if h.hold == nil {
					h.hold = silence
				} else {
					h.hold = nil
				}
			case 4:
				k.clock = k.clock.Add(time.Duration(rapid.IntRange(1, 30).Draw(r, "minutes")) * time.Minute)
			}
			if !k.life(d, parts...) {
				kills++
				kill = &killer{at: rapid.IntRange(0, 60).Draw(r, "next kill"), landed: rapid.Bool().Draw(r, "landed")}
				d = k.bootKilled(kill)
			}
			k.clock = k.clock.Add(time.Minute)
		}
		h.hold = nil
		k.chans["pager"].fail, k.chans["chat"].fail = nil, nil
		d = k.boot()
		for range 30 {
			k.life(d, parts...)
			k.clock = k.clock.Add(time.Minute)
		}
		k.accounted(r, n, kills)
	})
}

// accounted checks the end of a random story.
func (k *desks) accounted(r *rapid.T, n, kills int) {
	doubles := 0
	for _, part := range []string{p1, p2} {
		for id, row := range k.outbox(part) {
			f := k.chans[row.Channel]
			told := 0
			for _, a := range f.got {
				if a.ID == row.Alert.ID {
					told++
				}
			}
			switch row.State {
			case alert.Sent:
				if told == 0 {
					r.Fatalf("%s has a receipt and never arrived", id)
				}
				doubles += told - 1
			case alert.Folded:
				if !slices.ContainsFunc(f.got, func(a alert.Alert) bool { return a.ID == row.Into }) {
					r.Fatalf("%s is folded into %s, which never arrived", id, row.Into)
				}
			case alert.Dropped:
				if told > 0 {
					r.Fatalf("%s was told and is dropped as if nobody knew", id)
				}
			default:
				r.Fatalf("%s is %s in the end (%s)", id, row.State, row.LastError)
			}
		}
	}
	if doubles > kills {
		r.Fatalf("%d alerts came twice after %d kills", doubles, kills)
	}
	for name, f := range k.chans {
		last := map[string]string{}
		for _, a := range f.got {
			if a.Check != "CMK-050" {
				continue
			}
			if a.ID < last[a.DedupKey] {
				r.Fatalf("%s was told %s after %s of one incident", name, a.ID, last[a.DedupKey])
			}
			last[a.DedupKey] = a.ID
		}
	}
}
