package setrotationpolicy_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/plan"
	"cmkguard/internal/remedy/setrotationpolicy"
	"cmkguard/internal/wiring"
)

type vault struct {
	fact wiring.Fact[wiring.RotationPolicy]
	set  []wiring.RotationPolicy
}

func (v *vault) Rotation(context.Context, azureid.Key) wiring.Fact[wiring.RotationPolicy] {
	return v.fact
}

func (v *vault) SetRotation(_ context.Context, _ azureid.Key, p wiring.RotationPolicy, _ string) error {
	v.set = append(v.set, p)
	return nil
}

const (
	before = `{"expiryTime":"","actions":[{"type":"Notify","timeBeforeExpiry":"P30D"}]}`
	wanted = `{"expiryTime":"P2Y","actions":[{"type":"Rotate","timeAfterCreate":"P365D"},{"type":"Notify","timeBeforeExpiry":"P30D"}]}`
)

func planned(from, to string) plan.Plan {
	k := azureid.Key{Host: "kv-a.vault.azure.net", Name: "kek"}
	return plan.Plan{Key: k, Subject: event.Subject{Kind: event.SubjectKey, ID: k.ID()}, Steps: []plan.Step{{From: from, To: to, Key: "k"}}}
}

// What was changed since the plan, by whomever, is not overwritten.
func TestOnlyThePolicyThatThePlanKnewIsReplaced(t *testing.T) {
	t.Parallel()
	at := time.Unix(1790000000, 0)
	read := func(text string) wiring.Fact[wiring.RotationPolicy] {
		p, err := plan.DecodeRotation(text)
		if err != nil {
			t.Fatal(err)
		}
		return wiring.Read(p, "GET", at)
	}
	gone := wiring.NotThere[wiring.RotationPolicy]("GET", at, "404")
	for name, c := range map[string]struct {
		from string
		fact wiring.Fact[wiring.RotationPolicy]
		done bool
		stop string
	}{
		"as it was":        {before, read(before), false, ""},
		"as wanted":        {before, read(wanted), true, ""},
		"other letters":    {before, read(strings.NewReplacer("P2Y", "p24m", "Rotate", "rotate").Replace(wanted)), true, ""},
		"somebody's other": {before, read(strings.Replace(wanted, "P365D", "P90D", 1)), false, "changed since"},
		"gone":             {before, gone, false, "gone since"},
		"none, as it was":  {plan.NoRotationPolicy, gone, false, ""},
		"none, then one":   {plan.NoRotationPolicy, read(before), false, "changed since"},
	} {
		e, err := setrotationpolicy.Effect(&vault{fact: c.fact}, planned(c.from, wanted), "p")
		if err != nil {
			t.Fatal(err)
		}
		s, err := e.Look(t.Context(), time.Time{})
		if err != nil || s.Done != c.done || (c.stop == "") != (s.Stop == "") || !strings.Contains(s.Stop, c.stop) {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
}

func TestAnUnreadPolicyIsNotReplaced(t *testing.T) {
	t.Parallel()
	v := &vault{fact: wiring.Failed[wiring.RotationPolicy]("GET", time.Now(), "403")}
	e, err := setrotationpolicy.Effect(v, planned(before, wanted), "p")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Look(t.Context(), time.Time{}); !fault.Is(err, fault.Transient) {
		t.Fatal(err)
	}
	if _, err := e.Act(t.Context(), "id"); err != nil || len(v.set) != 1 || len(v.set[0].Actions) != 2 {
		t.Fatalf("%+v %v", v.set, err)
	}
	if _, err := setrotationpolicy.Effect(v, planned("{", wanted), "p"); !fault.Is(err, fault.Invalid) {
		t.Fatal(err)
	}
}
