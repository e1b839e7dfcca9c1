package risk

import "strings"

// matchAction reports whether a data action pattern of a role covers an action.
// Azure compares without regard to case and * stands for any run of
// characters, slashes included.
func matchAction(pattern, action string) bool {
	p, a := strings.ToLower(pattern), strings.ToLower(action)
	i, j := 0, 0
	star, mark := -1, 0
	for j < len(a) {
		switch {
		case i < len(p) && p[i] == '*':
			star, mark = i, j
			i++
		case i < len(p) && p[i] == a[j]:
			i++
			j++
		case star >= 0:
			mark++ // let the last * take one character more
			i, j = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(p[i:], "*") == ""
}

func matchAny(patterns []string, action string) bool {
	for _, p := range patterns {
		if matchAction(p, action) {
			return true
		}
	}
	return false
}
