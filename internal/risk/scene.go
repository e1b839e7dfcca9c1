package risk

import (
	"fmt"
	"strings"
	"time"

	"cmkguard/internal/wiring"
)

// skew is how far ahead of now a fact's time may be: clocks of two machines
// differ; more than this means that its age cannot be told.
const skew = 5 * time.Minute

// finding is what a check's own function says; the rest of the verdict comes
// from the catalogue.
type finding struct {
	answer   Answer
	why      string
	severity Severity // empty: the check's
	reasons  []string
	breaks   string // empty: the check's
	by       time.Time
	remedy   string
}

func fine(format string, args ...any) finding {
	return finding{answer: OK, why: fmt.Sprintf(format, args...)}
}

func broken(remedy, format string, args ...any) finding {
	return finding{answer: Broken, remedy: remedy, why: fmt.Sprintf(format, args...)}
}

func unknown(format string, args ...any) finding {
	return finding{answer: Unknown, why: fmt.Sprintf(format, args...)}
}

// scene is one check's look at a wiring. It notes which facts the check asked
// for (its evidence) and which of them could not be judged.
type scene struct {
	w        *wiring.Wiring // not copied per check: it is some kilobytes
	lim      Limits
	now      time.Time
	evidence []Evidence
	missing  []string
}

// cannotTell is the finding of a check that lacks facts: who refused what.
func (s *scene) cannotTell() finding { return unknown("%s", strings.Join(s.missing, "; ")) }

// stale says why a fact of that time cannot be judged, or "".
func (s *scene) stale(at time.Time) string { return s.older(at, s.lim.MaxFactAge) }

func (s *scene) older(at time.Time, limit time.Duration) string {
	switch age := s.now.Sub(at); {
	case at.IsZero():
		return "it does not say when it was read"
	case age > limit:
		return fmt.Sprintf("it was read %s ago, more than %s", age.Round(time.Second), limit)
	case age < -skew:
		return fmt.Sprintf("it was read %s in the future", (-age).Round(time.Second))
	}
	return ""
}

// use takes a fact for judging. It returns false, and notes why, unless the
// fact is known and fresh. An absent one is noted as not there: a check to which
// absence is an answer asks gone first.
func use[T any](s *scene, name string, f wiring.Fact[T], show func(T) string) (T, bool) {
	if f.State == wiring.NotRead {
		var none T
		s.missing = append(s.missing, name+" was not read")
		return none, false
	}
	return judged(s, name, f, s.lim.MaxFactAge, show)
}

// around takes a fact of the posture, which may be as old as the daily sweep.
func around[T any](s *scene, name string, f wiring.Fact[T], show func(T) string) (T, bool) {
	if f.State == wiring.NotRead {
		var none T
		s.missing = append(s.missing, name+" was not read in this run")
		return none, false
	}
	return judged(s, name, f, s.lim.DailyFactAge, show)
}

func judged[T any](s *scene, name string, f wiring.Fact[T], limit time.Duration, show func(T) string) (T, bool) {
	var none T
	value := string(f.State)
	if f.Why != "" {
		value += ": " + f.Why
	}
	if f.OK() {
		value = show(f.Value)
	}
	s.note(Evidence{Call: f.Call, At: f.At, Value: value})
	switch old := s.older(f.At, limit); {
	case f.State == wiring.Absent && old == "":
		s.missing = append(s.missing, fmt.Sprintf("%s is not there (%s)", name, because(f.Call, f.Why)))
	case !f.OK() && f.State != wiring.Absent:
		s.missing = append(s.missing, fmt.Sprintf("%s could not be read (%s)", name, because(f.Call, f.Why)))
	case old != "":
		s.missing = append(s.missing, fmt.Sprintf("%s is too old to judge: %s", name, old))
	default:
		return f.Value, true
	}
	return none, false
}

// gone reports whether the source answered, freshly, that the fact's thing is
// not there.
func gone[T any](s *scene, f wiring.Fact[T]) bool { return goneFor(s, f, s.lim.MaxFactAge) }

// goneAround is gone for a fact of the posture.
func goneAround[T any](s *scene, f wiring.Fact[T]) bool { return goneFor(s, f, s.lim.DailyFactAge) }

func goneFor[T any](s *scene, f wiring.Fact[T], limit time.Duration) bool {
	if f.State != wiring.Absent || s.older(f.At, limit) != "" {
		return false
	}
	s.note(Evidence{Call: f.Call, At: f.At, Value: "not there: " + f.Why})
	return true
}

// note keeps one line of evidence per read.
func (s *scene) note(e Evidence) {
	for _, have := range s.evidence {
		if have.Call == e.Call && have.At.Equal(e.At) {
			return
		}
	}
	s.evidence = append(s.evidence, e)
}

func because(call, why string) string {
	switch {
	case call == "":
		return why
	case why == "":
		return call
	}
	return call + ": " + why
}

// day is how verdicts write a time for people: to the minute, in UTC.
func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
