package findings_test

import (
	"strings"
	"testing"

	"github.com/jacoelho/xsd"
)

// TestJUnitValidatesAgainstItsSchema, written from what CI servers document.
func TestJUnitValidatesAgainstItsSchema(t *testing.T) {
	t.Parallel()
	schema, err := xsd.Compile(xsd.File("testdata/junit.xsd"))
	if err != nil {
		t.Fatal(err)
	}
	good := write(t, "junit")
	if err := schema.Validate(strings.NewReader(good)); err != nil {
		t.Fatalf("%v\n%s", err, good)
	}
	for what, wrong := range map[string]string{
		"a case without a name":       strings.Replace(good, ` classname="`, ` class="`, 1),
		"a count that is no number":   strings.Replace(good, `tests="`, `tests="-`, 1),
		"an element nobody knows":     strings.Replace(good, "<skipped", "<unknown", 1),
		"a time with a zone":          strings.Replace(good, `timestamp="`, `timestamp="+`, 1),
		"a failure outside of a case": strings.Replace(good, "</testsuites>", "<failure/></testsuites>", 1),
	} {
		if wrong == good {
			t.Errorf("%s: the change changed nothing", what)
		}
		if schema.Validate(strings.NewReader(wrong)) == nil {
			t.Errorf("%s passes", what)
		}
	}
}
