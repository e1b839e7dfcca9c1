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
