package alert

import "fmt"

// The lengths that texts which nobody can do without are cut to, one after the
// other, where even they do not fit.
const (
	shortText = 500
	stubText  = 120
)

// Shrink returns the fields, or as many as fit. The least important are left out
// first, from the end, and counted in a last line; what is wrong, what breaks and
// until when, and the commands, are the last to be touched, and a command is never
// cut, only left out.
func Shrink(fields []Field, fits func([]Field) bool) []Field {
	left := fields
	dropped := 0
	with := func() []Field {
		if dropped == 0 {
			return left
		}
		return append(left[:len(left):len(left)], Field{Label: "more", Text: fmt.Sprintf("%d lines had no room here", dropped)})
	}
	drop := func(down rank) bool {
		for r := dust; r >= down; r-- {
			for !fits(with()) {
				at := last(left, r)
				if at < 0 {
					break
				}
				left = append(left[:at:at], left[at+1:]...)
				dropped++
			}
		}
		return fits(with())
	}
	if drop(told) {
		return with()
	}
	if left = clipped(left, shortText); drop(command) {
		return with()
	}
	left = clipped(left, stubText)
	drop(vital)
	return with()
}

// last is the position of the last field of the rank, -1 if there is none.
func last(fields []Field, r rank) int {
	for i := len(fields) - 1; i >= 0; i-- {
		if fields[i].rank == r {
			return i
		}
	}
	return -1
}

func clipped(fields []Field, limit int) []Field {
	out := make([]Field, len(fields))
	for i, f := range fields {
		f.Text = Cut(f.Text, limit)
		out[i] = f
	}
	return out
}
