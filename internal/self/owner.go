package self

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cmkguard/internal/event"
	"cmkguard/internal/risk"
	"cmkguard/internal/wiring"
)

// JudgeOwner answers SELF-009 about one cluster: us is our name; owns, whether the
// policy says that we act here; tags are the owner tags in its chain, by what bears
// them.
func JudgeOwner(w wiring.Wiring, us string, owns bool, tags map[string]string) risk.Verdict {
	about := event.Subject{Kind: event.SubjectCluster, ID: w.ID.Key()}
	seen := []risk.Evidence{{Call: w.Cluster.Call, At: w.Cluster.At, Value: fmt.Sprintf("owner tags: %v", tags)}}
	v := verdict(Owner, about, risk.OK, seen, "%s acts here, and no tag says otherwise", us)
	_, _, unread := w.Refusals()
	switch other := others(tags, us); {
	case !w.Cluster.OK():
		v = verdict(Owner, about, risk.Unknown, seen, "the cluster could not be read: %s", w.Cluster.Why)
	case !owns:
		v = verdict(Owner, about, risk.OK, seen, "another installation acts here; %s observes", us)
	case len(other) > 0:
		v = verdict(Owner, about, risk.Broken, seen, "the policy says that %s acts here, and tags say otherwise: %s; nothing is done here until that is settled", us, strings.Join(other, ", "))
		v.Breaks += ": " + strings.Join(other, ", ")
	case unread:
		v = verdict(Owner, about, risk.Unknown, seen, "not all of the chain's tags could be read")
	}
	v.Cluster = w.ID.Key()
	return v
}

func others(tags map[string]string, us string) []string {
	var out []string
	for _, where := range slices.Sorted(maps.Keys(tags)) {
		if !strings.EqualFold(tags[where], us) {
			out = append(out, fmt.Sprintf("%s names %q", where, tags[where]))
		}
	}
	return out
}

// JudgeRivals answers SELF-009 about the whole scope: who else may act in it. known
// are the object ids that the policy names as other installations'.
func JudgeRivals(f wiring.Fact[[]wiring.Rival], known []string) risk.Verdict {
	seen := []risk.Evidence{{Call: f.Call, At: f.At, Value: f.Why}}
	if !f.OK() {
		return verdict(Owner, Us(), risk.Unknown, seen, "who else may act here cannot be told: %s", f.Why)
	}
	var list []string
	for _, r := range f.Value {
		if !slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, r.Principal) }) {
			list = append(list, fmt.Sprintf("principal %s holds %q at %s", r.Principal, r.Role, r.Scope))
		}
	}
	seen[0].Value = fmt.Sprintf("%d others, %d of them not in owner.others", len(f.Value), len(list))
	if len(list) == 0 {
		return verdict(Owner, Us(), risk.OK, seen, "nobody else holds a remediator's role, but for those whom the policy names")
	}
	v := verdict(Owner, Us(), risk.Broken, seen, "another installation may act here: %s", clip(strings.Join(list, "; "), 600))
	v.Breaks += ": " + clip(strings.Join(list, "; "), 300)
	return v
}
