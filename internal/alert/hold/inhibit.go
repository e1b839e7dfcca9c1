package hold

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"cmkguard/internal/alert"
	"cmkguard/internal/event"
	"cmkguard/internal/incident"
	"cmkguard/internal/risk"
)

// rule is what follows from a check that is broken: alerts about it tell nothing that
// the source does not, and cannot be mended before it is.
type rule struct {
	source string
	checks []string
	// unclear: only that something cannot be told any longer, not that it is broken.
	unclear bool
}

// rules: what is not here is told. Left out on purpose is whatever may have another
// cause or needs somebody else: that a cluster fails (CMK-004), that a key was copied
// (CMK-028), that a stranger made a version (CMK-067), identities, tags.
func rules() []rule {
	ofVersions := []string{"CMK-011", "CMK-012", "CMK-013", "CMK-018", "CMK-019", "CMK-021", "CMK-022", "CMK-023", "CMK-024", "CMK-025", "CMK-026"}
	ofKey := []string{"CMK-014", "CMK-015", "CMK-016", "CMK-017", "CMK-020", "CMK-029"}
	ofAccess := []string{"CMK-050", "CMK-051", "CMK-052", "CMK-053", "CMK-054", "CMK-055", "CMK-056", "CMK-057"}
	ofVault := []string{"CMK-030", "CMK-032", "CMK-033", "CMK-035", "CMK-037", "CMK-038", "CMK-039", "CMK-040", "CMK-042"}
	return []rule{
		// A deleted vault takes its keys, its role assignments and its network rules along.
		{source: "CMK-036", checks: slices.Concat([]string{"CMK-010"}, ofKey, ofVersions, ofAccess, ofVault)},
		// A deleted key has no versions, and nobody can be granted anything on it.
		{source: "CMK-010", checks: slices.Concat(ofKey, ofVersions, ofAccess)},
		// Through a closed firewall nothing of the keys can be read.
		{source: "CMK-038", checks: slices.Concat([]string{"CMK-010"}, ofKey, ofVersions, []string{"CMK-057"}), unclear: true},
	}
}

// inhibited looks whether the alert follows from an incident that is open upstream.
func (j *judge) inhibited(ctx context.Context, a alert.Alert) (*alert.Hold, error) {
	for _, r := range rules() {
		if r.unclear && a.Lifecycle != alert.Notice || !slices.Contains(r.checks, a.Check) {
			continue
		}
		source, _ := risk.Find(r.source)
		for _, partition := range a.Upstream {
			// A vault that could not be read has its finding at the cluster.
			kind, _, _ := strings.Cut(partition, "~")
			if kind != string(source.SubjectKind) && kind != string(event.SubjectCluster) {
				continue
			}
			open, err := j.isOpen(ctx, partition, r.source)
			if err != nil {
				return nil, err
			}
			if open {
				id := r.source + "/" + partition
				return &alert.Hold{Kind: alert.HoldInhibition, ID: id, Why: "the open incident " + id + ", from which it follows"}, nil
			}
		}
	}
	return nil, nil
}

func (j *judge) isOpen(ctx context.Context, partition, check string) (bool, error) {
	key := partition + "/" + check
	if open, ok := j.open[key]; ok {
		return open, nil
	}
	row, ok, err := j.State.Get(ctx, partition, incident.RowKey(check))
	if err != nil {
		return false, err
	}
	var i incident.Incident
	j.open[key] = ok && json.Unmarshal(row.Value, &i) == nil && i.State == incident.Open
	return j.open[key], nil
}
