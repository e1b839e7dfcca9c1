package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/drill"
)

// Drills are the exercises that are run by themselves. Its zero value: none.
type Drills struct {
	Every     time.Duration
	Scenarios []string
}

const minDrill = 24 * time.Hour // an exercise alerts people

func (r reader) drills(n node) {
	d := &r.policy.Drills
	found := n.fields(map[string]func(node){
		"every": func(n node) {
			if d.Every = n.duration(); d.Every != 0 && d.Every < minDrill {
				n.problem("is below 1d: every exercise alerts people")
			}
		},
		"scenarios": func(n node) { d.Scenarios = n.texts(checkScenario) },
	})
	n.require(found, "every", "every: 30d")
	n.require(found, "scenarios", "scenarios: ["+scenarioNames()+"]")
	slices.Sort(d.Scenarios)
	d.Scenarios = slices.Compact(d.Scenarios)
}

func checkScenario(s string) error {
	if _, ok := drill.Find(s); !ok {
		return fmt.Errorf("%q is no exercise: want %s", clip(s), scenarioNames())
	}
	return nil
}

func scenarioNames() string {
	var out []string
	for _, s := range drill.Scenarios() {
		out = append(out, s.Name)
	}
	return strings.Join(out, ", ")
}
