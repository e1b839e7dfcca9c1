package guard

import (
	"context"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/event"
	"cmkguard/internal/risk"
	"cmkguard/internal/wiring"
)

// usesKept is how far back claims of use are looked at: a cadence of quarters
// shows in it.
const usesKept = 400 * 24 * time.Hour

// UseOf reads a cluster's use of its key out of the claims: when its identity
// last unwrapped, with which version, and how long its pauses were. Unwraps may
// come only when a cluster starts or follows a rotation, so each cluster's own
// pauses are its cadence.
func UseOf(list []LastUse, w wiring.Wiring, at time.Time) wiring.Fact[wiring.KeyUse] {
	const call = "claims of use from AuditEvent"
	var u wiring.KeyUse
	for _, l := range list {
		day, err := time.Parse(time.DateOnly, l.Day)
		if err != nil || !isIdentityOf(l.Actor, w) {
			continue
		}
		if gap := day.Sub(u.Last); u.Count > 0 && gap > u.LongestGap {
			u.LongestGap = gap
		}
		if !day.Equal(u.Last) {
			u.Count++
		}
		u.Last, u.Version = day, l.Key[strings.LastIndexByte(l.Key, '/')+1:]
	}
	if u.Count == 0 {
		return wiring.NotThere[wiring.KeyUse](call, at, "no unwrap by the identity was recorded")
	}
	return wiring.Read(u, call, at)
}

func isIdentityOf(a event.Actor, w wiring.Wiring) bool {
	same := func(principal, client string) bool {
		return a.ObjectID != "" && strings.EqualFold(principal, a.ObjectID) || a.AppID != "" && strings.EqualFold(client, a.AppID)
	}
	return same(w.Identity.Value.PrincipalID, w.Identity.Value.ClientID) ||
		slices.ContainsFunc(w.Cluster.Value.Identities, func(i wiring.ClusterIdentity) bool { return same(i.PrincipalID, i.ClientID) })
}

// UseFact is the fact for one chain, from the store.
func (g *Guard) UseFact(ctx context.Context, w wiring.Wiring) wiring.Fact[wiring.KeyUse] {
	list, err := g.Uses(ctx, w.Key().ID(), g.Now().Add(-usesKept).UTC().Format(time.DateOnly))
	if err != nil {
		return wiring.Failed[wiring.KeyUse]("claims of use from AuditEvent", g.Now(), err.Error())
	}
	return UseOf(list, w, g.Now())
}

// addUses judges what the claims say of each cluster's use (CMK-057). They inform
// and hold nothing: anybody who may send to the hub could have made them up.
func (g *Guard) addUses(ctx context.Context, p *picture) {
	for _, w := range p.wirings {
		if w.Key() == (azureid.Key{}) {
			continue
		}
		w.Posture.Use = g.UseFact(ctx, w)
		if !w.Posture.Use.OK() {
			continue // not seen yet says nothing
		}
		for _, v := range risk.Judge(w, g.Policy.Limits.Risk, p.now, risk.Select("CMK-057")) {
			p.verdicts[v.Subject] = append(p.verdicts[v.Subject], v)
		}
	}
}
