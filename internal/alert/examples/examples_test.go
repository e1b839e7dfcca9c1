package examples_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/examples"
)

// Every kind of message that the product sends has its example, and none is cut or
// cleaned on its way: what is shown is what is sent.
func TestExamples(t *testing.T) {
	t.Parallel()
	var names []string
	for _, e := range examples.All(examples.At()) {
		a := e.Alert
		names = append(names, e.Name)
		if e.Says == "" || a.ID == "" || a.DedupKey == "" || len(a.DedupKey) > 255 || a.Title == "" || a.What == "" || a.Severity.Rank() == 0 || a.Lifecycle == "" ||
			a.Subject == "" || !a.At.Equal(examples.At()) || a.Since.IsZero() || (a.By != nil) != (a.ByMeans != "") {
			t.Errorf("%s lacks something: %+v", e.Name, a)
		}
		if diff := cmp.Diff(a, alert.Fit(a)); diff != "" {
			t.Errorf("%s does not pass as it is: %s", e.Name, diff)
		}
		for _, c := range a.Commands {
			if out, err := exec.Command("sh", "-n", "-c", c.Line).CombinedOutput(); err != nil || c.Does == "" {
				t.Errorf("%s: %q: %s", e.Name, c.Line, out)
			}
		}
	}
	for _, want := range strings.Fields(`near-expiry key-deleted key-disabled key-purged access-lost vault-deleted identity-detached stranger-version
		cluster-wrong-version rotation-held rotation-done rotation-stopped approval-wanted resolved cannot-tell poison unrecorded drill dry-run storm
		digest reminder acknowledged self-guard test`) {
		if !slices.Contains(names, want) {
			t.Errorf("there is no example %s", want)
		}
	}
	slices.Sort(names)
	if len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("a name twice: %v", names)
	}
	if _, ok := examples.Find("key-deleted", examples.At()); !ok {
		t.Error("key-deleted is not found")
	}
	if _, ok := examples.Find("nothing", examples.At()); ok {
		t.Error("an example that there is not is found")
	}
}

func TestTheLargestIsAsLargeAsAnAlertGets(t *testing.T) {
	t.Parallel()
	a := examples.Huge(examples.At())
	if len(a.Done) != 20 || len(a.Impact)+a.MoreImpact < 50 || len(a.Commands) != 8 || len(a.Links) != 6 || len(a.What) < 3900 {
		t.Errorf("%d done, %d hit, %d commands, %d links, %d bytes of what", len(a.Done), len(a.Impact), len(a.Commands), len(a.Links), len(a.What))
	}
	if diff := cmp.Diff(a, alert.Fit(a)); diff != "" {
		t.Error(diff)
	}
}
