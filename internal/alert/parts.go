package alert

import (
	"cmp"
	"slices"
)

// PartName says what lines of a part are about.
type PartName string

// The parts, in the order of a card: what somebody woken at night looks for stands
// first, what only a search needs stands last.
const (
	PartBreaks PartName = "breaks" // what breaks, and until when
	PartWhat   PartName = "what"   // what is wrong, who is said to have done it
	PartHits   PartName = "hits"   // whom it hits
	PartDone   PartName = "done"   // what we did or hold
	PartDo     PartName = "do"     // what to do: words, and commands
	PartIDs    PartName = "ids"    // dates, numbers and ids
)

// Part is lines of one alert that belong together on a card.
type Part struct {
	Name   PartName
	Fields []Field
}

// Parts sorts the lines into parts; within one they keep their order, but that words
// about what to do stand before commands. Parts without lines are left out.
func Parts(fields []Field) []Part {
	of := map[PartName][]Field{}
	for _, f := range fields {
		name := partOf(f.Label)
		of[name] = append(of[name], f)
	}
	slices.SortStableFunc(of[PartDo], func(a, b Field) int { return cmp.Compare(min(len(a.Line), 1), min(len(b.Line), 1)) })
	var out []Part
	for _, name := range []PartName{PartBreaks, PartWhat, PartHits, PartDone, PartDo, PartIDs} {
		if len(of[name]) > 0 {
			out = append(out, Part{name, of[name]})
		}
	}
	return out
}

func partOf(label string) PartName {
	switch label {
	case "breaks", "until":
		return PartBreaks
	case "hits":
		return PartHits
	case "done":
		return PartDone
	case "next", "run", "page":
		return PartDo
	case "since", "runbook", "check", "controls", "subject", "ref", "incident", "id", "more":
		return PartIDs
	}
	return PartWhat
}
