package self

import (
	"time"

	"cmkguard/internal/risk"
)

// Silence is how old the last heartbeat of the sweep may be. The sweep is due
// every minute, and the host may take an instance up to ten minutes (the
// longest an invocation of a Consumption plan lives: learn.microsoft.com
// azure-functions/functions-scale#timeout) before it starts another.
const Silence = 10 * time.Minute

// Beat is the sweep's heartbeat, written whenever one got to its end.
type Beat struct {
	Schema  int       `json:"schema"`
	At      time.Time `json:"at"`                // when it ended; of Awaited, since when one is waited for
	Took    int64     `json:"took,omitempty"`    // milliseconds
	Problem string    `json:"problem,omitempty"` // what it could not do
	Awaited bool      `json:"awaited,omitempty"` // none was ever written
}

// JudgeBeat answers SELF-007. ok is false where no row could be read.
func JudgeBeat(b Beat, ok bool, why string, now time.Time) risk.Verdict {
	seen := []risk.Evidence{{Call: "state self/beat", At: now.UTC(), Value: "last heartbeat " + moment(b.At)}}
	age := now.Sub(b.At)
	switch {
	case !ok:
		return verdict(Sweeps, Us(), risk.Unknown, nil, "the sweep's heartbeat cannot be read: %s", why)
	case age <= Silence:
		return verdict(Sweeps, Us(), risk.OK, seen, "the last sweep ended at %s", moment(b.At))
	case b.Awaited:
		return verdict(Sweeps, Us(), risk.Broken, seen, "no sweep has ever got to its end; the first has been waited for since %s", moment(b.At))
	}
	return verdict(Sweeps, Us(), risk.Broken, seen, "no sweep has got to its end since %s, which is %s ago; one is due every minute", moment(b.At), span(age))
}

// JudgeSettings answers SELF-011: observe is why nothing is changed, or "".
func JudgeSettings(observe string, now time.Time) risk.Verdict {
	seen := []risk.Evidence{{Call: "start of the process", At: now.UTC(), Value: "settings and policy as read then"}}
	if observe == "" {
		return verdict(Settings, Us(), risk.OK, seen, "settings and policy are in force since %s", moment(now))
	}
	v := verdict(Settings, Us(), risk.Broken, seen, "CMK Guard observes only, it changes nothing: %s", observe)
	v.Breaks += ": " + clip(observe, 300) // another reason is told again
	return v
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n] + "..."
}
