package guard

import (
	"fmt"
	"testing"
	"time"
)

// A flood about one vault widens the look at that vault and leaves the others
// theirs; one about many vaults widens the look at everything; the next minute
// begins anew, and what is kept stays bounded.
func TestAFloodWidensTheLookAndIsForgottenAfterAMinute(t *testing.T) {
	t.Parallel()
	var f flood
	at := time.Date(2026, 11, 1, 0, 0, 30, 0, time.UTC)
	got := map[width]int{}
	for range 10 * vaultBudget {
		got[f.width("loud", at)]++
	}
	if got[narrow] != vaultBudget || got[wider] != 9*vaultBudget || f.width("quiet", at) != narrow {
		t.Errorf("one loud vault: %v", got)
	}
	got = map[width]int{}
	for i := range 3 * totalBudget {
		got[f.width(fmt.Sprint("vault-", i), at)]++
	}
	if got[narrow] != totalBudget-vaultBudget-1 || got[widest] != 3*totalBudget-got[narrow] {
		t.Errorf("many vaults: %v", got)
	}
	if w := f.width("loud", at.Add(time.Minute)); w != narrow {
		t.Errorf("a minute later: %v", w)
	}
	for i := range 2 * maxOnce {
		f.first(fmt.Sprint(i), at)
	}
	if len(f.once) > maxOnce {
		t.Errorf("%d ids are kept", len(f.once))
	}
}

// Alerts about input that cannot be read have a budget; the input is kept all the
// same.
func TestKeptInputIsToldOfTenTimesAMinute(t *testing.T) {
	t.Parallel()
	var f flood
	at, told := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), 0
	for range 1000 {
		if f.tell("vaultlogs", at) {
			told++
		}
	}
	if told != poisonBudget || !f.tell("work", at) || !f.tell("vaultlogs", at.Add(time.Minute)) {
		t.Errorf("told %d times", told)
	}
}
