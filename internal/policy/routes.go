package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/risk"
)

// Route sends the alerts that it matches to channels. All routes that match
// apply.
type Route struct {
	Match    AlertMatch
	Channels []string
	Fallback []string      // told in a channel's place while that cannot be reached
	Repeat   time.Duration // told again this often until acknowledged; 0: once
	Escalate *Escalation   // nil: nobody else
	Line     int
}

// Escalation tells further channels of what nobody acknowledged.
type Escalation struct {
	After    time.Duration // since the problem was first told, or got worse
	Channels []string
}

// The kinds whose receivers keep incidents: each alert has a life of its own
// there, by its key, so that several cannot be told as one.
func keeps(kind string) bool {
	return kind == kindPagerDuty || kind == kindEventGrid || kind == kindAlertmanager
}

// Keeps reports whether the receiver keeps incidents by their key.
func (c Channel) Keeps() bool { return keeps(c.Kind) }

// HearsAcks reports whether the receiver is to hear that somebody works on an incident:
// it keeps incidents, or is a webhook that has a request for that, or none of its own and
// gets everything.
func (c Channel) HearsAcks() bool {
	if c.Kind != kindWebhook {
		return c.Keeps()
	}
	return len(c.Hook.Requests) == 0 || slices.ContainsFunc(c.Hook.Requests, func(r Request) bool { return slices.Contains(r.On, "acknowledge") })
}

// People reports whether somebody reads the channel: a log and a topic of events
// are read by machines.
func (c Channel) People() bool { return c.Kind != kindConsole && c.Kind != kindEventGrid }

// Channel returns the channel of the name.
func (p *Policy) Channel(name string) (Channel, bool) {
	i := slices.IndexFunc(p.Channels, func(c Channel) bool { return c.Name == name })
	if i < 0 {
		return Channel{}, false
	}
	return p.Channels[i], true
}

// Everybody returns the names of the channels that people read; of all channels,
// where people read none.
func (p *Policy) Everybody() []string {
	var people, all []string
	for _, c := range p.Channels {
		all = append(all, c.Name)
		if c.People() {
			people = append(people, c.Name)
		}
	}
	if len(people) == 0 {
		return all
	}
	return people
}

// Where names a line of the policy for a reason.
func (p *Policy) Where(line int) string { return p.where(line) }

// Warnings are what is allowed and probably not meant: severities that no route
// takes, severe alerts that nobody would read, and ears that nobody watches.
func (p *Policy) Warnings() []string {
	out := p.unrouted()
	if p.Declared.Events.Set() && !p.Declared.Resources.Set() {
		out = append(out, p.where(p.lines["eventSubscription"])+": eventSubscription says where vaults' events lead, and nothing says where those of whole subscriptions do: "+
			"nobody is told when they stop (SELF-001); set resourceEvents, unless you have none")
	}
	return out
}

func (p *Policy) unrouted() []string {
	var out []string
	for _, sev := range [...]risk.Severity{risk.Critical, risk.High, risk.Medium, risk.Low, risk.Info} {
		severe := sev.Rank() >= risk.High.Rank()
		taken, read := false, false
		for _, r := range p.Routes {
			if r.Match.missSeverity(sev) != "" {
				continue
			}
			taken = true
			for _, name := range r.Channels {
				c, ok := p.Channel(name)
				read = read || ok && c.People()
			}
		}
		switch {
		case !taken && severe:
			out = append(out, fmt.Sprintf("%s: alerts: no route takes %s: each such alert goes to every channel that people read (%s) and says so; name a route for it",
				p.where(p.lines["alerts"]), sev, strings.Join(p.Everybody(), ", ")))
		case !taken:
			out = append(out, fmt.Sprintf("%s: alerts: no route takes %s: nobody is told of it, and only the journal shows it", p.where(p.lines["alerts"]), sev))
		case severe && !read && p.File != "" && p.lines["channels"] > 0:
			out = append(out, fmt.Sprintf("%s: alerts: %s goes to channels only that no person reads: add one of another kind than console and eventgrid", p.where(p.lines["alerts"]), sev))
		}
	}
	return out
}
