package alert_test

import (
	"slices"
	"testing"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/examples"
)

// TestPartsHaveEveryLine once, what breaks first, ids last, and words before commands.
func TestPartsHaveEveryLine(t *testing.T) {
	t.Parallel()
	for _, e := range append(examples.All(examples.At()), examples.Example{Name: "huge", Alert: examples.Huge(examples.At())}) {
		fields := alert.Fields(e.Alert, e.Alert.At)
		var order []alert.PartName
		var all []alert.Field
		for _, p := range alert.Parts(fields) {
			order, all = append(order, p.Name), append(all, p.Fields...)
			command := false
			for _, f := range p.Fields {
				if command = command || f.Line != ""; command && f.Label == "next" {
					t.Errorf("%s: a command stands before what to do in words", e.Name)
				}
			}
		}
		if len(all) != len(fields) || slices.ContainsFunc(fields, func(f alert.Field) bool { return !slices.Contains(all, f) }) {
			t.Errorf("%s: %d of %d lines", e.Name, len(all), len(fields))
		}
		if e.Alert.Breaks != "" && order[0] != alert.PartBreaks || order[len(order)-1] != alert.PartIDs {
			t.Errorf("%s: %v", e.Name, order)
		}
	}
	if len(alert.Parts(nil)) != 0 {
		t.Error("parts of nothing")
	}
}
