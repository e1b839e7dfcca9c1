package guard

import (
	"testing"

	"cmkguard/internal/incident"
	"cmkguard/internal/risk"
)

func TestAnUnknownAnswerElsewhereEndsNothingBroken(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		was  incident.State
		now  risk.Answer
		ends bool
	}{
		{incident.Open, risk.Unknown, false}, {incident.Open, risk.OK, true}, {incident.Open, risk.Broken, true},
		{incident.Uncertain, risk.Unknown, true}, {incident.Uncertain, risk.OK, true},
	} {
		if got := moves(incident.Incident{State: c.was}, risk.Verdict{Answer: c.now}); got != c.ends {
			t.Errorf("%s at the cluster, %s at the vault: ends %v", c.was, c.now, got)
		}
	}
}
