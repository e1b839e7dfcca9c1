// Package metric counts what the program does: by what it commits to the record,
// by what its channels answer, and by how its sweeps end. The counts leave in two
// ways. As lines of the log, which KQL can chart, because an instance under the
// Functions host has no port that anybody could scrape; and in Prometheus' text
// form, where the program runs alone.
//
// It decides nothing and keeps nothing: a process starts at zero. The record
// (internal/journal) is what holds.
package metric

import (
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Meter holds the counts of one process, in a registry of its own. It is safe for
// concurrent use.
type Meter struct {
	now      func() time.Time
	registry *prometheus.Registry

	entries    *prometheus.CounterVec   // kind
	deliveries *prometheus.CounterVec   // channel, state
	sends      *prometheus.CounterVec   // channel, outcome
	delivery   *prometheus.HistogramVec // channel; seconds
	lateness   *prometheus.HistogramVec // seconds
	plans      *prometheus.CounterVec   // remedy, ruling
	sagas      *prometheus.CounterVec   // remedy, phase
	sweeps     *prometheus.CounterVec   // outcome
	sweep      *prometheus.HistogramVec // seconds
	heartbeats *prometheus.CounterVec   // outcome

	mu        sync.Mutex
	lastSweep time.Time          // that went through; zero: none yet
	written   map[string]float64 // what Write last saw, by series
}

// New returns a Meter that counts from zero.
func New(version string, now func() time.Time) *Meter {
	m := &Meter{now: now, registry: prometheus.NewRegistry(), written: map[string]float64{}}
	m.entries = m.counter("journal_entries_total", "Entries committed to the journal, by kind: signal, incident, plan, intent, outcome, receipt, decision...", "kind")
	m.deliveries = m.counter("alert_deliveries_total", "Writes of deliveries in the outbox, by the state that they were left in.", "channel", "state")
	m.sends = m.counter("alert_sends_total", "Attempts to send an alert, by what came of them: sent, or the class of the failure.", "channel", "outcome")
	m.delivery = m.histogram("alert_delivery_seconds", "From the alert being made to a channel accepting it.", []float64{.1, .25, .5, 1, 2, 5, 10, 30, 60, 300, 900, 3600}, "channel")
	m.lateness = m.histogram("signal_lateness_seconds", "From the time that a signal names as its own to its having been worked on.", []float64{1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 21600})
	m.plans = m.counter("plans_total", "Plans as the gates ruled on them: allow, hold, refuse.", "remedy", "ruling")
	m.sagas = m.counter("sagas_total", "Steps of rotations and repairs, by the phase that they were left in; done and stopped are ends.", "remedy", "phase")
	m.sweeps = m.counter("sweeps_total", "Sweeps, by how they ended.", "outcome")
	m.sweep = m.histogram("sweep_seconds", "How long a sweep took.", []float64{.05, .1, .25, .5, 1, 2, 5, 10, 30, 60, 120})
	m.heartbeats = m.counter("heartbeats_total", "Calls of the external watcher, by what came of them.", "outcome")
	m.gauge(prometheus.GaugeOpts{Name: "cmkguard_sweep_age_seconds", Help: "Since this process last ended a sweep that went through; -1 before the first."}, m.sweepAge)
	m.gauge(prometheus.GaugeOpts{Name: "cmkguard_build_info", Help: "1, with the version as label.", ConstLabels: prometheus.Labels{"version": version}}, func() float64 { return 1 })
	return m
}

func (m *Meter) gauge(o prometheus.GaugeOpts, read func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(o, read))
}

func (m *Meter) counter(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "cmkguard_" + name, Help: help}, labels)
	m.registry.MustRegister(c)
	return c
}

func (m *Meter) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "cmkguard_" + name, Help: help, Buckets: buckets}, labels)
	m.registry.MustRegister(h)
	return h
}

func (m *Meter) sweepAge() float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lastSweep.IsZero() {
		return -1
	}
	return m.now().Sub(m.lastSweep).Seconds()
}

// Handler answers with every count in Prometheus' text form.
func (m *Meter) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
