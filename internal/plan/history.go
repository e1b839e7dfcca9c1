package plan

import (
	"time"

	"cmkguard/internal/policy"
)

// Ended says how an earlier action came out.
type Ended string

// The endings. An adoption by the service itself is expected and is Done.
const (
	Running    Ended = "running"
	Done       Ended = "done"
	Failed     Ended = "failed"
	Unexpected Ended = "unexpected" // read back as neither the old nor the wanted state
)

// Action is one earlier action of ours, as the record has it.
type Action struct {
	Plan      string    `json:"plan"`
	Remedy    string    `json:"remedy"`
	Key       string    `json:"key"` // azureid.Key.ID()
	Subject   string    `json:"subject"`
	At        time.Time `json:"at"`
	Consumers int       `json:"consumers"`
	Ended     Ended     `json:"ended"`
	// Reversed is when somebody else undid it; zero if nobody did.
	Reversed time.Time `json:"reversed,omitzero"`
}

// Bounds are the numbers of the gates that look back.
type Bounds struct {
	MinBetween       time.Duration // between two actions on one key
	Failures         int           // in 24 hours that open the breaker
	ConsumersPerHour int
	ConsumersPerDay  int
	RampStep         time.Duration // the storm guard doubles what may start once per step
}

// History is what the gates that look back compare a plan with. Actions must
// reach back seven days; a plan's own entry is not counted against it.
type History struct {
	Bounds       Bounds
	Actions      []Action
	Own          string               // a plan whose action does not count: the one that asks
	FirstEnabled map[string]time.Time // per remedy: when it was first let run by itself
}

// lookBack asks every gate that looks back. All answer.
func lookBack(p Plan, f Facts, in Inputs) []Ruling {
	if in.History == nil {
		return []Ruling{hold("history", "what was done before could not be read")}
	}
	h, now := *in.History, in.Now
	out := []Ruling{gateOneAtATime(p, h, now), gateBreaker(p, h, now), gateConsumerCaps(p, h, now), gateFight(p, h, now)}
	if ByItself(p.Remedy) {
		out = append(out, gateStorm(p, f, in))
	}
	return out
}

// others returns the actions of other plans in the last d.
func (h History) others(p Plan, now time.Time, d time.Duration) []Action {
	var out []Action
	for _, a := range h.Actions {
		if a.Plan != p.ID && a.Plan != h.Own && a.At.After(now.Add(-d)) {
			out = append(out, a)
		}
	}
	return out
}

func gateOneAtATime(p Plan, h History, now time.Time) Ruling {
	const name = "one-at-a-time"
	for _, a := range h.Actions {
		if a.Plan == p.ID || a.Plan == h.Own || a.Key != p.Key.ID() {
			continue
		}
		if a.Ended == Running {
			return hold(name, "%s (plan %s) is under way on this key", a.Remedy, a.Plan)
		}
		if until := a.At.Add(h.Bounds.MinBetween); now.Before(until) && ByItself(p.Remedy) {
			r := hold(name, "%s acted on this key %s ago; actions are %s apart", a.Remedy, days(now.Sub(a.At)), days(h.Bounds.MinBetween))
			r.Until = &until
			return r
		}
	}
	return allow(name, "nothing else acts on this key")
}

func gateBreaker(_ Plan, h History, now time.Time) Ruling {
	bad := 0
	for _, a := range h.Actions { // the plan's own failure counts too
		if a.At.After(now.Add(-24*time.Hour)) && (a.Ended == Failed || a.Ended == Unexpected) {
			bad++
		}
	}
	if bad >= h.Bounds.Failures {
		return hold("breaker", "open: %d actions failed or read back unexpectedly in 24 hours, it opens at %d", bad, h.Bounds.Failures)
	}
	return allow("breaker", "closed: %d of %d failures in 24 hours", bad, h.Bounds.Failures)
}

// gateConsumerCaps counts every consumer, because a new version reaches all.
func gateConsumerCaps(p Plan, h History, now time.Time) Ruling {
	const name = "consumer-caps"
	sum := func(d time.Duration) int {
		n := len(p.Consumers)
		for _, a := range h.others(p, now, d) {
			n += a.Consumers
		}
		return n
	}
	hour, day := sum(time.Hour), sum(24*time.Hour)
	if hour > h.Bounds.ConsumersPerHour || day > h.Bounds.ConsumersPerDay {
		return hold(name, "%d consumers in an hour and %d in a day would be touched, the caps are %d and %d",
			hour, day, h.Bounds.ConsumersPerHour, h.Bounds.ConsumersPerDay)
	}
	return allow(name, "%d of %d consumers in an hour, %d of %d in a day", hour, h.Bounds.ConsumersPerHour, day, h.Bounds.ConsumersPerDay)
}

// gateStorm lets 1, 2, 4... plans start in all as steps pass since the remedy
// was first enabled: what piled up must not run at once.
func gateStorm(p Plan, f Facts, in Inputs) Ruling {
	const name = "storm"
	h, now := in.History, in.Now
	if mode, _, _ := modeOf(p, f, in); mode != policy.Auto {
		return allow(name, "not let run by itself")
	}
	first, ok := h.FirstEnabled[p.Remedy]
	if !ok || h.Bounds.RampStep <= 0 {
		return hold(name, "it is not recorded since when %s may run by itself", p.Remedy)
	}
	steps := int64(now.Sub(first) / h.Bounds.RampStep)
	if steps < 0 {
		return hold(name, "%s is enabled from %s", p.Remedy, first.UTC().Format(time.RFC3339))
	}
	may, begun := int64(1)<<min(steps, 30), int64(0)
	for _, a := range h.Actions {
		if a.Plan != p.ID && a.Plan != h.Own && a.Remedy == p.Remedy && !a.At.Before(first) {
			begun++
		}
	}
	if begun >= may {
		until := first.Add(time.Duration(steps+1) * h.Bounds.RampStep)
		r := hold(name, "%d of %s begun since it was enabled, the ramp lets %d; cmkguard plan lists what waits", begun, p.Remedy, may)
		r.Until = &until
		return r
	}
	return allow(name, "%d begun since it was enabled, the ramp lets %d", begun, may)
}

// gateFight stops a remedy that others undid twice in seven days.
func gateFight(p Plan, h History, now time.Time) Ruling {
	n := 0
	for _, a := range h.Actions {
		if a.Remedy == p.Remedy && a.Key == p.Key.ID() && a.Reversed.After(now.Add(-7*24*time.Hour)) {
			n++
		}
	}
	if n >= 2 {
		return hold("fight", "others reversed %s on this key %d times in seven days: its owners must settle it", p.Remedy, n)
	}
	return allow("fight", "reversed by others %d times in seven days", n)
}
