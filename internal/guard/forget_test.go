package guard_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azuresim"
	"cmkguard/internal/event"
	"cmkguard/internal/policy"
	"cmkguard/internal/store"
)

const retention = 100 * 24 * time.Hour

// signal is where the event of the id is stored.
func signal(id string) string {
	return store.Name("signal", event.Signal{Source: vaultID, ID: id}.DedupKey())
}

func (w *world) stored(id string) (received time.Time, ok bool) {
	w.t.Helper()
	row, ok, err := w.b.State.Get(ctx, signal(id), "signal")
	must(w.t, err)
	var st struct {
		Received time.Time `json:"received"`
	}
	if ok {
		must(w.t, json.Unmarshal(row.Value, &st))
	}
	return st.Received, ok
}

// noted counts what stands beside the signals: orphan marks and ages.
func (w *world) noted() int {
	w.t.Helper()
	rows, err := w.b.State.Scan(ctx, "signals", "", "", 10_000)
	must(w.t, err)
	return len(rows)
}

func (w *world) days(n int) {
	w.t.Helper()
	w.sim.Clock().Advance(time.Duration(n) * 24 * time.Hour)
	must(w.t, w.g.Sweep(ctx))
}

// What was done is forgotten when nobody can deliver it again, and not before; what was
// not done stays, however old, until it is.
func TestSignalsAreForgottenOnceDone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: 72 * time.Hour, mode: policy.DryRun})
	w.take(w.sim.NearExpiry(w.key, "done"))
	w.work()
	w.take(w.sim.NearExpiry(w.key, "undone")) // and its message is lost
	ms, err := w.b.Queue.Take(ctx, "cmkguard-work", 16, 7*24*time.Hour)
	must(t, err)
	lost := ms[0]
	must(t, w.b.Queue.Done(ctx, "cmkguard-work", lost))
	first, _ := w.stored("done")
	w.days(100)
	w.take(w.sim.NearExpiry(w.key, "done"))
	if again, ok := w.stored("done"); !ok || !again.Equal(first) {
		t.Fatalf("after a hundred days a duplicate is not recognised: %s, %s", again, first)
	}
	for _, n := range []int{1, 1, 150} {
		w.days(n)
		_, done := w.stored("done")
		if _, undone := w.stored("undone"); done || !undone {
			t.Fatalf("the done one is there: %t, the other: %t", done, undone)
		}
	}
	must(t, w.g.Work(ctx, lost.Body))
	w.days(1)
	w.days(1)
	if _, ok := w.stored("undone"); ok || w.noted() != 0 {
		t.Fatalf("it is there: %t, with %d notes", ok, w.noted())
	}
	w.take(w.sim.NearExpiry(w.key, "done"))
	if again, ok := w.stored("done"); !ok || again.Equal(first) {
		t.Fatal("what was forgotten is not taken in as new")
	}
}

// many puts so many signals beside one that was done, as old as that one.
func (w *world) many(n int) {
	w.t.Helper()
	w.take(w.sim.NearExpiry(w.key, "e-0"))
	w.work()
	row, _, err := w.b.State.Get(ctx, signal("e-0"), "signal")
	must(w.t, err)
	received, _ := w.stored("e-0")
	for i := 1; i < n; i++ {
		name := signal(fmt.Sprint("e-", i))
		_, err := w.b.State.Apply(ctx, name, []store.Op{{Kind: store.Insert, Key: "signal", Value: row.Value}})
		must(w.t, err)
		_, err = w.b.State.Apply(ctx, "signals", []store.Op{{Kind: store.Insert, Key: "age~" + received.Format(time.DateOnly) + "~" + name}})
		must(w.t, err)
	}
}

func (w *world) left(n int) (left int) {
	w.t.Helper()
	for i := range n {
		if _, ok := w.stored(fmt.Sprint("e-", i)); ok {
			left++
		}
	}
	return left
}

// One sweep forgets so many at the most, and one that is killed leaves nothing that
// nobody would find.
func TestForgettingIsBoundedAndGoesOn(t *testing.T) {
	t.Parallel()
	const n = 700
	w := newWorld(t, setup{kind: "v1", created: 72 * time.Hour, mode: policy.DryRun})
	w.many(n)
	w.days(51)
	if w.left(n) != n {
		t.Fatal("forgotten too early")
	}
	for _, want := range []int{400, 100, 0} {
		w.days(51)
		if got := w.left(n); got != want || w.noted() != want {
			t.Fatalf("%d are left with %d notes, want %d", got, w.noted(), want)
		}
	}
	for _, at := range []int{1, 2, 3, 25, 26, 150, 151, 152, 153, 199, 200, 201, 202, 203, 204, 205, 206, 207, 208} {
		for _, how := range []how{lost, landed} {
			w := newWorld(t, setup{kind: "v1", created: 72 * time.Hour, mode: policy.DryRun})
			w.many(120)
			w.sim.Clock().Advance(retention + 48*time.Hour)
			p := &worker{g: w.process(&killer{at: at, how: how})}
			p.live(func() { _ = p.g.Sweep(ctx) })
			if !p.killed {
				t.Fatalf("call %d never came", at)
			}
			w.days(0)
			if got := w.left(120); got != 0 || w.noted() != 0 {
				t.Fatalf("killed at %d, %s: %d are left with %d notes", at, how, got, w.noted())
			}
		}
	}
}

