package self

import (
	"fmt"
	"time"

	"cmkguard/internal/risk"
)

// TooFar is how far our clock and the services' may be apart: what risk takes for
// a time in the future. Our own deadlines and quiet times are longer.
const TooFar = 5 * time.Minute

// JudgeClock answers SELF-010: off is how far the services are ahead of us, as
// compared at a time; ok is false where nothing was compared lately.
func JudgeClock(off time.Duration, at time.Time, ok bool) risk.Verdict {
	if !ok {
		return verdict(Clock, Us(), risk.Unknown, nil, "no service said lately what time it is")
	}
	side := "ahead of"
	if off > 0 {
		side = "behind"
	}
	seen := []risk.Evidence{{Call: "Date of Azure's answers", At: at.UTC(), Value: fmt.Sprintf("our clock is %s %s theirs", span(off.Abs()), side)}}
	if off.Abs() > TooFar {
		return verdict(Clock, Us(), risk.Broken, seen, "our clock is %s %s that of Azure's services, more than %s", span(off.Abs()), side, TooFar)
	}
	return verdict(Clock, Us(), risk.OK, seen, "our clock and that of Azure's services are %s apart", span(off.Abs()))
}
