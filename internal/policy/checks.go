package policy

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/google/uuid"

	"cmkguard/internal/risk"
)

// readChecks reads what the checks compare with. A limit that is left out keeps
// its default; none can turn a check off.
func readChecks(n node, l *risk.Limits) {
	found := n.fields(map[string]func(node){
		"minRsaBits":    func(n node) { l.MinRSABits = n.number(2048, 8192) },
		"hsm":           func(n node) { l.RequireHSM = n.boolean() },
		"maxValidity":   func(n node) { l.MaxValidity = n.duration() },
		"maxActive":     func(n node) { l.MaxActive = n.duration() },
		"rotationSlack": func(n node) { l.RotationSlack = n.duration() },
		"retentionDays": func(n node) { l.RetentionDays = n.number(7, 90) },
		"regions":       func(n node) { l.Regions = n.texts(checkRegion) },
		"breakGlass":    func(n node) { l.BreakGlass = n.texts(checkObjectID) },
		"maxKeyAdmins":  func(n node) { l.MaxKeyAdmins = n.number(1, 1000) },
		"manyConsumers": func(n node) { l.ManyConsumers = n.number(2, 100_000) },
		"requiredTags":  func(n node) { l.RequiredTags = n.texts(checkTagName) },
		"sensitiveTags": func(n node) { l.SensitiveTags = readValues(n) },
		"eventTargets":  func(n node) { l.EventTargets = n.texts(checkTagName) },
	})
	if found != nil && len(found) == 0 {
		n.problem("is empty: leave it out, or set one of its limits")
	}
}

// readValues reads lists of values by tag name.
func readValues(n node) map[string][]string {
	out := map[string][]string{}
	entries := n.entries()
	for _, e := range entries {
		out[e.name] = e.texts(checkTagName)
	}
	if n.isMapping() && len(entries) == 0 {
		n.problem("names no tag: want NAME: [VALUE, ...]")
	}
	return out
}

func checkRegion(s string) error {
	for _, r := range s {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != ' ' {
			return fmt.Errorf("%q is no region: want its name, such as westeurope", clip(s))
		}
	}
	return nil
}

func checkObjectID(s string) error {
	if _, err := uuid.Parse(s); err != nil {
		return fmt.Errorf("%q is no object id: want the GUID of the user, group or service principal", clip(s))
	}
	return nil
}

func checkTagName(s string) error {
	if strings.ContainsFunc(s, unicode.IsControl) || len(s) > 512 {
		return fmt.Errorf("%q is no text of at most 512 characters on one line", clip(s))
	}
	return nil
}
