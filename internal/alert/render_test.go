package alert_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/alerttest"
	"cmkguard/internal/risk"
	"cmkguard/internal/store"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (go test -update writes it):\n%s", name, diff)
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	pages := alerttest.Sample("7f6f2a1e-0001", start())
	pages.Impact = append(pages.Impact, alert.Impact{Name: "orders-cache"})
	golden(t, "critical.txt", alert.Render(pages, start()))

	drill := alerttest.Sample("7f6f2a1e-0002", start())
	drill.Drill, drill.DryRun, drill.Unrecorded, drill.Severity = true, true, true, risk.High
	by := start().Add(-3 * time.Hour)
	drill.By = &by
	for range 30 {
		drill.Impact = append(drill.Impact, alert.Impact{Name: "cache", Owner: "team"})
	}
	drill.MoreImpact = 5
	golden(t, "drill.txt", alert.Render(drill, start()))

	hostile := alert.Alert{
		ID: "7f6f2a1e-0003", Severity: risk.Medium, Title: "Broken: \x1b]0;owned\a\x1b[2J\ncache\u202egnp.exe",
		What: "line one\r\nCRITICAL forged line\u2028another", Subject: "cluster:\xff\xfe", Since: start(), Ref: "r\x00\x9b31m",
		Impact: []alert.Impact{{Name: "a\nb", Owner: "x\tyou: run rm"}}, Next: []string{"\n", "cmkguard show \u200bkey"},
	}
	golden(t, "hostile.txt", alert.Render(hostile, start()))
}

func TestTimeLeftIsCountedFromNowAndRoundedDown(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		30 * 24 * time.Hour: "30 days left", 49*time.Hour - time.Second: "2 days left", 47 * time.Hour: "47 hours left",
		time.Hour: "1 hour left", 59*time.Minute + 59*time.Second: "59 minutes left", time.Minute: "1 minute left",
		time.Second: "less than a minute left", 0: "passed", -time.Second: "passed", -90 * time.Minute: "passed 1 hour ago",
	} {
		by := start().Add(d)
		if text := alert.Render(alert.Alert{By: &by}, start()); !strings.Contains(text, "("+want+")") {
			t.Errorf("%s: %s", d, text)
		}
	}
}

// Whatever the names are, the text has as many lines as we wrote and nothing
// that a terminal acts on.
func TestRenderNeutralisesEveryName(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")) + rapid.String().Draw(t, "text")
		text := alert.Render(alert.Alert{
			Severity: risk.Severity(name), Title: name, What: name, Breaks: name, Subject: name, Check: name, Ref: name, ID: name,
			Impact: []alert.Impact{{Name: name, Owner: name}}, Done: []string{name}, Next: []string{name},
		}, start())
		if !utf8.ValidString(text) || strings.Count(text, "\n") > 10 {
			t.Fatalf("%q", text)
		}
		for _, r := range strings.ReplaceAll(text, "\n", "") {
			if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
				t.Fatalf("%q holds %U", text, r)
			}
		}
	})
}

func TestCleanCutsBetweenCharacters(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, limit := rapid.String().Draw(t, "s"), rapid.IntRange(3, 60).Draw(t, "limit")
		got := alert.Clean(s, limit)
		if len(got) > limit || !utf8.ValidString(got) {
			t.Fatalf("%q to %d: %q", s, limit, got)
		}
		if len(s) > limit && len(got) < limit-utf8.UTFMax-2 && !strings.ContainsFunc(s, unicode.IsControl) && alert.Clean(s, 1<<20) == s {
			t.Fatalf("%q to %d: %q loses more than it must", s, limit, got)
		}
	})
}

// An incident that hits everything must still be written: a row that storage
// refuses would take the incident along.
func TestTheLargestAlertFitsIntoARow(t *testing.T) {
	t.Parallel()
	// What JSON makes longest: a control character is six bytes in it, a quote two.
	for _, unit := range []string{"\u00e9\x01", `"`, "\xff", "\u2028", "<"} {
		huge := strings.Repeat(unit, 1<<13)
		a := alert.Alert{ID: "a", DedupKey: "d", Title: huge, What: huge, Breaks: huge, Subject: huge, Ref: huge}
		for range 1000 {
			a.Impact = append(a.Impact, alert.Impact{Cluster: huge, Name: huge, Owner: huge})
			a.Done, a.Next, a.Evidence = append(a.Done, huge), append(a.Next, huge), append(a.Evidence, huge)
		}
		ns := alert.Notifications(a, alert.To("1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"), start())
		if err := store.CheckBatch("test", "p", alert.Rows(ns)); err != nil {
			t.Errorf("%q: %v", unit, err)
		}
		got := ns[0].Alert
		if len(got.Impact)+got.MoreImpact != 1000 || got.Done[len(got.Done)-1] != "... and 981 more" {
			t.Errorf("%q: what was left out is not counted: %d, %q", unit, got.MoreImpact, got.Done[len(got.Done)-1])
		}
		if len(a.Impact) != 1000 || a.Impact[0].Name != huge || a.Done[0] != huge {
			t.Errorf("%q: the caller's alert was changed", unit)
		}
	}
}

func TestRowsAreOnePerChannelWithNamesThatEveryStoreTakes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		id, channels := rapid.String().Draw(t, "id"), rapid.SliceOfN(rapid.String(), 1, 8).Draw(t, "channels")
		ops := alert.Rows(alert.Notifications(alert.Alert{ID: id}, alert.To(channels...), start()))
		if err := store.CheckBatch("test", "p", ops); err != nil {
			t.Fatal(err)
		}
		distinct := map[string]bool{}
		for _, c := range channels {
			distinct[c] = true
		}
		if len(ops) != len(distinct) {
			t.Fatalf("%d rows for %d channels", len(ops), len(distinct))
		}
	})
}
