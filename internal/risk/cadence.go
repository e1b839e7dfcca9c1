package risk

import "slices"

// Cadence says when a check is asked, by what its facts cost.
type Cadence string

// The cadences. The zero value is CadenceSignal.
const (
	CadenceSignal Cadence = "signal" // at every signal and in every sweep: the chain itself
	CadenceSweep  Cadence = "sweep"  // in every sweep: from the same reads, or from lists that a run reads once
	CadenceDaily  Cadence = "daily"  // once a day: its facts need calls of their own
	CadenceEvent  Cadence = "event"  // its facts come from events and logs, when they do
)

// Selection chooses checks.
type Selection func(Check) bool

// Everything selects the whole catalogue.
func Everything() Selection { return func(Check) bool { return true } }

// OnSignal selects the checks of the chain itself, which Evaluate asks.
func OnSignal() Selection { return Cadences(CadenceSignal) }

// Cadences selects the checks of these cadences.
func Cadences(list ...Cadence) Selection {
	return func(c Check) bool { return slices.Contains(list, c.Cadence) }
}

// Families selects the checks of these families.
func Families(list ...string) Selection {
	return func(c Check) bool { return slices.Contains(list, c.Family) }
}

// Select selects the checks with these ids, such as CMK-031; an id that is not
// in the catalogue selects nothing.
func Select(ids ...string) Selection {
	return func(c Check) bool { return slices.Contains(ids, c.ID) }
}

// Or selects what any of the selections does.
func (s Selection) Or(others ...Selection) Selection {
	return func(c Check) bool {
		return s(c) || slices.ContainsFunc(others, func(o Selection) bool { return o(c) })
	}
}
