package policy

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"cmkguard/internal/risk"
)

// reader fills a policy from the file's nodes.
type reader struct {
	policy   *Policy
	ceilings map[string]Mode
}

func defaultLimits() Limits {
	return Limits{
		Risk:             risk.Defaults(),
		MinVersionAge:    7 * 24 * time.Hour,
		RotationsPerDay:  10,
		ConsumersPerRun:  20,
		RotationDueGuard: 7 * 24 * time.Hour,
		MinBetween:       10 * time.Minute,
		FailuresPerDay:   3,
		ConsumersPerHour: 50,
		ConsumersPerDay:  200,
		RampStep:         15 * time.Minute,
		ReconcileEvery:   time.Hour,
		BacklogAge:       time.Hour,
		KeptInput:        25,
	}
}

func (r reader) root(n node) {
	p := r.policy
	note := func(name string, read func(node)) func(node) { return func(n node) { p.lines[name] = n.line; read(n) } }
	seen := n.fields(r.sections(note))
	p.derive()
	if seen == nil {
		return
	}
	n.require(seen, "version", "version: 1")
	if seen["channels"] && !seen["alerts"] {
		r.routeAll()
	}
	r.checkRoutes(n, seen["channels"])
}

// sections are the top-level fields.
func (r reader) sections(note func(string, func(node)) func(node)) map[string]func(node) {
	p := r.policy
	return map[string]func(node){
		"version":               note("version", checkVersion),
		"pause":                 note("pause", func(n node) { p.Pause = n.boolean() }),
		"scope":                 note("scope", r.scope),
		"owner":                 note("owner", r.owner),
		"remedies":              note("remedies", func(n node) { p.Remedies = r.remedies(n) }),
		"consumersMustBeKnown":  note("consumersMustBeKnown", func(n node) { p.ConsumersMustBeKnown = n.boolean() }),
		"importedMaterial":      note("importedMaterial", func(n node) { p.ImportedMaterial = n.texts(checkKeyPattern) }),
		"limits":                note("limits", r.limits),
		"approvals":             note("approvals", r.approvals),
		"exemptions":            note("exemptions", r.exemptions),
		"erasableKeys":          note("erasableKeys", func(n node) { p.ErasableKeys = n.texts(checkKeyPattern) }),
		"grantScope":            note("grantScope", r.grantScope),
		"diagnostics":           note("diagnostics", r.diagnostics),
		"eventSubscription":     note("eventSubscription", r.eventSubscription),
		"resourceEvents":        note("resourceEvents", r.resourceEvents),
		"restoreAccessPolicies": note("restoreAccessPolicies", func(n node) { p.Declared.AccessPolicies = n.boolean() }),
		"rotationPolicy":        note("rotationPolicy", r.rotationPolicy),
		"checks":                note("checks", func(n node) { readChecks(n, &p.Limits.Risk) }),
		"rules":                 note("rules", r.rules),
		"templates":             note("templates", r.templates),
		"runbooks":              note("runbooks", func(n node) { p.Runbooks = readPageURL(n) }),
		"freeze":                note("freeze", r.freezes),
		"channels":              note("channels", r.channels),
		"alerts":                note("alerts", r.alerts),
		"mute":                  note("mute", r.mutes),
		"noise":                 note("noise", r.noise),
		"heartbeat":             note("heartbeat", r.heartbeat),
		"drills":                note("drills", r.drills),
	}
}

func checkVersion(n node) {
	if y, ok := n.yaml.(*ast.IntegerNode); !ok || y.Value != uint64(1) {
		n.problem("is not 1: this build reads version: 1 only")
	}
}

func (r reader) scope(n node) {
	s := &r.policy.Scope
	n.fields(map[string]func(node){
		"subscriptions": func(n node) { s.Subscriptions = n.texts(checkSubscription) },
		"exclude":       func(n node) { s.Exclude = n.texts(checkPattern) },
	})
}

// remedies reads modes by remedy name. Nothing above a ceiling passes: a policy
// that is refused is seen, a mode that was lowered in silence is not.
func (r reader) remedies(n node) map[string]Mode {
	out := map[string]Mode{}
	entries := n.entries()
	if n.isMapping() && len(entries) == 0 {
		n.problem("names no remedy: want one of %s", strings.Join(sortedKeys(r.ceilings), ", "))
	}
	for _, e := range entries {
		r.policy.lines[e.path] = e.line
		ceiling, known := r.ceilings[e.name]
		if !known {
			e.problem("is no remedy: want one of %s", strings.Join(sortedKeys(r.ceilings), ", "))
			continue
		}
		mode := Mode(e.text())
		switch {
		case mode == "":
		case mode.Rank() < 0:
			e.problem("%q is no mode: want off, dry-run, approve or auto", clip(string(mode)))
		case mode.Rank() > ceiling.Rank():
			e.problem("%s is above the ceiling of this remedy, which is compiled in: want %s or tighter", mode, ceiling)
		default:
			out[e.name] = mode
		}
	}
	return out
}

func (r reader) limits(n node) {
	l := &r.policy.Limits
	n.fields(map[string]func(node){
		"expiryWarning":    func(n node) { l.Risk.ExpiryWarning = n.duration() },
		"adoptionWait":     func(n node) { l.Risk.AdoptionWait = n.duration() },
		"minVersionAge":    func(n node) { l.MinVersionAge = n.duration() },
		"rotationDueGuard": func(n node) { l.RotationDueGuard = n.duration() },
		"rotationsPerDay":  func(n node) { l.RotationsPerDay = n.number(0, 1000) },
		"consumersPerRun":  func(n node) { l.ConsumersPerRun = n.number(0, 1000) },
		"minBetween":       func(n node) { l.MinBetween = n.duration() },
		"failuresPerDay":   func(n node) { l.FailuresPerDay = n.number(1, 1000) },
		"consumersPerHour": func(n node) { l.ConsumersPerHour = n.number(0, 10000) },
		"consumersPerDay":  func(n node) { l.ConsumersPerDay = n.number(0, 10000) },
		"reconcileEvery":   func(n node) { l.ReconcileEvery = n.duration() },
		"backlogAge":       func(n node) { l.BacklogAge = n.duration() },
		"keptInput":        func(n node) { l.KeptInput = n.number(0, 1000) },
		"deadLetters":      func(n node) { l.DeadLetters = n.number(0, 1000) },
		"rampStep":         func(n node) { l.RampStep = n.duration() },
	})
}

// duration reads "30d", "2h", "90m" and their sums such as "1d12h".
func (n node) duration() time.Duration {
	if _, ok := n.yaml.(*ast.StringNode); !ok {
		n.problem("is %s: want a duration such as 30d, 2h or 90m", describe(n.yaml))
		return 0
	}
	s := n.text()
	d, err := parseDuration(s)
	if s != "" && err != nil {
		n.problem("%q %v: want a duration such as 30d, 2h or 90m", clip(s), err)
	}
	return d
}

func parseDuration(s string) (time.Duration, error) {
	const day, most = 24 * time.Hour, 3650 * 24 * time.Hour
	var total time.Duration
	rest := s
	if days, after, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, fmt.Errorf("is no duration")
		}
		total, rest = time.Duration(n)*day, after
	}
	if rest != "" {
		d, err := time.ParseDuration(rest)
		if err != nil || d < 0 || rest[0] == '+' || rest[0] == '-' {
			return 0, fmt.Errorf("is no duration")
		}
		total = min(total, most) + min(d, most)
	}
	if total <= 0 || total > most {
		return 0, fmt.Errorf("is not above zero and at most ten years")
	}
	return total, nil
}
