package policy

import (
	"fmt"
	"slices"
	"strings"

	"cmkguard/internal/azureid"
)

// Target is what a remedy would act on, as far as it is known. An empty field
// is matched by no pattern.
type Target struct {
	Subscription  string
	ResourceGroup string
	Cluster       string // ARM id
	ClusterName   string
	Key           azureid.Key
	Tags          map[string]string // of the cluster
}

// ModeFor returns what a remedy may do to a target by itself, and why: the
// first matching rule that names the remedy wins, else the policy's own mode
// for it, else DryRun. Nothing is above the compiled ceiling.
//
// A rule that matches by tags can only tighten what would hold without it:
// too many people write tags for them to release anything.
func (p *Policy) ModeFor(remedy string, t Target) (Mode, string) {
	mode, why := p.modeFor(remedy, t)
	if ceiling, ok := p.ceilings[remedy]; ok && mode.Rank() > ceiling.Rank() {
		return ceiling, "compiled ceiling " + string(ceiling)
	}
	return mode, why
}

func (p *Policy) modeFor(remedy string, t Target) (Mode, string) {
	tagMode, tagWhy := Mode(""), ""
	for _, rule := range p.Rules {
		mode, named := rule.Remedies[remedy]
		if !named || !rule.Match.matches(t) {
			continue
		}
		why := fmt.Sprintf("%s rule %s", p.where(rule.Line), rule.Name)
		if len(rule.Match.Tags) == 0 {
			return tighter(tagMode, tagWhy, mode, why)
		}
		tagMode, tagWhy = tighter(tagMode, tagWhy, mode, why)
	}
	if mode, named := p.Remedies[remedy]; named {
		return tighter(tagMode, tagWhy, mode, fmt.Sprintf("%s remedies.%s", p.where(p.lines["remedies."+remedy]), remedy))
	}
	return tighter(tagMode, tagWhy, DryRun, p.where(0)+" does not name "+remedy)
}

// tighter returns the tighter of the mode that tags ask for and the one that
// holds without them. A mode that is none at all is Off.
func tighter(tagMode Mode, tagWhy string, mode Mode, why string) (Mode, string) {
	if mode.Rank() < 0 {
		mode = Off
	}
	switch {
	case tagMode == "" || tagMode == mode:
		return mode, why
	case tagMode.Rank() < mode.Rank():
		return tagMode, tagWhy
	}
	return mode, fmt.Sprintf("%s; %s matches by tags, which only tighten", why, tagWhy)
}

// Auto reports whether anything lets the remedy run by itself anywhere.
func (p *Policy) Auto(remedy string) bool {
	if p.Remedies[remedy] == Auto {
		return true
	}
	return slices.ContainsFunc(p.Rules, func(r Rule) bool { return r.Remedies[remedy] == Auto })
}

// DryRun reports whether nothing lets any remedy act, by itself or by approval.
func (p *Policy) DryRun() bool {
	acts := func(modes map[string]Mode) bool {
		for _, m := range modes {
			if m.Rank() >= Approve.Rank() {
				return true
			}
		}
		return false
	}
	return !acts(p.Remedies) && !slices.ContainsFunc(p.Rules, func(r Rule) bool { return acts(r.Remedies) })
}

// Acts reports whether the policy lets the remedy change anything anywhere, by itself
// or by approval: then its rights are needed.
func (p *Policy) Acts(remedy string) bool {
	if p.Remedies[remedy].Rank() >= Approve.Rank() {
		return true
	}
	return slices.ContainsFunc(p.Rules, func(r Rule) bool { return r.Remedies[remedy].Rank() >= Approve.Rank() })
}

// Imported reports whether policy says that a key's material is imported, and
// why: such a key is never rotated, because its owner brings each version.
func (p *Policy) Imported(key azureid.Key) (bool, string) {
	for _, pattern := range p.ImportedMaterial {
		if matchKey(pattern, key) {
			return true, fmt.Sprintf("%s importedMaterial %s", p.where(p.lines["importedMaterial"]), pattern)
		}
	}
	return false, ""
}

// InScope reports whether a cluster may be acted on at all, and why not.
func (p *Policy) InScope(t Target) (bool, string) {
	at := p.where(p.lines["scope"])
	isListed := func(s string) bool { return strings.EqualFold(s, t.Subscription) }
	if len(p.Scope.Subscriptions) > 0 && !slices.ContainsFunc(p.Scope.Subscriptions, isListed) {
		return false, fmt.Sprintf("%s scope.subscriptions does not list %q", at, t.Subscription)
	}
	for _, pattern := range p.Scope.Exclude {
		if matchCluster(pattern, t) {
			return false, fmt.Sprintf("%s scope.exclude %s", at, pattern)
		}
	}
	return true, ""
}
