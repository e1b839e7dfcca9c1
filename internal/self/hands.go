package self

import (
	"fmt"
	"strings"
	"time"

	"cmkguard/internal/risk"
	"cmkguard/internal/wiring"
)

// named is how many lacking rights an alert names.
const named = 5

// JudgeHands answers SELF-006. idle is not empty where nothing is to act, and why.
func JudgeHands(f wiring.Fact[wiring.Hands], idle string, now time.Time) risk.Verdict {
	if idle != "" {
		return verdict(Hands, Us(), risk.OK, []risk.Evidence{{Call: "settings and policy", At: now.UTC(), Value: idle}}, "nothing is to act: %s", idle)
	}
	h := f.Value
	seen := []risk.Evidence{{Call: f.Call, At: f.At, Value: fmt.Sprintf("principal %s: %d rights needed, %d lacking, %d not known", h.Principal, h.Needs, len(h.Lacks), h.Unsure)}}
	switch {
	case !f.OK():
		seen[0].Value = f.Why
		return verdict(Hands, Us(), risk.Unknown, seen, "what the remediator may do cannot be told: %s", f.Why)
	case len(h.Lacks) > 0:
		var list []string
		for _, l := range h.Lacks[:min(named, len(h.Lacks))] {
			list = append(list, fmt.Sprintf("%s needs %s at %s", l.For, l.Action, l.Scope))
			seen = append(seen, risk.Evidence{Call: f.Call, At: f.At, Value: l.Why})
		}
		if more := len(h.Lacks) - named; more > 0 {
			list = append(list, fmt.Sprintf("and %d more", more))
		}
		return verdict(Hands, Us(), risk.Broken, seen, "the remediator (principal %s) lacks %d of %d rights: %s", h.Principal, len(h.Lacks), h.Needs, strings.Join(list, "; "))
	case h.Unsure > 0:
		return verdict(Hands, Us(), risk.Unknown, seen, "of %d rights that the remediator needs %d cannot be told: %s", h.Needs, h.Unsure, h.UnsureWhy)
	}
	return verdict(Hands, Us(), risk.OK, seen, "the remediator holds all of %d rights that it needs", h.Needs)
}
