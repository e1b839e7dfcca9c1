package metric

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	dto "github.com/prometheus/client_model/go"
	"github.com/rs/zerolog"
)

// Write logs, one line per series, what was counted since the last Write: a
// counter's growth as "value", a histogram's as "count", "sum" and the upper bounds
// below which half and 99 of 100 lie ("p50", "p99"). Series that did not grow, and
// gauges, are left out. infra/kql reads these lines; whatever is counted
// between the last Write and the process's end is in the record only.
func (m *Meter) Write(log zerolog.Logger) error {
	families, err := m.registry.Gather()
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range families {
		for _, s := range f.GetMetric() {
			series := f.GetName()
			line := log.Info().Str("metric", series)
			for _, l := range s.GetLabel() {
				line, series = line.Str(l.GetName(), l.GetValue()), series+"\x00"+l.GetValue()
			}
			if line, ok := m.values(line, series, f.GetType(), s); ok {
				line.Msg("metric")
			}
		}
	}
	return nil
}

// grown returns how much the series grew since it was last asked for.
func (m *Meter) grown(series string, now float64) float64 {
	d := now - m.written[series]
	m.written[series] = now
	return d
}

func (m *Meter) values(line *zerolog.Event, series string, kind dto.MetricType, s *dto.Metric) (*zerolog.Event, bool) {
	switch kind {
	case dto.MetricType_COUNTER:
		d := m.grown(series, s.GetCounter().GetValue())
		return line.Float64("value", d), d > 0
	case dto.MetricType_HISTOGRAM:
		h := s.GetHistogram()
		count := m.grown(series+"\x00count", float64(h.GetSampleCount()))
		sum := m.grown(series+"\x00sum", h.GetSampleSum())
		var below []bound
		for _, b := range h.GetBucket() {
			le := b.GetUpperBound()
			below = append(below, bound{le, m.grown(series+"\x00"+label(le), float64(b.GetCumulativeCount()))})
		}
		return line.Float64("count", count).Float64("sum", sum).Float64("p50", quantile(below, count, .5)).Float64("p99", quantile(below, count, .99)), count > 0
	default: // a gauge of one instance says nothing of all: see sweeps_total
		return line, false
	}
}

// bound is how many of an interval's observations lay at or below a limit.
type bound struct{ le, count float64 }

// quantile is the least bound below which the share of the observations lies: an
// upper estimate. Beyond the last bound it is twice that, for JSON has no infinity.
func quantile(below []bound, count, share float64) float64 {
	slices.SortFunc(below, func(a, b bound) int { return cmp.Compare(a.le, b.le) })
	last := 0.0
	for _, b := range below {
		if math.IsInf(b.le, 1) {
			break
		}
		if last = b.le; b.count >= share*count {
			return b.le
		}
	}
	return 2 * last
}

func label(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
