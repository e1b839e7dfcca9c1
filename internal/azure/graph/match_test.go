package graph

import (
	"regexp"
	"strings"
	"testing"
)

func TestMatchIsNotExponential(t *testing.T) {
	t.Parallel()
	if match(strings.Repeat("*a", 500)+"b", strings.Repeat("a", 5000)) {
		t.Error("matched")
	}
}

// Actions match as the same pattern says it as a regular expression.
func FuzzMatch(f *testing.F) {
	for _, s := range [][2]string{
		{"*", ""}, {"*/read", "a/b/read"}, {"microsoft.cache/*", "microsoft.cache/redisenterprise/read"}, {"a*a", "a"}, {"a**b", "ab"}, {"*ab*ab", "ab"},
		{"microsoft.cache/redisenterprise/read", "microsoft.cache/redisenterprise/read"}, {"", ""}, {"a*b*c", "abbc"}, {"*aab", "aaab"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) > 100 || len(s) > 1000 || strings.ContainsAny(pattern+s, "\r\n") {
			return
		}
		re, err := regexp.Compile(`^(?s:` + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `.*`) + `)$`)
		if err != nil {
			return
		}
		if got, want := match(pattern, s), re.MatchString(s); got != want {
			t.Fatalf("match(%q, %q) = %v", pattern, s, got)
		}
	})
}
