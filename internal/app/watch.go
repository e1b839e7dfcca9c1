package app

import (
	"fmt"

	"cmkguard/internal/guard"
	"cmkguard/internal/heartbeat"
	"cmkguard/internal/metric"
	"cmkguard/internal/policy"
)

// heartbeatOf connects the external watcher that the policy names, and returns
// what is wrong with it.
func heartbeatOf(g *guard.Guard, pol *policy.Policy, env func(string) string, meter *metric.Meter) (problem string) {
	h := pol.Heartbeat
	if h == nil {
		return ""
	}
	url, secret := h.URL, ""
	if h.SecretRef != "" {
		if secret = env(h.SecretRef); secret == "" {
			return fmt.Sprintf("%s:%d: heartbeat: setting %s (secretRef) is not set", pol.File, h.Line, h.SecretRef)
		}
	}
	if url == "" {
		url, secret = secret, ""
	}
	w, err := heartbeat.New(url, secret)
	if err != nil {
		return fmt.Sprintf("%s:%d: heartbeat: %v", pol.File, h.Line, err)
	}
	g.Watcher, g.PingEvery = meter.Watcher(w), h.Every
	return ""
}
