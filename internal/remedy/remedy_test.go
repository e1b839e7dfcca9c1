package remedy_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"cmkguard/internal/fault"
	"cmkguard/internal/journal"
	"cmkguard/internal/remedy"
	"cmkguard/internal/store"
	"cmkguard/internal/store/memstore"
)

var ctx = context.Background()

// world is something that an effect changes; how a request goes wrong is chosen.
type world struct {
	now     time.Time
	value   int // times the effect happened
	acts    int // requests that were sent
	err     error
	happens bool          // the request takes effect although err is returned
	late    time.Duration // it takes effect this much later
	lateAt  time.Time
	lookErr error
}

func (w *world) clock() time.Time { return w.now }

func (w *world) advance(d time.Duration) {
	w.now = w.now.Add(d)
	if !w.lateAt.IsZero() && !w.now.Before(w.lateAt) {
		w.value, w.lateAt = w.value+1, time.Time{}
	}
}

func (w *world) effect() remedy.Effect {
	return remedy.Effect{
		Partition: "p", Key: "rotate~k", Subject: "key:k", Ref: "plan", Text: "change it",
		Budget: 30 * time.Second, Quiet: 5 * time.Minute, Tries: 2,
		Look: func(_ context.Context, since time.Time) (remedy.Sight, error) {
			switch {
			case w.lookErr != nil:
				return remedy.Sight{}, w.lookErr
			case w.value == 1 && since.IsZero():
				return remedy.Sight{Stop: "somebody else did it"}, nil
			case w.value == 1:
				return remedy.Sight{Done: true, Result: "v2"}, nil
			}
			return remedy.Sight{}, nil
		},
		Act: func(context.Context, string) (string, error) {
			w.acts++
			err := w.err
			w.err = nil
			switch {
			case w.late > 0:
				w.lateAt, w.late = w.now.Add(w.late), 0
			case err == nil || w.happens:
				w.value++
			}
			return "", err
		},
	}
}

func newRunner(w *world, b store.Backend, rec remedy.Recorder) *remedy.Runner {
	n := 0
	if rec == nil {
		rec = journal.NewRecorder(b.State, "test", w.clock)
	}
	return &remedy.Runner{
		State: b.State, Rec: rec, Now: w.clock, Poll: 15 * time.Second,
		NewID: func() string { n++; return fmt.Sprintf("r%d", n) },
	}
}

// finish steps until the effect is settled or failed, letting time pass.
func finish(t *testing.T, r *remedy.Runner, w *world) remedy.Outcome {
	t.Helper()
	for range 50 {
		out, err := r.Step(ctx, w.effect())
		if err == nil && out.Status != remedy.Again {
			return out
		}
		if err == nil && out.At.After(w.now) {
			w.advance(out.At.Sub(w.now))
		} else {
			w.advance(time.Minute)
		}
	}
	t.Fatal("it never ends")
	return remedy.Outcome{}
}

func start() *world { return &world{now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)} }

func TestAnswersThatGoWrong(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		change func(*world)
		acts   int
		value  int
		status remedy.Status
	}{
		"all well":               {func(*world) {}, 1, 1, remedy.Settled},
		"503 after it happened":  {func(w *world) { w.err, w.happens = fault.New(fault.Unknown, "t", "503"), true }, 1, 1, remedy.Settled},
		"503, nothing happened":  {func(w *world) { w.err = fault.New(fault.Unknown, "t", "503") }, 2, 1, remedy.Settled},
		"it lands late":          {func(w *world) { w.err, w.late = fault.New(fault.Unknown, "t", "timeout"), 4*time.Minute }, 1, 1, remedy.Settled},
		"throttled":              {func(w *world) { w.err = fault.New(fault.Transient, "t", "429") }, 2, 1, remedy.Settled},
		"refused":                {func(w *world) { w.err = fault.New(fault.Denied, "t", "403") }, 1, 0, remedy.Failed},
		"somebody did it before": {func(w *world) { w.value = 1 }, 0, 1, remedy.Failed},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start()
			c.change(w)
			out := finish(t, newRunner(w, memstore.New(w.clock).Backend(), nil), w)
			if out.Status != c.status || w.acts != c.acts || w.value != c.value {
				t.Fatalf("%+v, %d requests, %d effects", out, w.acts, w.value)
			}
		})
	}
}

