package findings

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"

	"cmkguard/internal/fault"
	"cmkguard/internal/risk"
)

// Earlier is what an interrupted run wrote as jsonl.
type Earlier struct {
	clusters map[string]bool
	worst    int
}

// Has reports whether the run was done with the cluster (lower-case ARM id).
func (e Earlier) Has(cluster string) bool { return e.clusters[cluster] }

// Worst reports whether something in it is broken at or above the severity.
func (e Earlier) Worst(least risk.Severity) bool { return e.worst > 0 && e.worst >= least.Rank() }

// ReadEarlier reads it. The last cluster may have been cut off and is left out:
// end is the offset at which it begins, and from which to go on. A line that is
// no finding is an Invalid fault with its number, unless it is the last one.
func ReadEarlier(r io.Reader) (e Earlier, end int64, err error) {
	e.clusters = map[string]bool{}
	in := bufio.NewReaderSize(r, 1<<16)
	var at int64
	last, worst := "", 0
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) { // a line without its end was cut off
			return e, end, nil
		}
		if err != nil {
			return e, 0, err
		}
		var f Finding
		if err := json.Unmarshal(line, &f); err != nil || f.Cluster == "" {
			return e, 0, fault.New(fault.Invalid, "findings.ReadEarlier", "line %d is no finding of --output jsonl: name another file, or remove it", n)
		}
		if f.Cluster != last {
			if last != "" {
				e.clusters[last], e.worst = true, max(e.worst, worst)
			}
			last, end, worst = f.Cluster, at, 0
		}
		if f.Answer == risk.Broken {
			worst = max(worst, f.Severity.Rank())
		}
		at += int64(len(line))
	}
}
