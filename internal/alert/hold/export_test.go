package hold

// Follows is the table of inhibition, by source.
func Follows() map[string][]string {
	out := map[string][]string{}
	for _, r := range rules() {
		out[r.source] = r.checks
	}
	return out
}
