package findings_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/findings"
	"cmkguard/internal/risk"
)

const cluster = "/subscriptions/s/resourcegroups/g/providers/microsoft.cache/redisenterprise/cache-a"

// hostile is what a tag or a name may hold.
const hostile = "=cmd|' /c calc'!A1 <b>\x1b[2J\u2028| [x](http://evil)"

func report() findings.Report {
	verdict := func(check string, a risk.Answer, s risk.Severity, why string) findings.Finding {
		return findings.Finding{Name: "cache-a", Owner: hostile, Verdict: risk.Verdict{
			Check: check, Title: "A title", Cluster: cluster, Answer: a, Severity: s, Why: why, Guidance: "Do this.",
			Subject: event.Subject{Kind: event.SubjectCluster, ID: cluster},
		}}
	}
	return findings.Report{At: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Version: "test", Clusters: 1, Complete: false, Why: "a subscription is hidden",
		Findings: []findings.Finding{
			verdict("CMK-004", risk.OK, risk.High, "fine"), verdict("CMK-010", risk.Unknown, risk.High, "refused"),
			verdict("CMK-050", risk.Broken, risk.Critical, hostile), verdict("CMK-021", risk.Broken, risk.Low, "no policy"),
		}}
}

func write(t *testing.T, format string) string {
	t.Helper()
	r := report()
	var b bytes.Buffer
	s, err := findings.NewSink(&b, format, findings.Report{At: r.At, Version: r.Version, Complete: true})
	if err != nil {
		t.Fatalf("%s: %v", format, err)
	}
	s.Incomplete(r.Why)
	if err := errors.Join(s.Add(r.Findings), s.Close()); err != nil {
		t.Fatalf("%s: %v", format, err)
	}
	if !s.Worst(risk.Critical) {
		t.Errorf("%s: nothing critical was seen", format)
	}
	return b.String()
}

func TestWorstFirstAndUnknownShown(t *testing.T) {
	t.Parallel()
	out := write(t, "table")
	var order []int
	for _, id := range []string{"CMK-050", "CMK-021", "CMK-010"} {
		order = append(order, strings.Index(out, id))
	}
	if order[0] < 0 || order[0] > order[1] || order[1] > order[2] || strings.Contains(out, "CMK-004") {
		t.Fatalf("order %v:\n%s", order, out)
	}
	if !strings.Contains(out, "2 broken, 1 unknown, 1 ok") || !strings.Contains(out, "a subscription is hidden") {
		t.Fatalf("the last line:\n%s", out)
	}
}

func TestNothingFromOutsideControlsTheReader(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"table", "markdown", "csv", "junit"} {
		out := write(t, format)
		if format != "csv" && strings.Contains(out, "\x1b") || format == "csv" && strings.Contains(out, ",=cmd") || format == "markdown" && strings.Contains(out, "<b>") {
			t.Errorf("%s:\n%s", format, out)
		}
	}
}

// TestSARIFHasWhatItsSchemaRequires (SARIF 2.1.0, OASIS: 3.13, 3.14, 3.27).
func TestSARIFHasWhatItsSchemaRequires(t *testing.T) {
	t.Parallel()
	var log struct {
		Version string
		Runs    []struct {
			Tool struct {
				Driver struct {
					Name  string
					Rules []struct{ ID string }
				}
			}
			Results []struct {
				RuleID, Kind, Level string
				Message             struct{ Text string }
			}
		}
	}
	if err := json.Unmarshal([]byte(write(t, "sarif")), &log); err != nil {
		t.Fatal(err)
	}
	rules := map[string]bool{}
	for _, r := range log.Runs[0].Tool.Driver.Rules {
		rules[r.ID] = true
	}
	if log.Version != "2.1.0" || log.Runs[0].Tool.Driver.Name == "" || len(log.Runs[0].Results) != 3 {
		t.Fatalf("%+v", log.Runs[0].Results)
	}
	for _, r := range log.Runs[0].Results {
		if !rules[r.RuleID] || r.Message.Text == "" || (r.Kind == "fail") == (r.Level == "none") {
			t.Errorf("%+v", r)
		}
	}
}

func TestJUnitCountsWhatItHolds(t *testing.T) {
	t.Parallel()
	var out struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Skipped  int `xml:"skipped,attr"`
		Suites   []struct {
			Cases []struct {
				Name    string    `xml:"name,attr"`
				Failure *struct{} `xml:"failure"`
				Skipped *struct{} `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal([]byte(write(t, "junit")), &out); err != nil {
		t.Fatal(err)
	}
	if out.Tests != 4 || out.Failures != 2 || out.Skipped != 1 || len(out.Suites) != 1 || len(out.Suites[0].Cases) != 4 {
		t.Fatalf("%+v", out)
	}
}

// TestOCSFHasEveryRequiredAttribute of Compliance Finding (schema.ocsf.io 1.3.0,
// class 2003).
func TestOCSFHasEveryRequiredAttribute(t *testing.T) {
	t.Parallel()
	n := 0
	for line := range strings.Lines(write(t, "ocsf")) {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"activity_id", "category_uid", "class_uid", "compliance", "finding_info", "metadata", "severity_id", "time", "type_uid"} {
			if v[name] == nil {
				t.Errorf("no %s in %s", name, line)
			}
		}
		if v["type_uid"] != v["class_uid"].(float64)*100+v["activity_id"].(float64) {
			t.Errorf("type_uid %v", v["type_uid"])
		}
		n++
	}
	if n != 4 {
		t.Errorf("%d findings, want 4", n)
	}
}

func TestAnUnknownFormatIsNamed(t *testing.T) {
	t.Parallel()
	_, err := findings.NewSink(&bytes.Buffer{}, "xls", report())
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "xls") {
		t.Fatal(err)
	}
}

// The report, and an empty one, are valid by the OASIS schema that the library
// carries.
func TestSARIFIsValidByItsSchema(t *testing.T) {
	t.Parallel()
	for name, fs := range map[string][]findings.Finding{"findings": report().Findings, "nothing": nil} {
		var b bytes.Buffer
		s, err := findings.NewSink(&b, "sarif", findings.Report{At: report().At, Version: "test", Complete: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.Add(fs), s.Close()); err != nil {
			t.Fatal(err)
		}
		r, err := sarif.FromBytes(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		// The library writes what a report leaves out as empty, which its own schema
		// refuses; the schema's defaults stand in.
		r.Runs[0].Language, r.Runs[0].Tool.Driver.Language, r.Runs[0].NewlineSequences = "en-US", "en-US", []string{"\n"}
		if err := r.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var ours, theirs any
		if err := errors.Join(json.Unmarshal(b.Bytes(), &ours), json.Unmarshal(again, &theirs)); err != nil {
			t.Fatal(err)
		}
		lost(t, "", ours, theirs) // a property that SARIF does not have
		r.Runs[0].Tool.Driver.Name = nil
		if r.Validate() == nil {
			t.Errorf("%s: a tool without a name passed: the schema says nothing", name)
		}
	}
}

// lost names what ours has and theirs has not.
func lost(t *testing.T, path string, ours, theirs any) {
	t.Helper()
	switch o := ours.(type) {
	case map[string]any:
		x, _ := theirs.(map[string]any)
		for k, v := range o {
			if _, ok := x[k]; !ok {
				t.Errorf("%s.%s is no property of SARIF", path, k)
				continue
			}
			lost(t, path+"."+k, v, x[k])
		}
	case []any:
		x, _ := theirs.([]any)
		for i, v := range o {
			if i < len(x) {
				lost(t, path, v, x[i])
			}
		}
	}
}
