package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Group has a channel's alerts told together.
type Group struct {
	By       []string      // what the alerts of one group have in common: of GroupsBy
	Wait     time.Duration // from the first alert of a group to its message
	Interval time.Duration // from one message of a group to the next
}

// GroupsBy are the things by which alerts are grouped.
func GroupsBy() []string {
	return []string{"vault", "key", "check", "family", "severity", "subscription", "owner"}
}

// Storm says from when on what comes to a channel is told as one. Its zero value is on,
// with the usual numbers.
type Storm struct {
	Off    bool
	More   int           // so many messages are told by themselves ...
	Within time.Duration // ... in such a time; and it is over when it was quiet for as long
}

const (
	usualWait     = 30 * time.Second
	usualInterval = 5 * time.Minute
	usualMore     = 20
	usualWithin   = 10 * time.Minute
)

// groups reports whether a message about several alerts suits the kind's receivers:
// people, who keep no incident by its key.
func groups(kind string) bool {
	return kind == kindSlack || kind == kindTeams || kind == kindEmail
}

// Storm returns when what comes to the channel is told as one; false: never. Machines
// take each by itself.
func (p *Policy) Storm(channel string) (Storm, bool) {
	c, ok := p.Channel(channel)
	if s := p.Noise.Storm; !ok || s.Off || !groups(c.Kind) && c.Kind != kindPagerDuty {
		return Storm{}, false
	}
	s := p.Noise.Storm
	if s.More == 0 {
		s.More = usualMore
	}
	if s.Within == 0 {
		s.Within = usualWithin
	}
	return s, true
}

func readGroup(n node) *Group {
	g := &Group{By: []string{"vault"}, Wait: usualWait, Interval: usualInterval}
	n.fields(map[string]func(node){
		"by":       func(n node) { g.By = n.texts(checkGroupBy) },
		"wait":     func(n node) { g.Wait = n.between(5*time.Second, 10*time.Minute) },
		"interval": func(n node) { g.Interval = n.between(time.Minute, 24*time.Hour) },
	})
	return g
}

// checkGroupBy refuses what alerts cannot be grouped by.
func checkGroupBy(s string) error {
	if slices.Contains(GroupsBy(), s) {
		return nil
	}
	return fmt.Errorf("%q is nothing to group by: want one of %s", clip(s), strings.Join(GroupsBy(), ", "))
}

// checkGroup refuses groups where each alert has a life of its own.
func checkGroup(n node, c Channel) {
	switch {
	case c.Group == nil || c.Kind == "" || groups(c.Kind):
	case keeps(c.Kind):
		n.problem("is of kind %s with a group: its receiver keeps each alert by its key, to acknowledge and resolve it; want no group here, and group on slack, teams or email", c.Kind)
	default:
		n.problem("is of kind %s with a group: a program takes each alert by itself; want no group here, and group on slack, teams or email", c.Kind)
	}
}

// readStorm reads the numbers, or true or false.
func readStorm(n node) Storm {
	var s Storm
	if !n.isMapping() {
		s.Off = !n.boolean()
		return s
	}
	n.fields(map[string]func(node){
		"more":   func(n node) { s.More = n.number(5, 50) },
		"within": func(n node) { s.Within = n.between(time.Minute, time.Hour) },
	})
	return s
}

// between reads a duration within bounds.
func (n node) between(least, most time.Duration) time.Duration {
	d := n.duration()
	if d > 0 && (d < least || d > most) {
		n.problem("is %s: want from %s to %s", d, least, most)
	}
	return d
}
