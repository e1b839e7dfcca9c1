package guard

import (
	"fmt"
	"testing"
	"time"
)

// Sixty messages that one refusal puts back do not come again together, at no try, and
// none comes before the service allowed it.
func TestWhatIsPutBackComesAgainSpread(t *testing.T) {
	t.Parallel()
	for n, base := range map[int]time.Duration{1: 5 * time.Second, 2: 10 * time.Second, 5: 80 * time.Second, 8: 10 * time.Minute, 100: 10 * time.Minute} {
		for _, least := range []time.Duration{0, 30 * time.Second, 6 * time.Hour} {
			want := max(base, least)
			spread := min(want/2, 5*time.Minute)
			tenths := map[int]int{}
			for k := range 60 {
				name := message{Kind: kindSignal, Partition: fmt.Sprintf("sig~%d", k)}.name()
				d := backoff(n, least, name)
				if d < want || d >= want+spread || d != backoff(n, least, name) {
					t.Fatalf("try %d, least %s: %s, want %s to half as much more and no more than five minutes, and the same each time", n, least, d, want)
				}
				tenths[int(10*(d-want)/spread)]++
			}
			if len(tenths) < 9 {
				t.Errorf("try %d: they fall into %d tenths of the spread: %v", n, len(tenths), tenths)
			}
		}
	}
}
