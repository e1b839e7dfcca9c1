package alert_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/examples"
)

func size(fields []alert.Field) (n int) {
	for _, f := range fields {
		n += len(f.Label) + len(f.String())
	}
	return n
}

func labels(fields []alert.Field) []string {
	var out []string
	for _, f := range fields {
		if len(out) == 0 || out[len(out)-1] != f.Label {
			out = append(out, f.Label)
		}
	}
	return out
}

// Whatever the room, what is wrong, what breaks and until when are the last to go,
// and a command is whole or not there.
func TestWhatMattersIsLeftOutLast(t *testing.T) {
	t.Parallel()
	huge := examples.Huge(examples.At())
	all := alert.Fields(huge, huge.At)
	whole := map[string]bool{}
	for _, c := range huge.Commands {
		whole[c.Line] = true
	}
	for room := size(all) + 100; room > 600; room -= 997 {
		got := alert.Shrink(all, func(f []alert.Field) bool { return size(f) <= room })
		if size(got) > room {
			t.Fatalf("room for %d, %d were taken", room, size(got))
		}
		have := labels(got)
		for _, want := range []string{"what", "breaks", "until"} {
			if !slices.Contains(have, want) {
				t.Fatalf("room for %d: %s is gone, %v is there", room, want, have)
			}
		}
		lost := slices.ContainsFunc([]string{"run"}, func(l string) bool { return !slices.Contains(have, l) })
		if lost && slices.Contains(have, "next") {
			t.Fatalf("room for %d: the commands are gone, and the guidance is not: %v", room, have)
		}
		for _, f := range got {
			if f.Line != "" && !whole[f.Line] {
				t.Fatalf("room for %d: a part of a command: %s", room, f.Line)
			}
		}
		if len(got) < len(all) && got[len(got)-1].Label != "more" {
			t.Fatalf("room for %d: what was left out is not counted", room)
		}
	}
}

func TestWhatFitsIsNotTouched(t *testing.T) {
	t.Parallel()
	for _, e := range examples.All(examples.At()) {
		all := alert.Fields(e.Alert, e.Alert.At)
		if got := alert.Shrink(all, func([]alert.Field) bool { return true }); !slices.Equal(labels(got), labels(all)) {
			t.Errorf("%s: %v", e.Name, labels(got))
		}
	}
}

// A command that was made longer than it may be, or holds what a terminal acts on,
// is not sent in part.
func TestACommandIsWholeOrNotThere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		line := rapid.String().Draw(t, "line") + strings.Repeat("x", rapid.SampledFrom([]int{0, 900, 2000}).Draw(t, "more"))
		got := alert.Fit(alert.Alert{Commands: []alert.Command{{Does: "does", Line: line}}}).Commands
		if len(got) == 1 && got[0].Line != line || len(got) > 1 {
			t.Fatalf("%q became %v", line, got)
		}
	})
}
