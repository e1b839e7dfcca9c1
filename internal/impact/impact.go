// Package impact says what breaks when a link that clusters share is lost: the
// same checks are asked of each cluster's chain as it is and as it would be, and
// the difference is the answer. It reads nothing and changes nothing.
package impact

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/risk"
	"cmkguard/internal/wiring"
)

// Loss turns a chain into what it would be if something were lost at now.
type Loss func(w wiring.Wiring, now time.Time) wiring.Wiring

// Answer is what the loss means for one cluster.
type Answer string

// The answers. Unknown is never "keeps".
const (
	Breaks  Answer = "breaks"
	Keeps   Answer = "keeps"   // nothing that the checks ask about gets worse
	Unknown Answer = "unknown" // its chain could not be read far enough
	Already Answer = "already broken"
)

// Effect is the loss seen from one cluster.
type Effect struct {
	Cluster string            `json:"cluster"` // ARM id as given
	Name    string            `json:"name"`
	Kind    string            `json:"kind"`
	Owner   string            `json:"owner,omitempty"`
	Tags    map[string]string `json:"tags,omitempty"`
	Answer  Answer            `json:"answer"`
	Why     string            `json:"why"`
	Check   string            `json:"check,omitempty"`  // the worst check that the loss breaks
	Breaks  string            `json:"breaks,omitempty"` // what breaks, and how soon
}

// Other is a resource that is no Redis cluster and stands on the same thing.
type Other struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	How  string `json:"how"`
}

// Report is the answer to "what breaks if this is lost?".
type Report struct {
	Subject  string    `json:"subject"`
	At       time.Time `json:"at"`
	Effects  []Effect  `json:"effects"`
	Others   []Other   `json:"others"`
	Complete bool      `json:"complete"` // the rights to see every consumer were verified in this run
	Why      string    `json:"why,omitempty"`
	// Recover says what could be recovered until when, or what was lost already.
	Recover string `json:"recover"`
}

// chain are the checks of the chain itself, and those that a loss ends in.
func chain(c risk.Check) bool {
	return c.Cadence == risk.CadenceSignal || c.ID == "CMK-036"
}

// Judge compares the chain as it is with what is left after the loss.
func Judge(w wiring.Wiring, loss Loss, lim risk.Limits, now time.Time) Effect {
	e := Effect{Cluster: w.ID.String(), Name: w.ID.Name(), Kind: w.Cluster.Value.Kind, Tags: w.Cluster.Value.Tags, Owner: tag(w.Cluster.Value.Tags, "owner")}
	if !w.Cluster.OK() {
		e.Answer, e.Why = Unknown, "the cluster could not be read: "+w.Cluster.Why
		return e
	}
	before := map[string]risk.Verdict{}
	for _, v := range risk.Judge(w, lim, now, chain) {
		before[v.Check] = v
	}
	var worst, old, doubt *risk.Verdict
	for _, v := range risk.Judge(loss(w, now), lim, now, chain) {
		if v.Severity.Rank() < risk.Critical.Rank() {
			continue
		}
		switch was := before[v.Check].Answer; {
		case v.Answer == risk.Broken && was == risk.OK:
			worst = first(worst, v)
		case v.Answer == risk.Broken && was == risk.Broken:
			old = first(old, v)
		case v.Answer == risk.Broken || v.Answer == risk.Unknown && was == risk.Unknown:
			doubt = first(doubt, v)
		}
	}
	return e.conclude(worst, old, doubt)
}

func first(have *risk.Verdict, v risk.Verdict) *risk.Verdict {
	if have != nil {
		return have
	}
	return &v
}

func (e Effect) conclude(worst, old, doubt *risk.Verdict) Effect {
	switch {
	case worst != nil:
		e.Answer, e.Check, e.Why, e.Breaks = Breaks, worst.Check, worst.Why, worst.Breaks
	case old != nil:
		e.Answer, e.Check, e.Why, e.Breaks = Already, old.Check, old.Why, old.Breaks
	case doubt != nil:
		e.Answer, e.Check, e.Why = Unknown, doubt.Check, doubt.Why
	default:
		e.Answer, e.Why = Keeps, "no check of the chain gets worse"
	}
	return e
}

