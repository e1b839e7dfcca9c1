package app

import (
	"context"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/limit"
	"cmkguard/internal/policy"
)

// alertRules are what the policy says about delivering, and the channels' rates over
// all instances.
func alertRules(pol *policy.Policy, rates *limit.Limiter) alert.Rules {
	return alert.Rules{
		Everybody: pol.Everybody(),
		Take: func(ctx context.Context, channel string) time.Duration {
			c, ok := pol.Channel(channel)
			if !ok || c.Rate.Sends == 0 {
				return 0
			}
			return rates.Take(ctx, "channel/"+channel, limit.Rate{Calls: c.Rate.Sends, Per: c.Rate.Per})
		},
	}
}
