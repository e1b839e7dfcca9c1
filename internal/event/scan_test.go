package event

import (
	"encoding/json"
	"strings"
	"testing"
)

// taken reports whether the scanner takes raw as JSON.
func taken(raw []byte) bool { return scanRecords(raw, func([]byte, glance) {}) }

func TestTheScannerTakesWhatTheStandardLibraryTakes(t *testing.T) {
	for _, s := range []string{
		``, ` `, `{}`, `[]`, ` { } `, `[ ]`, `{"a":1}`, `{"a":1,}`, `{,}`, `{"a"}`, `{"a":}`, `{"a" : [ 1 , 2 ] }`, `[1,]`, `[,1]`, `[1 2]`, `{"a":1 "b":2}`, `{a:1}`, `{"a":1}x`,
		`0`, `-0`, `-`, `01`, `1.`, `.5`, `1.5e`, `1.5e+`, `1e5`, `1E-5`, `-1.5e+3`, `+1`, `0x1`, `1e5.5`, `--1`, `Infinity`,
		`true`, `tru`, `truex`, `false`, `null`, `nul`, `True`, `"`, `"a`, `"\"`, `"\\"`, `"\/\b\f\n\r\t"`, `"\x"`, `"\u00e4"`, `"\u00g4"`, `"\u00"`, "\"\x1f\"", "\"\x7f\"", "\"\xff\"", "\"\t\"",
		"\ufeff{}", "{\"a\"\n:\r1\t}", "[\v1]", `{"a":1}}`, `[[]`, `[]]`, `{"a":{"b":[{"c":null}]}}`, `{"records":[{"properties":{"httpStatusCode":}}]}`,
		strings.Repeat("[", maxNesting) + strings.Repeat("]", maxNesting), strings.Repeat("[", maxNesting+1) + strings.Repeat("]", maxNesting+1),
		strings.Repeat(`{"a":`, maxNesting) + "1" + strings.Repeat("}", maxNesting), strings.Repeat(`{"a":`, maxNesting+1) + "1" + strings.Repeat("}", maxNesting+1),
	} {
		if got, want := taken([]byte(s)), json.Valid([]byte(s)); got != want {
			t.Errorf("%.60q: taken %v, the standard library %v", s, got, want)
		}
	}
}

// A record that is dropped costs no allocation of its own: a thousand cost what
// ten do.
func TestUnrelatedRecordsCostNothingButTheLook(t *testing.T) {
	message := func(n int) []byte {
		return []byte(`{"records":[` + strings.Repeat(unrelated()+",", n-1) + unrelated() + `]}`)
	}
	cost := func(n int) float64 {
		raw := message(n)
		return testing.AllocsPerRun(10, func() {
			if a := parseAudit(t, string(raw)); a.Dropped != n || len(a.Rejected)+len(a.Signals)+len(a.Uses) > 0 {
				t.Fatal(a.cameTo())
			}
		})
	}
	if few, many := cost(10), cost(1000); many > few {
		t.Errorf("10 records cost %v allocations, 1000 cost %v", few, many)
	}
}

func FuzzScan(f *testing.F) {
	for _, s := range append(seeds(), `{"records":[{"operationName":"KeyDelete","properties":{"httpStatusCode":200}}]}`, `[[{"a":"\u00e4"}],-1.5e+3]`) {
		f.Add([]byte(s))
	}
	addCorpus(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		n := 0
		ok := scanRecords(raw, func(rec []byte, _ glance) {
			if n++; len(rec) == 0 {
				t.Fatal("a record of no bytes")
			}
		})
		if ok != json.Valid(raw) {
			t.Fatalf("taken %v: %q", ok, raw)
		}
	})
}
