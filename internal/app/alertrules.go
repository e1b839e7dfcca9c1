package app

import (
	"context"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/hold"
	"cmkguard/internal/alert/route"
	"cmkguard/internal/limit"
	"cmkguard/internal/policy"
	"cmkguard/internal/store"
)

// alertRules are what the policy says about delivering, and the channels' rates over
// all instances.
func alertRules(pol *policy.Policy, state store.State, now func() time.Time) alert.Rules {
	rates := limit.New(state, now)
	return alert.Rules{
		Group:     func(a alert.Alert, channel string) (alert.Group, bool) { return route.Group(pol, a, channel) },
		Storm:     func(channel string) alert.Storm { return route.Storm(pol, channel) },
		Everybody: pol.Everybody(), Holds: hold.Holder{State: state, Policy: pol, Now: now},
		Take: func(ctx context.Context, channel string) time.Duration {
			c, ok := pol.Channel(channel)
			if !ok || c.Rate.Sends == 0 {
				return 0
			}
			return rates.Take(ctx, "channel/"+channel, limit.Rate{Calls: c.Rate.Sends, Per: c.Rate.Per})
		},
	}
}
