package risk

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// period is an ISO 8601 duration as rotation policies have it: P90D, P3M,
// PT48H, P1Y10D.
type period struct {
	years, months, days int
	clock               time.Duration
}

// parsePeriod refuses what it cannot read whole.
func parsePeriod(text string) (period, error) {
	var p period
	rest, ok := strings.CutPrefix(strings.ToUpper(text), "P")
	if !ok || rest == "" || strings.HasSuffix(rest, "T") {
		return p, fmt.Errorf("%q is not an ISO 8601 duration", text)
	}
	inClock := false
	for rest != "" {
		if !inClock && rest[0] == 'T' {
			inClock, rest = true, rest[1:]
			continue
		}
		end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if end <= 0 || end > 5 {
			return p, fmt.Errorf("%q is not an ISO 8601 duration", text)
		}
		n, err := strconv.Atoi(rest[:end])
		if err != nil || !p.add(n, rest[end], inClock) {
			return p, fmt.Errorf("%q is not an ISO 8601 duration", text)
		}
		rest = rest[end+1:]
	}
	return p, nil
}

func (p *period) add(n int, unit byte, inClock bool) bool {
	switch {
	case inClock && unit == 'H':
		p.clock += time.Duration(n) * time.Hour
	case inClock && unit == 'M':
		p.clock += time.Duration(n) * time.Minute
	case inClock && unit == 'S':
		p.clock += time.Duration(n) * time.Second
	case inClock:
		return false
	case unit == 'Y':
		p.years += n
	case unit == 'M':
		p.months += n
	case unit == 'W':
		p.days += 7 * n
	case unit == 'D':
		p.days += n
	default:
		return false
	}
	return true
}

// after returns the time one period after t, by the calendar.
func (p period) after(t time.Time) time.Time {
	return t.AddDate(p.years, p.months, p.days).Add(p.clock)
}

// from returns how long the period is when it starts at t.
func (p period) from(t time.Time) time.Duration { return p.after(t).Sub(t) }
