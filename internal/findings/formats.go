package findings

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"strings"

	"cmkguard/internal/canonical"
	"cmkguard/internal/risk"
)

// sarif writes SARIF 2.1.0 (OASIS): what is broken as failures, what is unknown
// as open questions, which tools show and do not count as fine.
func sarif(w io.Writer, r Report) error {
	type object = map[string]any
	var rules, results []any
	for _, c := range risk.Catalogue() {
		text, _ := risk.Explain(c.ID)
		rules = append(rules, object{
			"id": c.ID, "shortDescription": object{"text": c.Title}, "help": object{"text": text},
			"defaultConfiguration": object{"level": sarifLevel(c.Severity)}, "properties": object{"family": c.Family},
		})
	}
	for _, f := range r.Findings {
		kind, level := "fail", sarifLevel(f.Severity)
		switch f.Answer {
		case risk.OK:
			continue
		case risk.Unknown:
			kind, level = "open", "none" // SARIF 3.27.10: only a failure has a level
		case risk.Broken:
		}
		results = append(results, object{
			"ruleId": f.Check, "kind": kind, "level": level, "message": object{"text": f.Why},
			"locations":           []any{object{"logicalLocations": []any{object{"name": f.subject(), "fullyQualifiedName": f.Cluster, "kind": "resource"}}}},
			"partialFingerprints": object{"cmkguard/v1": f.fingerprint()},
			"properties":          object{"severity": f.Severity, "owner": f.Owner, "guidance": f.Guidance},
		})
	}
	return oneJSON(w, object{
		"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0",
		"runs": []any{object{
			"tool":        object{"driver": object{"name": "cmkguard", "version": r.Version, "rules": rules}},
			"results":     orEmpty(results),
			"invocations": []any{object{"executionSuccessful": true, "endTimeUtc": r.At.UTC().Format("2006-01-02T15:04:05.000Z")}},
		}},
	})
}

func orEmpty(list []any) []any {
	if list == nil {
		return []any{}
	}
	return list
}

func sarifLevel(s risk.Severity) string {
	switch s {
	case risk.Critical, risk.High:
		return "error"
	case risk.Medium:
		return "warning"
	case risk.Low, risk.Info:
	}
	return "note"
}

// fingerprint is the same for the same problem from run to run.
func (f Finding) fingerprint() string {
	return canonical.Hash([]byte(f.Check + "\n" + f.Cluster + "\n" + f.Subject.String()))
}

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Errors   int         `xml:"errors,attr"`
	Time     string      `xml:"timestamp,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	Failure *junitMessage `xml:"failure"`
	Skipped *junitMessage `xml:"skipped"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// junit writes one suite per cluster and one case per check; unknown is skipped,
// with its reason, so that nobody reads it as passed.
func junit(w io.Writer, r Report) error {
	out := junitSuites{Name: "cmkguard"}
	at := map[string]int{}
	for _, f := range r.Findings {
		i, ok := at[f.Cluster]
		if !ok {
			i = len(out.Suites)
			at[f.Cluster] = i
			out.Suites = append(out.Suites, junitSuite{Name: xmlText(f.Cluster), Time: r.At.UTC().Format("2006-01-02T15:04:05")})
		}
		s := &out.Suites[i]
		c := junitCase{Name: f.Check + " " + f.Title, Class: xmlText(f.Cluster)}
		s.Tests, out.Tests = s.Tests+1, out.Tests+1
		switch f.Answer {
		case risk.Broken:
			s.Failures, out.Failures = s.Failures+1, out.Failures+1
			c.Failure = &junitMessage{Message: xmlText(f.Why), Type: string(f.Severity), Text: xmlText(f.Breaks + "\n" + f.Guidance)}
		case risk.Unknown:
			s.Skipped, out.Skipped = s.Skipped+1, out.Skipped+1
			c.Skipped = &junitMessage{Message: "unknown: " + xmlText(f.Why)}
		case risk.OK:
		}
		s.Cases = append(s.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(out); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// xmlText drops what XML 1.0 cannot hold.
func xmlText(s string) string { return strings.ToValidUTF8(Plain(s), "?") }

// ocsf writes OCSF 1.3 Compliance Findings (class 2003), one JSON object a line.
func ocsf(w io.Writer, r Report) error {
	type object = map[string]any
	controls := map[string][]string{}
	for _, c := range risk.Catalogue() {
		for _, ctl := range c.Controls {
			controls[c.ID] = append(controls[c.ID], ctl.Framework+" "+ctl.Numbers)
		}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, f := range r.Findings {
		status, id := ocsfStatus(f.Answer)
		err := enc.Encode(object{
			"activity_id": 1, "activity_name": "Create", "category_uid": 2, "category_name": "Findings",
			"class_uid": 2003, "class_name": "Compliance Finding", "type_uid": 200301, "type_name": "Compliance Finding: Create",
			"time": r.At.UnixMilli(), "severity_id": f.Severity.Rank(), "severity": string(f.Severity), "message": f.Why,
			"metadata":     object{"version": "1.3.0", "product": object{"name": "CMK Guard", "vendor_name": "CMK Guard", "version": r.Version}},
			"finding_info": object{"uid": f.fingerprint(), "title": f.Title, "desc": f.Breaks, "types": []string{f.Check}},
			"compliance":   object{"control": f.Check, "requirements": controls[f.Check], "standards": []string{"CMK Guard checks"}, "status": status, "status_id": id, "status_detail": f.Why},
			"remediation":  object{"desc": f.Guidance},
			"resources":    []any{object{"uid": f.Cluster, "name": f.Name, "type": "Microsoft.Cache/redisEnterprise", "owner": object{"name": f.Owner}}},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// ocsfStatus: 0 is OCSF's Unknown, 1 Pass, 3 Fail.
func ocsfStatus(a risk.Answer) (string, int) {
	switch a {
	case risk.OK:
		return "Pass", 1
	case risk.Broken:
		return "Fail", 3
	case risk.Unknown:
	}
	return "Unknown", 0
}