// Wherever the intake dies, what it stored is found and forgotten one day: by itself,
// or when the event comes again.
func TestNoSignalIsLeftForEver(t *testing.T) {
	t.Parallel()
	for _, again := range []bool{false, true} {
		for _, how := range []how{lost, landed} {
			for at := 1; ; at++ {
				w := newWorld(t, setup{kind: "v1", created: 72 * time.Hour, mode: policy.DryRun})
				body := w.sim.NearExpiry(w.key, "e1")
				p := &worker{g: w.process(&killer{at: at, how: how})}
				p.live(func() { must(t, p.g.Take(ctx, "keyvaultevents", body)) })
				w.sim.Clock().Advance(2 * time.Minute)
				if again {
					w.take(body)
				}
				w.days(0)
				w.work()
				w.days(102)
				if _, ok := w.stored("e1"); ok || w.noted() != 0 {
					t.Fatalf("killed at %d, %s, delivered again %t: it is there %t, with %d notes", at, how, again, ok, w.noted())
				}
				if !p.killed {
					break
				}
			}
		}
	}
}

// racing has the orphan mark taken away by another worker right before our batch.
type racing struct {
	store.State
	raced bool
}

func (r *racing) Apply(ctx context.Context, p string, ops []store.Op) ([]string, error) {
	if p == "signals" && len(ops) == 2 && !r.raced {
		r.raced = true
		if _, err := r.State.Apply(ctx, p, ops[1:]); err != nil {
			return nil, err
		}
	}
	return r.State.Apply(ctx, p, ops)
}

func TestASignalIsNotedThoughItsMarkIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: 72 * time.Hour, mode: policy.DryRun})
	r := &racing{State: w.b.State}
	w.g.State = r
	w.take(w.sim.NearExpiry(w.key, "e1"))
	w.work()
	if !r.raced || w.noted() != 1 {
		t.Fatalf("raced %t, %d notes", r.raced, w.noted())
	}
	w.days(102)
	if _, ok := w.stored("e1"); ok || w.noted() != 0 {
		t.Fatalf("it is there %t, with %d notes", ok, w.noted())
	}
}

// counting counts what is read of signals.
type counting struct {
	store.State
	gets, scans int
}

func (c *counting) Get(ctx context.Context, p, key string) (store.Row, bool, error) {
	if strings.HasPrefix(p, "signal") {
		c.gets++
	}
	return c.State.Get(ctx, p, key)
}

func (c *counting) Scan(ctx context.Context, p, from, to string, n int) ([]store.Row, error) {
	if strings.HasPrefix(p, "signal") {
		c.scans++
	}
	return c.State.Scan(ctx, p, from, to, n)
}

// While nothing is due, a sweep reads nothing of the signals that are kept.
func TestForgettingCostsOneRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: 72 * time.Hour, mode: policy.DryRun})
	w.many(50)
	c := &counting{State: w.b.State}
	w.g.State = c
	w.days(99)
	if c.gets != 0 || c.scans != 2 { // the orphan marks, and the ages
		t.Fatalf("%d rows and %d ranges were read", c.gets, c.scans)
	}
}

// A signal that somebody deleted before its day was closed does not count as worked on.
func TestADeletedSignalIsNotDone(t *testing.T) {
	t.Parallel()
	r := accounting(t, false)
	date := r.sim.Clock().Now().Format(time.DateOnly)
	r.sim.ChangeVault(host, func(v *azuresim.Vault) { v.Policies = make([]azuresim.AccessPolicy, 1) })
	r.bring(true, true)
	r.through(2 * time.Hour)
	ages, err := r.b.State.Scan(ctx, "signals", "age~", "age~~", 1000)
	must(t, err)
	for _, age := range ages {
		name := age.Key[len("age~2026-11-01~"):]
		row, ok, err := r.b.State.Get(ctx, name, "signal")
		must(t, err)
		if !ok {
			t.Fatalf("%s names no signal", age.Key)
		}
		_, err = r.b.State.Apply(ctx, name, []store.Op{{Kind: store.Delete, Key: "signal", ETag: row.ETag}})
		must(t, err)
	}
	r.through(72 * time.Hour)
	if s := r.losses(date); s.Closed.IsZero() || s.Accounts[0].Handled+s.Accounts[1].Handled != 0 || len(s.Accounts[0].Waiting) == 0 {
		t.Fatalf("%+v", s)
	}
}
