package findings_test

import (
	"bytes"
	"strings"
	"testing"

	"cmkguard/internal/fault"
	"cmkguard/internal/findings"
	"cmkguard/internal/risk"
)

// twoClusters is a whole run over two clusters, as jsonl.
func twoClusters(t *testing.T) (whole string, second int) {
	t.Helper()
	var b bytes.Buffer
	s, err := findings.NewSink(&b, "jsonl", findings.Report{Complete: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{cluster, cluster + "-b"} {
		second = b.Len()
		fs := report().Findings
		for i := range fs {
			fs[i].Cluster = name
		}
		if err := s.Add(fs); err != nil {
			t.Fatal(err)
		}
	}
	return b.String(), second
}

// Wherever the file was cut, what is gone on with begins at a whole cluster, and
// only clusters that were whole for sure are left out.
func TestAnInterruptedRunIsGoneOnWithFromAnyByte(t *testing.T) {
	t.Parallel()
	whole, second := twoClusters(t)
	firstOfSecond := second + strings.Index(whole[second:], "\n") + 1
	for cut := range len(whole) + 1 {
		e, end, err := findings.ReadEarlier(strings.NewReader(whole[:cut]))
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		sure := cut >= firstOfSecond
		if e.Has(cluster) != sure || e.Has(cluster+"-b") || end != int64(second) && sure || end != 0 && !sure {
			t.Fatalf("cut at %d: has %t, goes on from %d", cut, e.Has(cluster), end)
		}
		if e.Worst(risk.Critical) != sure {
			t.Fatalf("cut at %d: what was critical is forgotten", cut)
		}
	}
}

func TestAnotherFileIsNotWrittenOver(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"a shopping list\n", "{}\n", `{"check":"CMK-001"}` + "\n"} {
		if _, _, err := findings.ReadEarlier(strings.NewReader(text)); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Whatever a file holds, what is gone on with begins inside it, at the start of a
// line, and no cluster is left out that is not named before that.
func FuzzReadEarlier(f *testing.F) {
	line := `{"cluster":"/subscriptions/s/a","check":"CMK-010","answer":"broken","severity":"high"}` + "\n"
	for _, s := range []string{line + line, line + strings.ReplaceAll(line, "/a", "/b"), line[:20], "{}\n", "\n", "", line + "nonsense\n", line + `{"cluster":7}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, end, err := findings.ReadEarlier(bytes.NewReader(raw))
		switch {
		case err != nil:
			if !fault.Is(err, fault.Invalid) || end != 0 {
				t.Fatalf("%d, %v", end, err)
			}
		case end < 0 || end > int64(len(raw)) || end > 0 && raw[end-1] != '\n':
			t.Fatalf("goes on at %d of %d", end, len(raw))
		case end == 0 && e.Worst(risk.Info):
			t.Fatal("nothing is whole, and yet something is broken")
		}
	})
}
