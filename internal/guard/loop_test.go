package guard_test

import (
	"net/http"
	"testing"
	"time"

	"cmkguard/internal/azuresim"
)

// The logs tell of our own refused reads, up to ten minutes late. They are no reason
// to read again: a deleted key would be looked at for ever.
func TestOurOwnRefusedReadsDoNotFeedThemselves(t *testing.T) {
	t.Parallel()
	dir, profile := served(t, azuresim.New(azuresim.Options{}))
	looks := func(ourselves []string) int {
		r := newTelling(t, dir, profile, "v1", false)
		r.g.Ourselves = ourselves
		r.sim.DeleteKey(r.key)
		before := 0
		for n := range 30 { // what was told comes twelve minutes later
			told := r.collect()
			r.until(r.sim.Clock().Now().Add(12*time.Minute), func() {})
			for _, l := range told {
				r.deliver(l, 0)
			}
			if n == 3 {
				before = r.sim.Count(http.MethodGet, "/deletedkeys/kek")
			}
		}
		return r.sim.Count(http.MethodGet, "/deletedkeys/kek") - before
	}
	if n := looks(nil); n < 10 {
		t.Errorf("the test shows nothing: %d looks", n)
	}
	if n := looks([]string{"99999999-9999-9999-9999-999999999999"}); n > 0 {
		t.Errorf("%d looks in six hours, of which nothing was told but our own reads", n)
	}
}
