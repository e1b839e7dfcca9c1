package alert_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/fault"
	"cmkguard/internal/journal"
	"cmkguard/internal/risk"
	"cmkguard/internal/store/memstore"
)

// fake is a channel that keeps what it was given, and fails as told.
type fake struct {
	name string
	fail error // nil: it works
	// refuse is asked about each alert; nil: none is refused.
	refuse func(alert.Alert) error
	calls  int
	got    []alert.Alert
}

// Send implements alert.Channel.
func (f *fake) Send(_ context.Context, a alert.Alert) (string, error) {
	f.calls++
	if f.fail != nil {
		return "", f.fail
	}
	if f.refuse != nil {
		if err := f.refuse(a); err != nil {
			return "", err
		}
	}
	f.got = append(f.got, a)
	return fmt.Sprintf("%s-%d", f.name, len(f.got)), nil
}

// ids are those of the alerts that arrived, in order.
func (f *fake) ids() []string {
	out := make([]string, len(f.got))
	for i, a := range f.got {
		out[i] = a.ID
	}
	return out
}

// lives are the states of what arrived, in order.
func (f *fake) lives(dedup string) (out []alert.Lifecycle) {
	for _, a := range f.got {
		if a.DedupKey == dedup {
			out = append(out, a.Lifecycle)
		}
	}
	return out
}

// desks is a store, a clock and channels, over which dispatchers are made as
// processes start.
type desks struct {
	t     *testing.T
	clock time.Time
	state *flaky
	chans map[string]*fake
	rules alert.Rules
	d     *alert.Dispatcher
}

func newDesks(t *testing.T, names ...string) *desks {
	t.Helper()
	k := &desks{t: t, clock: start(), chans: map[string]*fake{}, rules: alert.Rules{Everybody: names}}
	k.state = &flaky{State: memstore.New(k.now)}
	for _, n := range names {
		k.chans[n] = &fake{name: n}
	}
	k.d = k.boot()
	return k
}

func (k *desks) now() time.Time { return k.clock }

// boot is a process that starts.
func (k *desks) boot() *alert.Dispatcher {
	channels := map[string]alert.Channel{}
	for name, f := range k.chans {
		channels[name] = f
	}
	return alert.NewDispatcher(k.state, recorder(k), channels, k.now, func() float64 { return 0 }).Under(k.rules)
}

// of is an alert of an incident.
func of(id, incident string, life alert.Lifecycle) alert.Alert {
	return alert.Alert{ID: id, DedupKey: "cmkguard/CMK-050/" + incident, Check: "CMK-050", Lifecycle: life, Severity: risk.High, Title: id, Subject: "cluster:/x/" + incident}
}

// put writes the alert's deliveries into the partition.
func (k *desks) put(partition string, a alert.Alert, targets ...alert.Target) {
	k.t.Helper()
	if a.At.IsZero() {
		a.At = k.clock
	}
	if _, err := k.state.State.Apply(context.Background(), partition, alert.Rows(alert.Notifications(a, targets, k.clock))); err != nil {
		k.t.Fatal(err)
	}
}

// tend dispatches the partitions until nothing is due, and returns what is left.
func (k *desks) tend(partitions ...string) (left int) {
	k.t.Helper()
	for range 20 {
		left = 0
		due := false
		for _, p := range partitions {
			n, next, err := k.d.Dispatch(context.Background(), p)
			if err != nil {
				k.t.Fatal(err)
			}
			left += n
			due = due || n > 0 && !next.After(k.clock)
		}
		if !due {
			return left
		}
	}
	k.t.Fatal("it never comes to rest")
	return left
}

// wait moves the clock and tends at every step.
func (k *desks) wait(d, step time.Duration, partitions ...string) (left int) {
	k.t.Helper()
	for end := k.clock.Add(d); k.clock.Before(end); {
		k.clock = k.clock.Add(step)
		left = k.tend(partitions...)
	}
	return left
}

// receipts are the texts of the journal's pending entries of a partition.
func (k *desks) receipts(partition string) (out []string) {
	k.t.Helper()
	rows, err := k.state.Scan(context.Background(), partition, "entry~", "entry~~", 10000)
	if err != nil {
		k.t.Fatal(err)
	}
	for _, e := range decode[journal.Entry](k.t, rows) {
		out = append(out, e.Text)
	}
	return out
}

// outbox are the partition's deliveries by channel and alert id.
func (k *desks) outbox(partition string) map[string]alert.Notification {
	k.t.Helper()
	ns, err := alert.Outbox(context.Background(), k.state, partition)
	if err != nil {
		k.t.Fatal(err)
	}
	out := map[string]alert.Notification{}
	for _, n := range ns {
		out[n.Channel+" "+n.Alert.ID] = n
	}
	return out
}

func down() error { return fault.New(fault.Transient, "fake", "503 Service Unavailable") }

func has(texts []string, part string) bool {
	return slices.ContainsFunc(texts, func(s string) bool { return contains(s, part) })
}

func recorder(k *desks) *journal.Recorder { return journal.NewRecorder(k.state, "test", k.now) }
