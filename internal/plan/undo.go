package plan

import (
	"fmt"
	"strings"
	"time"

	"cmkguard/internal/approval"
	"cmkguard/internal/azureid"
	"cmkguard/internal/store"
	"cmkguard/internal/wiring"
)

// StepBack points a cluster back at the version that it was on before a plan of ours.
const StepBack StepKind = "point-back"

// Did is what a stored plan of ours came to.
type Did struct {
	Plan  Plan            // as it was stored before it was begun
	New   string          // the version that it made, if it was a rotation
	Moved map[string]bool // the clusters that were read back where it moved them: azureid.Resource.Key
}

// Undone says that people took a cluster back from a version: our own moves to that
// version wait until a person says otherwise.
type Undone struct {
	Plan      string    `json:"plan"`      // the undo
	Partition string    `json:"partition"` // of the undo
	Of        string    `json:"of"`        // the plan that was undone
	Version   string    `json:"version"`   // that the cluster was taken back from
	Back      string    `json:"back"`      // that it was pointed at
	At        time.Time `json:"at"`
}

// ForUndo makes the plan that takes back what another plan of ours did to clusters, by
// the undo that was stored with its steps, or says why there is none. f.Wirings are the
// chains of its clusters now. What cannot be taken back is named in the plan, step by
// step. The plan belongs to one beginning of the plan that it undoes.
func ForUndo(f Facts, d Did, policyHash string) (Plan, string) {
	life := d.Plan.ID + "|" + d.Plan.Created.UTC().Format(time.RFC3339Nano)
	p := Plan{
		Schema: 1, Remedy: Undo, Subject: d.Plan.Subject, Key: d.Plan.Key, Created: d.Plan.Created.UTC(), PolicyHash: policyHash,
		ID: store.Name(Undo, life), Undoes: d.Plan.ID, ConsumersAll: true,
	}
	for i, s := range d.Plan.Steps {
		step, c, why, unread := backStep(f, d, s, life)
		if unread != "" {
			return Plan{}, unread
		}
		if why != "" {
			p.Refused = append(p.Refused, fmt.Sprintf("step %d, %s of %s: %s", i+1, s.Kind, s.Target, why))
			continue
		}
		p.Steps, p.Consumers = append(p.Steps, step), append(p.Consumers, consumerOf(c))
	}
	if len(p.Steps) == 0 {
		return p, "nothing of it can be taken back: " + strings.Join(p.Refused, "; ")
	}
	return p, ""
}

// backStep undoes one step: why says that it is refused, unread that this cannot be
// told now.
func backStep(f Facts, d Did, s Step, life string) (out Step, c wiring.Cluster, why, unread string) {
	switch {
	case strings.HasPrefix(s.Undo, Irreversible):
		return out, c, s.Undo, ""
	case s.Kind != StepRewire && s.Kind != StepAdopt && s.Kind != StepBack && s.Kind != StepKind(RollBackDowngrade):
		return out, c, "no way back was stored with it", ""
	case !d.Moved[s.Target]:
		return out, c, "it did not take effect", ""
	}
	w, ok := chainOf(f, s.Target)
	if !ok || w.Cluster.State == wiring.Absent || w.Cluster.OK() && w.Key().IsZero() {
		return out, c, "the cluster no longer uses the key " + d.Plan.Key.ID(), ""
	}
	if !w.Cluster.OK() {
		return out, c, "", w.ID.Name() + " could not be read: " + w.Cluster.Why
	}
	to := s.To
	if to == "new" {
		to = d.New
	}
	switch on := w.Key(); {
	case !on.SameKey(d.Plan.Key):
		return out, c, "the cluster uses another key by now", ""
	case on.Version == s.From:
		return out, c, "it is on version " + s.From + " already", ""
	case on.Version != to:
		return out, c, "it was pointed at version " + on.Version + " since: a later write of somebody else wins", ""
	}
	c = w.Cluster.Value
	out = followStep(c, to, s.From)
	out.Kind, out.Call, out.Key = StepBack, patchCall(c), EffectKey(Undo, s.Target, life)
	out.Undo = "PATCH the cluster to version " + to + " again; our own plan for that waits for a person"
	if c.Kind == "v2" {
		out.ReadBack += ". A managed cache may take the newest version up again by itself within two hours"
	}
	return out, c, "", ""
}

func chainOf(f Facts, cluster string) (wiring.Wiring, bool) {
	for _, w := range f.Wirings {
		if w.ID.Key() == cluster {
			return w, true
		}
	}
	return wiring.Wiring{}, false
}

// gateBack holds unless every cluster that is pointed back could use the version that
// it is pointed at. Who made that version is no question: the cluster was on it.
func gateBack(p Plan, f Facts, in Inputs) Ruling {
	const name = "way-back"
	for _, s := range p.Steps {
		if !f.Versions.OK() {
			return hold(name, "the versions could not be read: %s", f.Versions.Why)
		}
		if why := unusable(f.Versions.Value, p.Key.At(s.To), in.Now); why != "" {
			return hold(name, "version %s %s", s.To, why)
		}
	}
	problems := followProblems(f.Wirings, in, func(check string) bool {
		switch check { // of the version in use, which may be what is wrong
		case "CMK-010", "CMK-011", "CMK-014", "CMK-016":
			return false
		}
		return isFollowCheck(check)
	})
	if len(problems) > 0 {
		return hold(name, "%s", strings.Join(problems, "; "))
	}
	return allow(name, "every version that is gone back to is enabled")
}

func unusable(versions []wiring.KeyVersion, k azureid.Key, now time.Time) string {
	for _, v := range versions {
		if !v.Key.Equal(k) {
			continue
		}
		switch {
		case !v.Enabled:
			return "is disabled"
		case v.NotBefore != nil && now.Before(*v.NotBefore):
			return "is not valid yet"
		}
		return ""
	}
	return "is no longer among the key's versions"
}

// GateUndone is the name of the gate that keeps us from doing again what people undid.
const GateUndone = "undone"

// gateUndone holds our own move of a cluster to a version that people took it back
// from, and a rotation that would move it on, until a person releases that plan.
func gateUndone(p Plan, f Facts, in Inputs) Ruling {
	for _, c := range clustersOf(p, f) {
		u, ok := f.Undone[c.ID.Key()]
		if !ok || p.Remedy == Rewire && u.Version != p.To.Version {
			continue
		}
		if by := releasedAfter(p, in, u.At); by != "" {
			return allow(GateUndone, "people took %s back from version %s, and %s released this since", c.Name, u.Version, by)
		}
		return hold(GateUndone, "people took %s back from version %s to %s (plan %s): it waits for a person who approves this plan", c.Name, u.Version, u.Back, u.Plan)
	}
	return allow(GateUndone, "nothing of it was taken back by people")
}

// releasedAfter names who approved the plan as it is after the moment.
func releasedAfter(p Plan, in Inputs, at time.Time) string {
	sum, err := p.Fingerprint()
	if err != nil {
		return ""
	}
	var since []approval.Decision
	for _, d := range in.Decisions {
		if d.At.After(at) {
			since = append(since, d)
		}
	}
	s := approval.Judge(since, p.ID, sum, approval.Need{Persons: 1, Causes: in.Causes}, in.Now)
	if !s.Approved {
		return ""
	}
	return strings.Join(s.By, " and ")
}
