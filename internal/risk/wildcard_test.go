package risk

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// naive is the matcher as a regular expression: slow and plainly right.
func naive(pattern, action string) bool {
	parts := strings.Split(strings.ToLower(pattern), "*")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile(`(?s)\A` + strings.Join(parts, ".*") + `\z`).MatchString(strings.ToLower(action))
}

func TestMatchAction(t *testing.T) {
	for _, r := range []struct {
		pattern string
		want    bool
	}{
		{"*", true}, {actionUnwrap, true}, {strings.ToUpper(actionUnwrap), true}, {"Microsoft.KeyVault/vaults/keys/*", true},
		{"Microsoft.KeyVault/vaults/*/action", true}, {"*/unwrap/*", true}, {"Microsoft.KeyVault/*/read", false},
		{"Microsoft.KeyVault/vaults/keys", false}, {"", false}, {"Microsoft.KeyVault/vaults/keys/unwrap/action/*", false}, {"***", true},
	} {
		if got := matchAction(r.pattern, actionUnwrap); got != r.want {
			t.Errorf("matchAction(%q) = %t, want %t", r.pattern, got, r.want)
		}
	}
}

func TestMatchActionLikeARegularExpression(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.StringMatching(`[abA/*.]{0,12}`).Draw(t, "pattern")
		a := rapid.StringMatching(`[abB/.]{0,12}`).Draw(t, "action")
		if got, want := matchAction(p, a), naive(p, a); got != want {
			t.Fatalf("matchAction(%q, %q) = %t, want %t", p, a, got, want)
		}
	})
}

// A pattern comes from a custom role, which anybody with the right may write:
// it must not be able to stop the judge.
func TestMatchActionIsNotExponential(t *testing.T) {
	start := time.Now()
	if matchAction(strings.Repeat("*a", 500)+"b", strings.Repeat("a", 5000)) {
		t.Error("matched")
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

func FuzzMatchAction(f *testing.F) {
	f.Add("*", actionRead)
	f.Add("Microsoft.KeyVault/vaults/*/read", actionRead)
	f.Add("a*a*a", "aa")
	f.Add("\xff*", "\xffK")
	f.Fuzz(func(t *testing.T, pattern, action string) {
		if len(pattern) > 200 || len(action) > 200 {
			t.Skip()
		}
		if got, want := matchAction(pattern, action), naive(pattern, action); got != want {
			t.Errorf("matchAction(%q, %q) = %t, want %t", pattern, action, got, want)
		}
	})
}
