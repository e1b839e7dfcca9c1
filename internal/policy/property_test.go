package policy

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cmkguard/internal/azureid"
)

// A policy can never raise a mode above the ceiling: whatever modes a file
// asks for, it is either refused or answers at or below the ceiling for every
// target, and a tag never makes an answer looser.
func TestNoPolicyRaisesAModeAboveTheCeiling(t *testing.T) {
	modes := rapid.SampledFrom([]Mode{Off, DryRun, Approve, Auto})
	names := []string{"rotate", "rewire", "restore-grant"}
	matches := rapid.SampledFrom([]string{"{clusters: [\"*\"]}", "{clusters: [a]}", "{tags: {t: x}}", "{tags: {t: x}, clusters: [a]}", "{keys: [kv]}"})
	rapid.Check(t, func(t *rapid.T) {
		ceiling := map[string]Mode{}
		for _, n := range names {
			ceiling[n] = modes.Draw(t, "ceiling "+n)
		}
		name := func() string { return rapid.SampledFrom(names).Draw(t, "remedy") }
		text := fmt.Sprintf("version: 1\nremedies: {%s: %s}\nrules:\n", name(), modes.Draw(t, "default"))
		for i := range rapid.IntRange(1, 4).Draw(t, "rules") {
			text += fmt.Sprintf("- {name: r%d, match: %s, remedies: {%s: %s}}\n", i, matches.Draw(t, "match"), name(), modes.Draw(t, "mode"))
		}
		p, err := Parse("p", []byte(text), ceiling)
		if err != nil {
			return
		}
		to := Target{ClusterName: rapid.SampledFrom([]string{"a", "b", ""}).Draw(t, "cluster"), Key: azureid.Key{Host: "kv.vault.azure.net", Name: "k"}}
		tagged := to
		tagged.Tags = map[string]string{"T": "X"}
		for _, n := range names {
			bare, _ := p.ModeFor(n, to)
			with, why := p.ModeFor(n, tagged)
			if bare.Rank() > ceiling[n].Rank() || with.Rank() > ceiling[n].Rank() || with.Rank() > bare.Rank() || with.Rank() < 0 || why == "" {
				t.Fatalf("%s: %s, tagged %s (%s), ceiling %s, of\n%s", n, bare, with, why, ceiling[n], text)
			}
		}
	})
}

// glob agrees with path.Match, whose * stops at slashes, on texts without any.
func TestGlobAgreesWithTheLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[abAB*]{0,8}`).Draw(t, "pattern")
		text := rapid.StringMatching(`[abAB]{1,10}`).Draw(t, "text")
		want, err := path.Match(strings.ToLower(pattern), strings.ToLower(text))
		if got := glob(pattern, text); err != nil || got != want {
			t.Fatalf("glob(%q, %q) = %v, want %v (%v)", pattern, text, got, want, err)
		}
	})
}

func TestGlobIsNotExponential(t *testing.T) {
	if glob(strings.Repeat("*a", 500)+"b", strings.Repeat("a", 5000)) {
		t.Error("matched")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"version: 1\n", rule("off", "{keys: [kv/*]}", "auto"), "version: 1\nlimits: {expiryWarning: 30d}\n", "a: &a [*a]\n", "? ? ?", "- - -",
		"version: 1\nchannels: [{name: a, kind: webhook, url: \"https://x.example\", secretRef: A}]\nalerts: [{minSeverity: info, channels: [a]}]\n",
		"version: 1\npause: |\n  x\n---\n", "!!map {version: 1}", "version: 1\nscope: {exclude: ['x']}\n<<: *x\n", "{", "\t", "a: \"\\", "%YAML 1.2\n---\nversion: 1\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse("p", b, ceilings())
		if err != nil {
			var problems *Problems
			if p != nil || !errors.As(err, &problems) || len(problems.List) == 0 || err.Error() == "" {
				t.Fatalf("%v, %v", p, err)
			}
			return
		}
		for name, ceiling := range ceilings() {
			if mode, why := p.ModeFor(name, target()); mode.Rank() > ceiling.Rank() || mode.Rank() < 0 {
				t.Fatalf("%s: %s (%s)", name, mode, why)
			}
		}
		if len(p.Everybody()) == 0 {
			t.Fatal("a policy that tells nobody")
		}
		p.Warnings()
	})
}
