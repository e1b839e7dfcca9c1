package findings

import (
	"bufio"
	"encoding/csv"
	"errors"
	"io"
	"strings"

	"cmkguard/internal/fault"
	"cmkguard/internal/risk"
)

// Sink takes the findings of one cluster after the other and writes them in a
// format. Formats of one record a line are written at once; table, markdown and
// sarif keep what is not ok until the end, json and junit everything.
type Sink struct {
	w      *bufio.Writer // flushed after each cluster: what is there is whole
	format string
	report Report
	worst  int // rank of the severest that is broken
	csv    *csv.Writer
}

// NewSink returns a sink; head holds the time and the version. An unknown format
// is an Invalid fault.
func NewSink(w io.Writer, format string, head Report) (*Sink, error) {
	s := &Sink{w: bufio.NewWriterSize(w, 1<<16), format: format, report: head}
	switch format {
	case "table", "json", "jsonl", "sarif", "junit", "markdown", "ocsf":
		return s, nil
	case "csv":
		s.csv = csv.NewWriter(s.w)
		return s, header(s.csv)
	}
	return nil, fault.New(fault.Invalid, "findings.NewSink", "--output is %q: want %s", format, strings.Join(Formats(), ", "))
}

// Add takes the findings of one cluster.
func (s *Sink) Add(one []Finding) error {
	s.report.Clusters++
	for _, f := range one {
		s.report.Totals.add(f.Answer)
		if f.Answer == risk.Broken {
			s.worst = max(s.worst, f.Severity.Rank())
		}
	}
	part := s.report
	part.Findings = one
	part.Sort()
	switch s.format {
	case "jsonl":
		return errors.Join(lines(s.w, part), s.w.Flush())
	case "ocsf":
		return errors.Join(ocsf(s.w, part), s.w.Flush())
	case "csv":
		return errors.Join(spread(s.csv, part), s.w.Flush())
	}
	for _, f := range one {
		if f.Answer != risk.OK || s.format == "json" || s.format == "junit" {
			s.report.Findings = append(s.report.Findings, f)
		}
	}
	return nil
}

// Incomplete says why there may be clusters that nobody saw.
func (s *Sink) Incomplete(why string) {
	if !s.report.Complete {
		why = s.report.Why + "; " + why
	}
	s.report.Complete, s.report.Why = false, why
}

// Worst reports whether something is broken at or above the severity.
func (s *Sink) Worst(least risk.Severity) bool { return s.worst > 0 && s.worst >= least.Rank() }

// Close writes what was kept.
func (s *Sink) Close() error {
	s.report.Sort()
	var err error
	switch s.format {
	case "table":
		err = table(s.w, s.report)
	case "json":
		err = oneJSON(s.w, s.report)
	case "sarif":
		err = sarif(s.w, s.report)
	case "junit":
		err = junit(s.w, s.report)
	case "markdown":
		err = markdown(s.w, s.report)
	case "csv":
		s.csv.Flush()
		err = s.csv.Error()
	}
	return errors.Join(err, s.w.Flush())
}
