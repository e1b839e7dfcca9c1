package metric

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/journal"
	"cmkguard/internal/store"
)

// Commits is the part of a recorder that is counted.
type Commits interface {
	Commit(ctx context.Context, partition string, entries []journal.Entry, ops ...store.Op) error
}

// Recorder counts what is committed through it, once it is.
type Recorder struct {
	*journal.Recorder
	meter *Meter
	next  Commits
}

// Recorder returns r, counted.
func (m *Meter) Recorder(r *journal.Recorder) *Recorder { return &Recorder{r, m, r} }

// Commit implements the recorders of guard, alert and remedy. What a lost answer
// came to is settled by the recorder itself; what it reports as failed is not
// counted.
func (r *Recorder) Commit(ctx context.Context, partition string, entries []journal.Entry, ops ...store.Op) error {
	err := r.next.Commit(ctx, partition, entries, ops...)
	if err == nil {
		r.meter.committed(entries, ops)
	}
	return err
}

func (m *Meter) committed(entries []journal.Entry, ops []store.Op) {
	for _, e := range entries {
		m.entries.WithLabelValues(string(e.Kind)).Inc()
		if e.Kind == journal.KindSignal {
			m.signal(e)
		}
	}
	for _, op := range ops {
		switch kind, _, _ := strings.Cut(op.Key, "~"); {
		case op.Kind == store.Delete:
		case kind == "outbox":
			m.outbox(op.Value)
		case kind == "saga":
			m.saga(op.Value)
		case kind == "plan":
			m.plan(op.Value)
		}
	}
}

// signal counts how late we knew: the body's time is the event's own.
func (m *Meter) signal(e journal.Entry) {
	var body struct {
		Time time.Time `json:"time"`
	}
	if json.Unmarshal(e.Body, &body) == nil && body.Time.Year() > 2000 {
		m.lateness.WithLabelValues().Observe(max(0, m.now().Sub(body.Time).Seconds()))
	}
}

func (m *Meter) outbox(row []byte) {
	var n struct {
		Channel string `json:"channel"`
		State   string `json:"state"`
	}
	if json.Unmarshal(row, &n) == nil && n.State != "" {
		m.deliveries.WithLabelValues(n.Channel, n.State).Inc()
	}
}

func (m *Meter) saga(row []byte) {
	var s struct {
		Plan  struct{ Remedy string } `json:"plan"`
		Phase string                  `json:"phase"`
	}
	if json.Unmarshal(row, &s) == nil && s.Phase != "" {
		m.sagas.WithLabelValues(s.Plan.Remedy, s.Phase).Inc()
	}
}

// plan counts a plan by the tightest of its rulings.
func (m *Meter) plan(row []byte) {
	var p struct {
		Plan    struct{ Remedy string } `json:"plan"`
		Rulings []struct {
			Answer string `json:"answer"`
		} `json:"rulings"`
	}
	if json.Unmarshal(row, &p) != nil || p.Plan.Remedy == "" {
		return
	}
	worst := "allow"
	for _, r := range p.Rulings {
		if r.Answer == "refuse" || r.Answer == "hold" && worst == "allow" {
			worst = r.Answer
		}
	}
	m.plans.WithLabelValues(p.Plan.Remedy, worst).Inc()
}

type channel struct {
	alert.Channel
	name  string
	meter *Meter
}

// Channels returns the channels, each counted under the name that the policy gives it.
func (m *Meter) Channels(all map[string]alert.Channel) map[string]alert.Channel {
	out := make(map[string]alert.Channel, len(all))
	for name, c := range all {
		out[name] = &channel{c, name, m}
	}
	return out
}

// Send implements alert.Channel.
func (c *channel) Send(ctx context.Context, a alert.Alert) (string, error) {
	id, err := c.Channel.Send(ctx, a)
	c.meter.sends.WithLabelValues(c.name, outcome(err)).Inc()
	if err == nil && !a.At.IsZero() {
		c.meter.delivery.WithLabelValues(c.name).Observe(max(0, c.meter.now().Sub(a.At).Seconds()))
	}
	return id, err
}

// outcome is "sent", or the class of the failure: who has to mend it.
func outcome(err error) string {
	if err == nil {
		return "sent"
	}
	return string(alert.ClassOf(err))
}

// Sweeper runs one reconcile (handlers/sweep).
type Sweeper interface {
	Sweep(ctx context.Context) error
}

type sweeper struct {
	next  Sweeper
	meter *Meter
}

// Sweeper returns s, counted.
func (m *Meter) Sweeper(s Sweeper) Sweeper { return &sweeper{s, m} }

// Sweep implements Sweeper.
func (s *sweeper) Sweep(ctx context.Context) error {
	began := s.meter.now()
	err := s.next.Sweep(ctx)
	s.meter.sweep.WithLabelValues().Observe(max(0, s.meter.now().Sub(began).Seconds()))
	if err != nil {
		s.meter.sweeps.WithLabelValues("failed").Inc()
		return err
	}
	s.meter.sweeps.WithLabelValues("ok").Inc()
	s.meter.mu.Lock()
	defer s.meter.mu.Unlock()
	s.meter.lastSweep = s.meter.now()
	return nil
}

// Watcher is an external dead man's switch (internal/guard).
type Watcher interface {
	Ping(ctx context.Context) error
}

type watcher struct {
	next  Watcher
	meter *Meter
}

// Watcher returns w, counted.
func (m *Meter) Watcher(w Watcher) Watcher { return &watcher{w, m} }

// Ping implements Watcher.
func (w *watcher) Ping(ctx context.Context) error {
	err := w.next.Ping(ctx)
	o := outcome(err)
	if err == nil {
		o = "heard"
	}
	w.meter.heartbeats.WithLabelValues(o).Inc()
	return err
}
