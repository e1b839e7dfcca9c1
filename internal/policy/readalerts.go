package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/risk"
)

func (r reader) alerts(n node) {
	r.policy.Routes = nil
	for _, item := range n.items() {
		r.policy.Routes = append(r.policy.Routes, readRoute(item))
	}
}

func readRoute(n node) Route {
	route := Route{Line: n.line}
	var short risk.Severity // minSeverity beside channels: the smallest form
	found := n.fields(map[string]func(node){
		"minSeverity": func(n node) { short = readSeverity(n) },
		"match":       func(n node) { route.Match = readAlertMatch(n) },
		"channels":    func(n node) { route.Channels = n.texts(anyName) },
		"fallback":    func(n node) { route.Fallback = n.texts(anyName) },
		"repeat":      func(n node) { route.Repeat = n.atLeast(shortestAgain) },
		"escalate":    func(n node) { route.Escalate = readEscalation(n) },
	})
	n.require(found, "channels", "channels: [NAME]")
	switch {
	case found == nil:
	case !found["minSeverity"] && !found["match"]:
		n.problem("has neither minSeverity nor match: want critical, high, medium, low or info, or match: {...}")
	case found["minSeverity"] && route.Match.MinSeverity != "":
		n.problem("has minSeverity twice, here and in match: want it once")
	case short != "":
		route.Match.MinSeverity = short
	}
	for _, name := range route.Fallback {
		if slices.Contains(route.Channels, name) {
			n.problem("fallback %q is among its channels: want another one, which is told when they cannot be", clip(name))
		}
	}
	return route
}

// anyName takes any text: which channels there are is known at the end.
func anyName(string) error { return nil }

// shortestAgain is the least between two reminders.
const shortestAgain = 5 * time.Minute

func readEscalation(n node) *Escalation {
	e := &Escalation{}
	found := n.fields(map[string]func(node){
		"after":    func(n node) { e.After = n.atLeast(time.Minute) },
		"channels": func(n node) { e.Channels = n.texts(anyName) },
	})
	n.require(found, "after", "after: 15m")
	n.require(found, "channels", "channels: [NAME]")
	return e
}

// atLeast reads a duration that is not below least.
func (n node) atLeast(least time.Duration) time.Duration {
	d := n.duration()
	if d > 0 && d < least {
		n.problem("is below %s, which would only be noise", least)
	}
	return d
}

func readAlertMatch(n node) AlertMatch {
	var m AlertMatch
	found := n.fields(map[string]func(node){
		"minSeverity":   func(n node) { m.MinSeverity = readSeverity(n) },
		"severities":    func(n node) { m.Severities = readSeverities(n) },
		"families":      func(n node) { m.Families = n.texts(checkFamily) },
		"checks":        func(n node) { m.Checks = n.texts(checkCheck) },
		"subscriptions": func(n node) { m.Subscriptions = n.texts(checkSubscription) },
		"tags":          func(n node) { m.Tags = readTags(n) },
		"vaults":        func(n node) { m.Vaults = n.texts(checkNames) },
		"subjects":      func(n node) { m.Subjects = n.texts(checkNames) },
		"lifecycle":     func(n node) { m.Lifecycle = n.texts(checkLifecycle) },
		"hours":         func(n node) { m.Hours = readHours(n) },
	})
	if found != nil && m.IsZero() && len(found) == 0 {
		n.problem("is empty: want at least one field; for every alert, minSeverity: info")
	}
	return m
}

func readSeverities(n node) []risk.Severity {
	var out []risk.Severity
	for _, item := range n.items() {
		if s := readSeverity(item); s.Rank() > 0 {
			out = append(out, s)
		}
	}
	return out
}

func readHours(n node) *Freeze {
	f := &Freeze{Zone: time.UTC}
	found := n.fields(map[string]func(node){
		"zone":     func(n node) { f.Zone = readZone(n) },
		"weekdays": func(n node) { f.Weekdays = readWeekdays(n) },
		"from":     func(n node) { f.From = readClock(n) },
		"to":       func(n node) { f.To = readClock(n) },
	})
	f.complete(n, found)
	return f
}

// complete reports what a window of the week lacks.
func (f *Freeze) complete(n node, found map[string]bool) {
	n.require(found, "zone", "zone: Europe/Berlin, or UTC")
	n.require(found, "from", `from: "22:00"`)
	n.require(found, "to", `to: "06:00"`)
	if found["from"] && found["to"] && f.From == f.To {
		n.problem("from and to are the same time: want them to differ; for whole days, 00:00 to 24:00")
	}
}

// checkFamily refuses what is no family of checks.
func checkFamily(s string) error {
	known := []string{"self", "work"}
	for _, c := range risk.Catalogue() {
		if !slices.Contains(known, c.Family) {
			known = append(known, c.Family)
		}
	}
	if slices.Contains(known, s) {
		return nil
	}
	return fmt.Errorf("%q is no family of checks: want one of %s", clip(s), strings.Join(known, ", "))
}

// checkCheck refuses a pattern that no check's id matches: a typing error there
// would keep people from being told.
func checkCheck(s string) error {
	if strings.HasPrefix(strings.ToUpper(s), "SELF-") {
		return nil
	}
	if slices.ContainsFunc(risk.Catalogue(), func(c risk.Check) bool { return glob(s, c.ID) }) {
		return nil
	}
	return fmt.Errorf("%q matches no check: want an id such as CMK-050, or a pattern such as CMK-05*", clip(s))
}

// checkNames refuses what cannot be a pattern of a vault's or a subject's name.
func checkNames(s string) error {
	if i := strings.IndexAny(s, "?[]{}()^$|\\ "); i >= 0 {
		return fmt.Errorf("%q is no pattern: want a name, an ARM id or HOST/KEY in which * is the only wildcard", clip(s))
	}
	return nil
}

// checkLifecycle refuses what is no state of an alert's life.
func checkLifecycle(s string) error {
	switch s {
	case "trigger", "update", "acknowledge", "resolve", "notice":
		return nil
	}
	return fmt.Errorf("%q is no state of an alert: want trigger, update, acknowledge, resolve or notice", clip(s))
}

// routeAll sends everything everywhere where channels are named and no routes:
// a policy must not make the product silent by leaving something out.
func (r reader) routeAll() {
	route := Route{Match: AlertMatch{MinSeverity: risk.Info}}
	for _, c := range r.policy.Channels {
		route.Channels = append(route.Channels, c.Name)
	}
	r.policy.Routes = []Route{route}
}

// checkRoutes runs last, because channels may stand below the routes.
func (r reader) checkRoutes(n node, named bool) {
	for i, route := range r.policy.Routes {
		at := n.child("alerts", route.Line, nil).child(fmt.Sprintf("[%d]", i), route.Line, nil)
		all := slices.Concat(route.Channels, route.Fallback)
		if route.Escalate != nil {
			all = append(all, route.Escalate.Channels...)
		}
		for _, name := range all {
			r.checkName(at, name, named)
		}
	}
	for i, m := range r.policy.Mutes {
		for _, name := range m.Channels {
			r.checkName(n.child("mute", m.Line, nil).child(fmt.Sprintf("[%d]", i), m.Line, nil), name, named)
		}
	}
}

func (r reader) checkName(at node, name string, named bool) {
	if _, ok := r.policy.Channel(name); ok {
		return
	}
	if !named {
		at.problem("channel %q is unknown: without channels there is only console", clip(name))
		return
	}
	known := map[string]bool{}
	for _, c := range r.policy.Channels {
		known[c.Name] = true
	}
	at.problem("channel %q is unknown: want one of %s", clip(name), strings.Join(sortedKeys(known), ", "))
}
