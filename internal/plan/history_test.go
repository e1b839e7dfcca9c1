package plan_test

import (
	"fmt"
	"testing"
	"time"

	"cmkguard/internal/plan"
)

func TestLookBack(t *testing.T) {
	t.Parallel()
	f, inputs := world(t)
	p := plan.ForRotation(f, "hash", now)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	other := plan.Action{Plan: "x", Remedy: p.Remedy, Key: "other", At: ago(2 * time.Hour), Consumers: 1, Ended: plan.Done}
	with := func(c func(*plan.Action)) plan.Action { a := other; c(&a); return a }
	mine := func(a *plan.Action) { a.Key = p.Key.ID() }
	cases := map[string]struct {
		actions []plan.Action
		first   time.Duration
		gate    string
	}{
		"nothing yet": {nil, 0, ""},
		"under way":   {[]plan.Action{with(func(a *plan.Action) { mine(a); a.Ended = plan.Running; a.At = ago(200 * time.Hour) })}, 300 * time.Hour, "one-at-a-time"},
		"too soon":    {[]plan.Action{with(mine)}, 99 * time.Hour, "one-at-a-time"},
		"broke twice": {[]plan.Action{with(func(a *plan.Action) { a.Ended = plan.Failed }),
			with(func(a *plan.Action) { a.Ended = plan.Unexpected })}, 99 * time.Hour, "breaker"},
		"adoptions do not break": {[]plan.Action{other, other}, 99 * time.Hour, ""},
		"too many an hour":       {[]plan.Action{with(func(a *plan.Action) { a.At = ago(time.Minute); a.Consumers = 5 })}, 99 * time.Hour, "consumer-caps"},
		"too many a day":         {[]plan.Action{with(func(a *plan.Action) { a.Consumers = 20 })}, 99 * time.Hour, "consumer-caps"},
		"never enabled":          {nil, -1, "storm"},
		"ramp at its first step": {[]plan.Action{with(func(a *plan.Action) { a.At = now })}, 0, "storm"},
		"ramp two steps later":   {[]plan.Action{other}, 2 * time.Hour, ""},
		"own entry not counted":  {[]plan.Action{with(func(a *plan.Action) { mine(a); a.Plan = p.ID; a.Ended = plan.Running; a.Consumers = 99 })}, 0, ""},
		"reversed twice": {[]plan.Action{
			with(func(a *plan.Action) { mine(a); a.At = ago(150 * time.Hour); a.Reversed = ago(140 * time.Hour) }),
			with(func(a *plan.Action) { mine(a); a.At = ago(100 * time.Hour); a.Reversed = ago(90 * time.Hour) })}, 300 * time.Hour, "fight"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := plan.History{Actions: c.actions, FirstEnabled: map[string]time.Time{}, Bounds: plan.Bounds{
				MinBetween: 24 * time.Hour, Failures: 2, ConsumersPerHour: 5, ConsumersPerDay: 20, RampStep: time.Hour}}
			if c.first >= 0 {
				h.FirstEnabled[p.Remedy] = ago(c.first)
			}
			in := inputs
			in.History = &h
			rs := lookBack(plan.Gates(p, f, in))
			if len(rs) != 5 {
				t.Fatalf("%d rulings: every gate must answer", len(rs))
			}
			held := plan.Holding(rs)
			if c.gate == "" && len(held) > 0 || c.gate != "" && (len(held) != 1 || held[0].Gate != c.gate) {
				t.Errorf("held by %+v, want only %q", held, c.gate)
			}
		})
	}
}

// lookBack picks the rulings of the gates that look back.
func lookBack(rs []plan.Ruling) []plan.Ruling {
	var out []plan.Ruling
	for _, r := range rs {
		switch r.Gate {
		case "one-at-a-time", "breaker", "consumer-caps", "fight", "storm":
			out = append(out, r)
		}
	}
	return out
}

// Two hundred plans that piled up begin one, two, four... as steps pass, each
// asked again every minute, and all have begun when the ramp is above them.
func TestTheRampOfTwoHundred(t *testing.T) {
	t.Parallel()
	f, in := world(t)
	const plans, step = 200, 15 * time.Minute
	h := calm()
	h.Bounds.RampStep, h.Bounds.ConsumersPerHour, h.Bounds.ConsumersPerDay = step, 1000, 1000
	h.FirstEnabled[plan.Rotate] = now
	in.Policy.Limits.RotationsPerDay = 1000
	begun := map[int]bool{}
	for in.Now = now; in.Now.Sub(now) < 3*time.Hour; in.Now = in.Now.Add(time.Minute) {
		for n := range plans {
			if begun[n] {
				continue
			}
			p := plan.ForRotation(f, "hash", now)
			p.ID, p.Key.Name = fmt.Sprint("plan-", n), fmt.Sprint("key-", n)
			in.History = h
			if held := plan.Holding(lookBack(plan.Gates(p, f, in))); len(held) == 0 {
				begun[n] = true
				h.Actions = append(h.Actions, plan.Action{Plan: p.ID, Remedy: plan.Rotate, Key: p.Key.ID(), At: in.Now, Consumers: 1, Ended: plan.Done})
			}
		}
		if may := 1 << int(in.Now.Sub(now)/step); len(begun) != min(may, plans) {
			t.Fatalf("after %s: %d begun, want %d", in.Now.Sub(now), len(begun), min(may, plans))
		}
	}
}
