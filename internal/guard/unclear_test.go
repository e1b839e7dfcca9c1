package guard_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/policy"
)

// refuseVault has every read of the vault itself and of its keys fail for a while.
func (w *world) refuseVault(d time.Duration) {
	until := w.sim.Clock().Now().Add(d)
	w.sim.SetTap(func(r *http.Request) *azuresim.Fault {
		about := r.Host == host && r.Header.Get("Authorization") != "" || strings.Contains(strings.ToLower(r.URL.Path), "/vaults/")
		if !about || !w.sim.Clock().Now().Before(until) {
			return nil
		}
		return &azuresim.Fault{Mode: azuresim.Refuse, Status: 503, Code: "ServiceUnavailable"}
	})
}

// A vault that cannot be read for a moment wakes nobody, and nobody is told that it
// is fine again.
func TestAMomentInWhichNothingCanBeReadIsNotTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: year, mode: policy.DryRun})
	for range 6 { // it comes and goes
		w.refuseVault(6 * time.Minute)
		w.take(w.sim.NearExpiry(w.key, fmt.Sprint("e", w.sim.Clock().Now().Unix())))
		w.runFor(10 * time.Minute)
	}
	for _, a := range w.told.all {
		if strings.Contains(a.Title, "Cannot tell") || strings.HasPrefix(a.Title, "Fixed") {
			t.Errorf("told: %s", a.Title)
		}
	}
}

// One that stays unreadable is told once for each check that would be critical, and
// told when it is answered.
func TestWhatStaysUnclearIsToldOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v1", created: year, mode: policy.DryRun})
	w.refuseVault(30 * time.Minute)
	w.take(w.sim.NearExpiry(w.key, fmt.Sprint("e", w.sim.Clock().Now().Unix())))
	w.runFor(14 * time.Minute)
	if w.told.has("", "Cannot tell") {
		t.Error("told before anybody could know that it stays so")
	}
	w.runFor(10 * time.Minute)
	told := map[string]int{}
	for _, a := range w.told.all {
		if strings.HasPrefix(a.Title, "Cannot tell") {
			told[a.DedupKey]++
		}
	}
	if len(told) == 0 {
		t.Fatal("nobody was told that a critical check cannot be answered")
	}
	w.runFor(30 * time.Minute)
	w.run(2)
	for key, n := range told {
		fixed := 0
		for _, a := range w.told.all {
			if a.DedupKey == key && a.Lifecycle == alert.Resolve {
				fixed++
			}
		}
		if n != 1 || fixed != 1 {
			t.Errorf("%s: told %d times, %d times that it is answered", key, n, fixed)
		}
	}
}
