package self

import (
	"strings"
	"time"

	"cmkguard/internal/risk"
)

// DrillSlack is how late a scheduled exercise may be: a quarter of its period, an hour at
// least and a week at most.
func DrillSlack(every time.Duration) time.Duration {
	return min(max(every/4, time.Hour), 7*24*time.Hour)
}

// JudgeDrills answers SELF-031 by the exercises that none got through of for too long.
func JudgeDrills(missed []string, every time.Duration, now time.Time) risk.Verdict {
	if len(missed) == 0 {
		return verdict(Drills, Us(), risk.OK, nil, "every scheduled exercise got through within %s, or none is scheduled", span(every+DrillSlack(every)))
	}
	return verdict(Drills, Us(), risk.Broken, []risk.Evidence{{Call: "journal of drills", At: now, Value: strings.Join(missed, ", ")}},
		"scheduled every %s, and missed: %s", span(every), strings.Join(missed, "; "))
}
