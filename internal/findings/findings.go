// Package findings shows verdicts to those who asked for them at the command
// line or in a pipeline: a table for people, and the formats that their tools
// read. It judges nothing and reads nothing.
//
// Unknown is never left out and never counted as ok, in any format.
package findings

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/risk"
)

// Finding is one verdict of one cluster's chain.
type Finding struct {
	risk.Verdict
	Name  string `json:"name"`  // of the cluster
	Owner string `json:"owner"` // its owner tag
}

// Report is one look at everything that was asked for.
type Report struct {
	At       time.Time `json:"at"`
	Version  string    `json:"version"`  // of this program
	Clusters int       `json:"clusters"` // that were looked at
	// Complete says that the rights to see every cluster were verified in this
	// run; Why says what is missing otherwise.
	Complete bool      `json:"complete"`
	Why      string    `json:"why,omitempty"`
	Totals   Totals    `json:"totals"` // of all, whatever of them Findings holds
	Findings []Finding `json:"findings"`
}

// Totals count findings by answer.
type Totals struct {
	Broken  int `json:"broken"`
	Unknown int `json:"unknown"`
	OK      int `json:"ok"`
}

func (t *Totals) add(a risk.Answer) {
	switch a {
	case risk.Broken:
		t.Broken++
	case risk.Unknown:
		t.Unknown++
	case risk.OK:
		t.OK++
	}
}

// Sort puts the worst first: broken by severity, then unknown, then ok; one
// order for the same findings.
func (r Report) Sort() {
	place := map[risk.Answer]int{risk.Broken: 0, risk.Unknown: 1, risk.OK: 2}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(place[a.Answer], place[b.Answer]), cmp.Compare(b.Severity.Rank(), a.Severity.Rank()),
			cmp.Compare(a.Name, b.Name), cmp.Compare(a.Check, b.Check))
	})
}

// Formats are the names that Write takes.
func Formats() []string {
	return []string{"table", "json", "jsonl", "csv", "sarif", "junit", "markdown", "ocsf"}
}

// subject is the part of a finding's subject that people know it by.
func (f Finding) subject() string {
	if r, err := azureid.ParseResource(f.Subject.ID); err == nil {
		return r.Name()
	}
	return f.Subject.ID
}

// summary is the last line for people.
func (r Report) summary() string {
	s := fmt.Sprintf("%d clusters: %d broken, %d unknown, %d ok", r.Clusters, r.Totals.Broken, r.Totals.Unknown, r.Totals.OK)
	if !r.Complete {
		s += ". There may be clusters that could not be seen: " + r.Why
	}
	return s
}
