// Package route chooses the channels of an alert by the policy, and says why:
// values go in, a choice with its reasons comes out.
//
// It sends nothing, and what keeps an alert back for a while (silences, mute
// windows) is decided when it is sent, not here.
package route

import (
	"slices"
	"strings"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/policy"
	"cmkguard/internal/risk"
)

// Choice is where an alert goes.
type Choice struct {
	Targets []alert.Target
	Routes  []Ruling // one per route of the policy, in its order
	// Note is what the alert says about its way, such as that no route takes it;
	// "" where there is nothing to say.
	Note string
	// Repeat and Escalate are what the matching routes ask for while nobody
	// acknowledges the problem.
	Repeat   []Repeat
	Escalate []policy.Escalation
}

// Repeat tells one channel again.
type Repeat struct {
	Channel string
	Every   time.Duration
}

// Ruling is what one route said.
type Ruling struct {
	Where    string // policy.yaml:31
	Channels []string
	Miss     string // why it does not take the alert; "" if it does
}

// Channels are the names of the targets.
func (c Choice) Channels() []string {
	out := make([]string, len(c.Targets))
	for i, t := range c.Targets {
		out[i] = t.Channel
	}
	return out
}

// Decide chooses. told are the channels that were told of the problem before: they
// are told of what becomes of it, whatever the hour and the severity are by then.
//
// Every route that matches applies. An alert of high or critical that none takes
// goes to every channel that people read: a policy must not fall silent by a gap.
func Decide(p *policy.Policy, a alert.Alert, told []string, now time.Time) Choice {
	var c Choice
	if a.Lifecycle == alert.Acknowledge {
		c.keepers(p, told)
		return c
	}
	f := Facts(a)
	for _, r := range p.Routes {
		ruling := Ruling{Where: p.Where(r.Line), Channels: r.Channels, Miss: r.Match.Miss(f, now)}
		if ruling.Miss == "" && a.Lifecycle == alert.Resolve && len(told) > 0 && !slices.Contains(r.Match.Lifecycle, string(alert.Resolve)) {
			r.Channels = common(r.Channels, told)
			ruling.Miss = cond(len(r.Channels) == 0, "nobody there was told of the problem")
		}
		c.Routes = append(c.Routes, ruling)
		if ruling.Miss == "" {
			c.take(r, ruling.Where)
		}
	}
	for _, name := range told {
		c.add(p, name, "was told of the problem before")
	}
	if len(c.Targets) == 0 && (a.Severity.Rank() >= risk.High.Rank() || a.Severity.Rank() == 0) {
		c.Note = "no route of the policy takes this alert, so it goes to every channel that people read"
		for _, name := range p.Everybody() {
			c.add(p, name, "no route takes it")
		}
	}
	return c
}

// take adds what a matching route asks for.
func (c *Choice) take(r policy.Route, where string) {
	for _, name := range r.Channels {
		i := slices.IndexFunc(c.Targets, func(t alert.Target) bool { return t.Channel == name })
		if i < 0 {
			c.Targets = append(c.Targets, alert.Target{Channel: name, Fallback: slices.Clone(r.Fallback), Why: where})
			continue
		}
		t := &c.Targets[i]
		t.Why, t.Fallback = t.Why+", "+where, union(t.Fallback, r.Fallback)
	}
	if r.Repeat > 0 {
		for _, name := range r.Channels {
			c.repeat(name, r.Repeat)
		}
	}
	if r.Escalate != nil {
		c.Escalate = append(c.Escalate, *r.Escalate)
	}
}

func (c *Choice) repeat(name string, every time.Duration) {
	i := slices.IndexFunc(c.Repeat, func(r Repeat) bool { return r.Channel == name })
	if i < 0 {
		c.Repeat = append(c.Repeat, Repeat{name, every})
		return
	}
	c.Repeat[i].Every = min(c.Repeat[i].Every, every)
}

// Named are targets of the names, with the fallbacks that routes give them. A channel
// that the policy does not have any more is left out.
func Named(p *policy.Policy, names []string, why string) []alert.Target {
	var c Choice
	for _, name := range names {
		c.add(p, name, why)
	}
	return c.Targets
}

// add adds a channel that no route chose now. It keeps the fallbacks that routes give
// it.
func (c *Choice) add(p *policy.Policy, name, why string) {
	_, known := p.Channel(name)
	if !known || slices.Contains(c.Channels(), name) {
		return
	}
	t := alert.Target{Channel: name, Why: why}
	for _, r := range p.Routes {
		if slices.Contains(r.Channels, name) {
			t.Fallback = union(t.Fallback, r.Fallback)
		}
	}
	c.Targets = append(c.Targets, t)
}

// keepers adds the receivers that keep incidents, of those that were told: only
// they have something to acknowledge.
func (c *Choice) keepers(p *policy.Policy, told []string) {
	for _, name := range told {
		if ch, ok := p.Channel(name); ok && ch.HearsAcks() {
			c.add(p, name, "keeps the incident")
		}
	}
}

func cond(yes bool, text string) string {
	if yes {
		return text
	}
	return ""
}

// common are those of a that are in b.
func common(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return !slices.Contains(b, s) })
}

func union(a, b []string) []string {
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(a, s)
		}
	}
	return a
}

// Facts is what an alert is matched by: of its whole tags, so it is asked before
// the alert is cut to size.
func Facts(a alert.Alert) policy.AlertFacts {
	f := policy.AlertFacts{
		Severity: a.Severity, Check: a.Check, Family: family(a), Lifecycle: string(a.Lifecycle),
		Subject: a.Subject, Vault: a.Vault,
	}
	f.Subscriptions = union(f.Subscriptions, subscription(a.Subject))
	for _, i := range a.Impact {
		f.Subscriptions = union(f.Subscriptions, subscription(i.Cluster))
		f.Tags = append(f.Tags, i.Tags)
	}
	return f
}

// family is that of the check. What no check asks is about the guard itself
// ("self") or about what it does ("work").
func family(a alert.Alert) string {
	if c, ok := risk.Find(a.Check); ok {
		return c.Family
	}
	switch {
	case a.GroupKey == "self", a.GroupKey == "poison", strings.HasPrefix(a.Check, "SELF-"):
		return "self"
	case strings.HasPrefix(a.DedupKey, "cmkguard/claim/"), strings.HasPrefix(a.DedupKey, "cmkguard/unseen/"):
		return risk.FamilyUse
	}
	return "work"
}

// subscription is the id in an ARM id, or none.
func subscription(id string) []string {
	_, rest, ok := strings.Cut(strings.ToLower(id), "/subscriptions/")
	if !ok {
		return nil
	}
	sub, _, _ := strings.Cut(rest, "/")
	return []string{sub}
}