func TestNothingIsSentBeforeTheQuietTimeIsOver(t *testing.T) {
	t.Parallel()
	w := start()
	w.err = fault.New(fault.Unknown, "t", "timeout")
	r := newRunner(w, memstore.New(w.clock).Backend(), nil)
	if _, err := r.Step(ctx, w.effect()); err != nil {
		t.Fatal(err)
	}
	w.advance(5*time.Minute + 29*time.Second)
	out, err := r.Step(ctx, w.effect())
	if err != nil || out.Status != remedy.Again || w.acts != 1 {
		t.Fatalf("%+v %v, %d requests", out, err, w.acts)
	}
}

// crash fails the n-th commit, before or after its effect, and every one after
// it: the process is dead.
type crash struct {
	remedy.Recorder
	left  *int
	after bool
}

func (c crash) Commit(ctx context.Context, p string, es []journal.Entry, ops ...store.Op) error {
	*c.left--
	if *c.left > 0 || (*c.left == 0 && c.after) {
		if err := c.Recorder.Commit(ctx, p, es, ops...); err != nil || *c.left > 0 {
			return err
		}
	}
	return fault.New(fault.Unknown, "test", "killed")
}

// TestOneEffectThroughACrashAtEveryWrite kills the worker at each of its writes
// and lets another take over.
func TestOneEffectThroughACrashAtEveryWrite(t *testing.T) {
	t.Parallel()
	points := 0
	for _, after := range []bool{false, true} {
		for _, answer := range []error{nil, fault.New(fault.Unknown, "t", "503")} {
			for n := 1; ; n++ {
				w := start()
				w.err, w.happens = answer, true
				b := memstore.New(w.clock).Backend()
				left := n
				dead := newRunner(w, b, crash{journal.NewRecorder(b.State, "test", w.clock), &left, after})
				for range 3 {
					if _, err := dead.Step(ctx, w.effect()); err != nil {
						break
					}
					w.advance(6 * time.Minute)
				}
				if left > 0 {
					break
				}
				points++
				out := finish(t, newRunner(w, b, nil), w)
				if out.Status != remedy.Settled || w.value != 1 {
					t.Fatalf("write %d after=%v answer=%v: %+v, %d effects", n, after, answer, out, w.value)
				}
			}
		}
	}
	if points < 8 {
		t.Fatalf("only %d points", points)
	}
	t.Logf("%d crash points", points)
}

func TestTwoWorkersAtOnce(t *testing.T) {
	t.Parallel()
	w := start()
	b := memstore.New(w.clock).Backend()
	one, two := newRunner(w, b, nil), newRunner(w, b, nil)
	e := w.effect()
	act := e.Act
	e.Act = func(ctx context.Context, id string) (string, error) {
		if out, err := two.Step(ctx, w.effect()); err != nil || out.Status != remedy.Again {
			t.Errorf("the second worker: %+v %v", out, err)
		}
		return act(ctx, id)
	}
	if out, err := one.Step(ctx, e); err != nil || out.Status != remedy.Settled || w.acts != 1 {
		t.Fatalf("%+v %v, %d requests", out, err, w.acts)
	}
}

func TestNoRecordNoEffect(t *testing.T) {
	t.Parallel()
	w := start()
	b := memstore.New(w.clock).Backend()
	left := 1
	r := newRunner(w, b, crash{journal.NewRecorder(b.State, "test", w.clock), &left, false})
	if _, err := r.Step(ctx, w.effect()); err == nil || w.acts != 0 {
		t.Fatalf("%v, %d requests", err, w.acts)
	}
}