func tag(tags map[string]string, name string) string {
	for k, v := range tags {
		if strings.EqualFold(k, name) {
			return v
		}
	}
	return ""
}

// Nobody reports whether it is proved that nothing breaks: every consumer could
// be seen, each keeps what it has, and nothing else stands on the subject.
func (r Report) Nobody() bool {
	return r.Complete && len(r.Others) == 0 && !slices.ContainsFunc(r.Effects, func(e Effect) bool { return e.Answer != Keeps })
}

// Sort puts what breaks first, then what is unknown, by name.
func (r *Report) Sort() {
	place := map[Answer]int{Breaks: 0, Already: 1, Unknown: 2, Keeps: 3}
	slices.SortFunc(r.Effects, func(a, b Effect) int {
		return cmp.Or(cmp.Compare(place[a.Answer], place[b.Answer]), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Cluster, b.Cluster))
	})
	slices.SortFunc(r.Others, func(a, b Other) int { return cmp.Compare(a.ID, b.ID) })
}

// Summary is the answer in one sentence.
func (r Report) Summary() string {
	n := map[Answer]int{}
	for _, e := range r.Effects {
		n[e.Answer]++
	}
	var parts []string
	for _, a := range []Answer{Breaks, Already, Unknown, Keeps} {
		if n[a] > 0 {
			parts = append(parts, fmt.Sprintf("%s: %d", a, n[a]))
		}
	}
	if len(r.Others) > 0 {
		parts = append(parts, fmt.Sprintf("resources that are no Redis cluster: %d", len(r.Others)))
	}
	switch {
	case r.Nobody():
		parts = append(parts, "nobody is hurt, and everybody who could be was seen")
	case len(parts) == 0 && !r.Complete:
		parts = append(parts, "unknown: no consumer can be seen, and not every one could be")
	}
	s := strings.Join(parts, ", ")
	if !r.Complete {
		s += ". There may be others: " + r.Why
	}
	return s
}

// Recovery says until when the vault would keep what is deleted, or has it
// deleted already.
func Recovery(ws []wiring.Wiring, now time.Time) string {
	found := map[string]bool{}
	for _, w := range ws {
		switch {
		case w.Deleted.OK():
			found[deletedKey(w.Deleted.Value)] = true
		case w.Posture.DeletedVault.OK():
			d := w.Posture.DeletedVault.Value
			found[fmt.Sprintf("the vault %s was deleted on %s and can be recovered until %s", d.ID.Name(), day(d.DeletedAt), day(d.PurgeAt))] = true
		case w.Vault.OK() && !w.Key().IsZero():
			found[kept(w.Vault.Value, now)] = true
		}
	}
	if len(found) == 0 {
		return "what could be recovered is unknown: no vault could be read"
	}
	return strings.Join(slices.Sorted(maps.Keys(found)), "; ")
}

func deletedKey(d wiring.DeletedKey) string {
	s := fmt.Sprintf("the key %s was deleted on %s", d.Key.Base().ID(), day(d.DeletedAt))
	if d.PurgeAt.IsZero() {
		return s + "; the vault names no purge date"
	}
	return s + " and can be recovered until " + day(d.PurgeAt)
}

func kept(v wiring.Vault, now time.Time) string {
	s := fmt.Sprintf("deleted today, %s would keep it recoverable until %s", v.Name, day(now.AddDate(0, 0, v.RetentionDays)))
	if !v.PurgeProtection {
		s += ", unless somebody purges it first: purge protection is off"
	}
	return s
}

func day(t time.Time) string {
	if t.IsZero() {
		return "an unknown day"
	}
	return t.UTC().Format(time.DateOnly)
}

// Consumer reports whether the cluster's own settings name the key; with a
// version, whether they name that version.
func Consumer(c wiring.Cluster, k azureid.Key) bool {
	return c.CMK != nil && c.CMK.Key.SameKey(k) && (k.Version == "" || c.CMK.Key.Equal(k))
}
