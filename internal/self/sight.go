package self

import (
	"fmt"
	"strings"
	"time"

	"cmkguard/internal/event"
	"cmkguard/internal/risk"
	"cmkguard/internal/wiring"
)

// Whole is when a subscription was last seen whole, and with how many clusters.
type Whole struct {
	At       time.Time `json:"at"`
	Clusters int       `json:"clusters"`
}

// JudgeSight answers SELF-004 about one subscription; before is zero if it was
// never seen whole.
func JudgeSight(s wiring.Sight, before Whole) risk.Verdict {
	about := Watched(s.Subscription)
	seen := []risk.Evidence{{Call: s.Call, At: s.At, Value: fmt.Sprintf("%d clusters listed; %s", s.Clusters, orFine(s.Lack+s.Why))}}
	switch {
	case s.Lack != "" && before.At.IsZero():
		return verdict(Sight, about, risk.Broken, seen, "subscription %s was never seen whole: %s", s.Subscription, s.Lack)
	case s.Lack != "":
		return verdict(Sight, about, risk.Broken, seen, "subscription %s: %s; until %s it was seen whole, with %d clusters, now %d are listed",
			s.Subscription, s.Lack, moment(before.At), before.Clusters, s.Clusters)
	case s.Why != "":
		return verdict(Sight, about, risk.Unknown, seen, "subscription %s: %s", s.Subscription, s.Why)
	}
	return verdict(Sight, about, risk.OK, seen, "subscription %s is seen whole, with %d clusters", s.Subscription, s.Clusters)
}

func orFine(s string) string {
	if s == "" {
		return "nothing hides any"
	}
	return s
}

// JudgeReads answers SELF-005 about what was read of one chain: of its cluster,
// and, once one was told, of its key.
func JudgeReads(w wiring.Wiring) []risk.Verdict {
	cluster, key, unread := w.Refusals()
	out := []risk.Verdict{judgeReads(event.Subject{Kind: event.SubjectCluster, ID: w.ID.Key()}, cluster, unread)}
	if k := w.Key(); !k.IsZero() {
		out = append(out, judgeReads(event.Subject{Kind: event.SubjectKey, ID: k.ID()}, key, unread))
	}
	for i := range out {
		out[i].Cluster = w.ID.Key()
	}
	return out
}

func judgeReads(about event.Subject, refused []wiring.Refusal, unread bool) risk.Verdict {
	var calls []string
	var seen []risk.Evidence
	for _, r := range refused {
		calls = append(calls, r.Call)
		seen = append(seen, risk.Evidence{Call: r.Call, At: r.At, Value: r.Why})
	}
	switch {
	case len(refused) > 0:
		return verdict(Reads, about, risk.Broken, seen, "we may not read it: refused were %s", strings.Join(calls, ", "))
	case unread:
		return verdict(Reads, about, risk.Unknown, seen, "other reads failed: whether we may read it cannot be told")
	}
	return verdict(Reads, about, risk.OK, seen, "nothing that was read of it was refused")
}
