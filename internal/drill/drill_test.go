package drill_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cmkguard/internal/drill"
	"cmkguard/internal/risk"
	"cmkguard/internal/risk/risktest"
	"cmkguard/internal/wiring"
)

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// Each fault is found by its check and by no other of the signal's that was ok, and the
// chain that was read is not changed.
func TestOverlaysAreTheOneFault(t *testing.T) {
	t.Parallel()
	for _, sc := range drill.Scenarios() {
		if sc.Check == "" || sc.Before { // what a look alone shows
			continue
		}
		w := risktest.Healthy(now)
		found := false
		for _, v := range risk.Evaluate(drill.Overlay(w, sc.Name, false, now), risk.Defaults(), now) {
			found = found || v.Check == sc.Check && v.Answer == risk.Broken
		}
		if !found {
			t.Errorf("%s: %s does not find it", sc.Name, sc.Check)
		}
		if d := cmp.Diff(risktest.Healthy(now), w, cmp.Comparer(func(a, b wiring.Wiring) bool { return string(encoded(t, a)) == string(encoded(t, b)) })); d != "" {
			t.Errorf("%s changed what was read: %s", sc.Name, d)
		}
	}
}

func encoded(t *testing.T, w wiring.Wiring) []byte {
	t.Helper()
	raw, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// What could not be read stays so: an exercise shows no more than was read.
func TestOverlaysMakeNothingUp(t *testing.T) {
	t.Parallel()
	for _, sc := range drill.Scenarios() {
		w := risktest.Healthy(now)
		w.Versions = wiring.Failed[[]wiring.KeyVersion]("keyvault GET", now, "403")
		w.Assignments = wiring.Failed[[]wiring.RoleAssignment]("arm GET", now, "403")
		for _, before := range []bool{true, false} {
			got := drill.Overlay(w, sc.Name, before, now)
			if got.Versions.State != wiring.Unreadable || got.Assignments.State != wiring.Unreadable || got.Deleted.OK() {
				t.Errorf("%s: %s, %s, deleted %s", sc.Name, got.Versions.State, got.Assignments.State, got.Deleted.State)
			}
		}
	}
}

// A stranger's write: the cluster was on a newer version before.
func TestAStrangersWriteHasABefore(t *testing.T) {
	t.Parallel()
	w := risktest.Healthy(now)
	before, after := drill.Overlay(w, drill.StrangerWrite, true, now), drill.Overlay(w, drill.StrangerWrite, false, now)
	newest, _ := wiring.Newest(after.Versions.Value)
	if before.Key().Version != drill.Version || newest.Key.Version != drill.Version || !after.Key().Equal(w.Key()) || w.Key().Version == drill.Version {
		t.Errorf("before %s, after %s, newest %s", before.Key().Version, after.Key().Version, newest.Key.Version)
	}
}
