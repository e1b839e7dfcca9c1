package policy

import (
	"slices"
	"time"
)

// Freeze is a time of the week in which nothing is changed, by the wall clock
// of its zone. A wall time that the clock skips does not occur; one that occurs
// twice is frozen both times.
type Freeze struct {
	Name     string
	Zone     *time.Location
	Weekdays []time.Weekday // on which it begins; none: every day
	From, To time.Duration  // wall time since 00:00; To at or before From is on the next day
}

// Frozen says whether at is inside the window, and when it ends. A window that
// never ends within nine days gives a zero end.
func (f Freeze) Frozen(at time.Time) (until time.Time, frozen bool) {
	if !f.covers(at) {
		return time.Time{}, false
	}
	// By the minute, because adding durations to wall times is wrong on the
	// two days a year that matter.
	t := at.Truncate(time.Minute)
	for range 9 * 24 * 60 {
		if t = t.Add(time.Minute); !f.covers(t) {
			return t, true
		}
	}
	return time.Time{}, true
}

func (f Freeze) covers(at time.Time) bool {
	local := at.In(f.Zone)
	wall := time.Duration(local.Hour())*time.Hour + time.Duration(local.Minute())*time.Minute + time.Duration(local.Second())*time.Second
	today, before := f.begins(local.Weekday()), f.begins((local.Weekday()+6)%7)
	if f.From < f.To {
		return today && f.From <= wall && wall < f.To
	}
	return today && f.From <= wall || before && wall < f.To
}

func (f Freeze) begins(d time.Weekday) bool {
	return len(f.Weekdays) == 0 || slices.Contains(f.Weekdays, d)
}
