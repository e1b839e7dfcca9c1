package policy

import (
	"slices"
	"time"

	"cmkguard/internal/risk"
)

// Mute is a time of the week in which people are not told.
type Mute struct {
	Window   Freeze
	Match    AlertMatch // of the alerts; zero: all
	Channels []string   // none: all that people read
	Critical bool       // true: critical alerts too
	Line     int
}

// Covers reports whether the window keeps the alert from the channel at the time, and
// until when. Critical alerts, and those whose severity is none, pass unless the
// window says otherwise.
func (m Mute) Covers(f AlertFacts, channel string, now time.Time) (until time.Time, yes bool) {
	severe := f.Severity == risk.Critical || f.Severity.Rank() == 0
	if severe && !m.Critical || len(m.Channels) > 0 && !slices.Contains(m.Channels, channel) || m.Match.Miss(f, now) != "" {
		return time.Time{}, false
	}
	return m.Window.Frozen(now)
}

func (r reader) mutes(n node) {
	names := map[string]int{}
	for _, item := range n.items() {
		m := Mute{Window: Freeze{Zone: time.UTC}, Line: item.line}
		w := &m.Window
		found := item.fields(map[string]func(node){
			"name":     func(n node) { w.Name = n.text() },
			"zone":     func(n node) { w.Zone = readZone(n) },
			"weekdays": func(n node) { w.Weekdays = readWeekdays(n) },
			"from":     func(n node) { w.From = readClock(n) },
			"to":       func(n node) { w.To = readClock(n) },
			"match":    func(n node) { m.Match = readAlertMatch(n) },
			"channels": func(n node) { m.Channels = n.texts(anyName) },
			"critical": func(n node) { m.Critical = n.boolean() },
		})
		item.require(found, "name", "name: TEXT, which the reasons show")
		w.complete(item, found)
		if before, twice := names[w.Name]; twice && w.Name != "" {
			item.problem("name %q is used twice, first on line %d: want names that differ", clip(w.Name), before)
		}
		names[w.Name] = item.line
		r.policy.Mutes = append(r.policy.Mutes, m)
	}
}

// noise reads what keeps a bad night readable.
func (r reader) noise(n node) {
	n.fields(map[string]func(node){
		"inhibit": func(n node) { r.policy.Noise.KeepAll = !n.boolean() },
		"storm":   func(n node) { r.policy.Noise.Storm = readStorm(n) },
	})
}

// Noise are the switches of what is built in against noise. Its zero value is all on.
type Noise struct {
	KeepAll bool // what follows from another incident that is open is told all the same
	Storm   Storm
}
