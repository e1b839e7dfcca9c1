package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/policy"
	"cmkguard/internal/risk"
	"cmkguard/internal/store"
	"cmkguard/internal/wiring"
)

// rivalsRow keeps who else may act here, as role assignments last said: by it the
// actor of a claim is known to be another installation's remediator.
const rivalsRow = "rivals"

// noteRivals keeps the list; one that could not be read leaves that of before.
func (g *Guard) noteRivals(ctx context.Context, f wiring.Fact[[]wiring.Rival]) error {
	if !f.OK() {
		return nil
	}
	row, ok, err := g.get(ctx, selfPartition, rivalsRow)
	if now := encode(f.Value); err == nil && (!ok || string(now) != string(row.Value)) {
		_, err = g.State.Apply(ctx, selfPartition, []store.Op{putOp(rivalsRow, now, row.ETag)})
	}
	if fault.Is(err, fault.Conflict) {
		return nil
	}
	return asRecordError(err)
}

// rivalOf returns the other installation's remediator that the signal's source says
// did it; nil if it names none.
func (g *Guard) rivalOf(ctx context.Context, s event.Signal) (*wiring.Rival, error) {
	if g.Policy.Owner.Installation == "" || s.Claim == nil || s.Claim.Actor.ObjectID == "" || !changes(s.Kind) {
		return nil, nil
	}
	row, ok, err := g.get(ctx, selfPartition, rivalsRow)
	var list []wiring.Rival
	if err != nil || !ok || json.Unmarshal(row.Value, &list) != nil { // damaged: the next reconcile writes it anew
		return nil, err
	}
	at := slices.IndexFunc(list, func(r wiring.Rival) bool { return strings.EqualFold(r.Principal, s.Claim.Actor.ObjectID) })
	if at < 0 {
		return nil, nil
	}
	return &list[at], nil
}

// changes reports whether a signal of the kind says that something was changed.
func changes(k event.Kind) bool {
	return k != event.UseFailed && k != event.AttemptDenied && k != event.KeyBackedUp
}

// byRival reports whether the signal's claim is to be told for who did it; where that
// cannot be read, it may be.
func (g *Guard) byRival(ctx context.Context, s event.Signal) bool {
	r, err := g.rivalOf(ctx, s)
	return r != nil || err != nil
}

// owns reports whether the policy says that this installation acts on the cluster.
func (g *Guard) owns(w wiring.Wiring) bool {
	c := w.Cluster.Value
	owns, _ := g.Policy.Owns(policy.Target{
		Subscription: w.ID.Subscription(), ResourceGroup: w.ID.ResourceGroup(), Cluster: w.ID.String(), ClusterName: c.Name, Key: w.Key(), Tags: c.Tags,
	})
	return owns
}

// addRival adds to the picture that another installation is said to have done it, to
// something of ours.
func (g *Guard) addRival(ctx context.Context, p *picture) error {
	r, err := g.rivalOf(ctx, p.signal)
	if r != nil && slices.ContainsFunc(slices.Concat(p.wirings, p.gone), g.owns) {
		p.rival = r
		p.meant = slices.ContainsFunc(g.Policy.Owner.Others, func(o string) bool { return strings.EqualFold(o, r.Principal) })
	}
	return err
}

// rivalText says who the actor is; "" where it is no other installation.
func rivalText(p *picture) string {
	if p.rival == nil {
		return ""
	}
	text := fmt.Sprintf("principal %s holds %q at %s: it is another CMK Guard's remediator", p.rival.Principal, p.rival.Role, p.rival.Scope)
	if p.meant {
		text += ", which owner.others of the policy names"
	}
	return text
}

// tellingOfRival is how it is told, unless the policy names the other.
func tellingOfRival(p *picture) (telling, bool) {
	return telling{
		risk.High, "Another CMK Guard acted on what is ours",
		"two installations that act on the same key can make two versions, and undo what the other does",
		"Agree which installation acts (docs/selfguard.md, SELF-009), or name its object id under owner.others of the policy.",
	}, p.rival != nil && !p.meant
}
