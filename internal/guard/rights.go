package guard

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"cmkguard/internal/fault"
	"cmkguard/internal/plan"
	"cmkguard/internal/risk"
	"cmkguard/internal/self"
	"cmkguard/internal/store"
	"cmkguard/internal/wiring"
)

// OwnRights reads what our own identities were given (azure/own).
type OwnRights interface {
	Own(ctx context.Context) []wiring.OwnIdentity
}

const (
	rightsRow = "rights"
	// rightsEvery is how often our own rights are looked at, beside each start.
	rightsEvery = 24 * time.Hour
)

// Holdings reads what each of our identities may do beyond what it needs: the observer
// to read, the remediator for the remedies that the policy lets act.
func (g *Guard) Holdings(ctx context.Context) []self.Holding {
	if g.Watch.Rights == nil {
		return nil
	}
	var out []self.Holding
	for _, i := range g.Watch.Rights.Own(ctx) {
		need := plan.ObserverRights()
		if i.Role != "observer" {
			need = plan.RightsUnder(g.Policy)
		}
		out = append(out, self.Hold(i, self.Needs{
			Actions: need.Actions, DataActions: need.DataActions, Permissions: need.Permissions, House: plan.HouseRoles(),
		}))
	}
	return out
}

// SameIdentity reports whether two of ours are one, by what is known of them.
func SameIdentity(all []self.Holding) bool {
	for i, a := range all {
		for _, b := range all[i+1:] {
			if a.Object.OK() && b.Object.OK() && strings.EqualFold(a.Object.Value, b.Object.Value) || a.ClientID != "" && strings.EqualFold(a.ClientID, b.ClientID) {
				return true
			}
		}
	}
	return false
}

// judgeRights brings the incidents about our own rights up to date.
func (g *Guard) judgeRights(ctx context.Context) ([]string, error) {
	all := g.Holdings(ctx)
	verdicts := make([]risk.Verdict, 0, len(all))
	for _, h := range all {
		if h.Role != "observer" && g.Observe != "" {
			continue // the policy that says what it is for is not in force
		}
		verdicts = append(verdicts, self.JudgeRights(h, SameIdentity(all), g.Now()))
	}
	return g.applySelf(ctx, verdicts...)
}

// rightsDue has our own rights looked at once a day, through the queue: the sweep has
// little time.
func (g *Guard) rightsDue(ctx context.Context) error {
	if g.Watch.Rights == nil {
		return nil
	}
	row, ok, err := g.get(ctx, selfPartition, rightsRow)
	if err != nil {
		return err
	}
	var next time.Time
	if ok && json.Unmarshal(row.Value, &next) == nil && g.Now().Before(next) {
		return nil
	}
	if err := g.send(ctx, message{Kind: kindRights}, 0); err != nil {
		return err
	}
	_, err = g.State.Apply(ctx, selfPartition, []store.Op{putOp(rightsRow, encode(g.Now().Add(rightsEvery).UTC()), row.ETag)})
	if fault.Is(err, fault.Conflict) {
		err = nil // another sweep asked too
	}
	return asRecordError(err)
}
