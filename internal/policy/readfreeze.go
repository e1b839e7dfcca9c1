package policy

import (
	"strings"
	"time"
)

func (r reader) freezes(n node) {
	names := map[string]int{}
	for _, item := range n.items() {
		f := readFreeze(item)
		if before, twice := names[f.Name]; twice && f.Name != "" {
			item.problem("name %q is used twice, first on line %d: want names that differ", clip(f.Name), before)
		}
		names[f.Name] = item.line
		r.policy.Freezes = append(r.policy.Freezes, f)
	}
}

func readFreeze(n node) Freeze {
	f := Freeze{Zone: time.UTC}
	found := n.fields(map[string]func(node){
		"name":     func(n node) { f.Name = n.text() },
		"zone":     func(n node) { f.Zone = readZone(n) },
		"weekdays": func(n node) { f.Weekdays = readWeekdays(n) },
		"from":     func(n node) { f.From = readClock(n) },
		"to":       func(n node) { f.To = readClock(n) },
	})
	n.require(found, "name", "name: TEXT, which the reasons show")
	f.complete(n, found)
	return f
}

// readZone takes a name of the IANA time zone database. "Local" is whatever the
// host has and is refused.
func readZone(n node) *time.Location {
	s := n.text()
	zone, err := time.LoadLocation(s)
	if s != "" && (err != nil || s == "Local") {
		n.problem("%q is no time zone: want a name such as Europe/Berlin, or UTC", clip(s))
	}
	if err != nil || s == "" {
		return time.UTC
	}
	return zone
}

func readWeekdays(n node) []time.Weekday {
	var out []time.Weekday
	for _, item := range n.items() {
		s := item.text()
		day := -1
		for d := time.Sunday; d <= time.Saturday; d++ {
			if strings.EqualFold(s, d.String()) || strings.EqualFold(s, d.String()[:3]) {
				day = int(d)
			}
		}
		if day < 0 && s != "" {
			item.problem("%q is no weekday: want mon, tue, wed, thu, fri, sat or sun", clip(s))
			continue
		}
		out = append(out, time.Weekday(day))
	}
	return out
}

// readClock reads 00:00 to 24:00.
func readClock(n node) time.Duration {
	s := n.text()
	if s == "24:00" {
		return 24 * time.Hour
	}
	at, err := time.Parse("15:04", s)
	if err != nil && s != "" {
		n.problem("%q is no time of day: want hours and minutes in quotes, such as \"22:00\"", clip(s))
	}
	return time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute
}
