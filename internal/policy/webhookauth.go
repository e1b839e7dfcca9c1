package policy

import (
	"maps"
	"net/url"
	"strings"
)

// checkAuth: each way to prove who we are has what it needs, and nothing that it would
// leave unused.
func checkAuth(n node, c Channel, found map[string]bool) {
	h := c.Hook
	if h.Auth == "" {
		h.Auth = AuthSignature
		found = maps.Clone(found)
		found["secretRef"] = true // whoever makes the channel asks for it
	}
	secret := h.Auth != AuthIdentity && h.Auth != AuthNone
	switch {
	case secret && !found["secretRef"]:
		n.problem("has no secretRef, which auth: %s asks for: want secretRef: NAME of the setting that holds it", h.Auth)
	case !secret && found["secretRef"]:
		n.problem("has a secretRef, which auth: %s does not use", h.Auth)
	}
	for _, f := range []struct {
		name, auth string
		set        bool
	}{{"user", AuthBasic, c.User != ""}, {"header", AuthHeader, h.Header != ""}, {"audience", AuthIdentity, h.Audience != ""}} {
		switch {
		case h.Auth == f.auth && !f.set:
			n.problem("has no %s, which auth: %s asks for", f.name, f.auth)
		case h.Auth != f.auth && found[f.name]:
			n.problem("has a field %s, which only auth: %s uses", f.name, f.auth)
		}
	}
	if h.Auth == AuthIdentity && h.Audience != "" && c.URL != "" {
		checkAudience(n, h.Audience, c.URL)
	}
}

// ingestion are the audiences of the Logs Ingestion API by cloud, and the hosts that
// belong to each (learn.microsoft.com azure/azure-monitor/logs/
// logs-ingestion-api-overview).
func ingestion() map[string]string {
	return map[string]string{
		"https://monitor.azure.com": ".ingest.monitor.azure.com",
		"https://monitor.azure.us":  ".ingest.monitor.azure.us",
		"https://monitor.azure.cn":  ".ingest.monitor.azure.cn",
	}
}

// checkAudience keeps a token of our identity where it cannot open anything else: one
// for Key Vault or Resource Manager that is sent to a webhook would hand over all that
// the identity may do. A token for somebody's own application opens that application.
func checkAudience(n node, audience, to string) {
	u, err := url.Parse(to)
	if err != nil {
		return // reported already
	}
	suffix, known := ingestion()[strings.TrimSuffix(audience, "/")]
	switch {
	case strings.HasPrefix(audience, "api://") && len(audience) > len("api://"):
	case !known:
		n.problem("audience %q is neither an application of yours (api://...) nor %s: a token for another service must not go to a webhook",
			clip(audience), strings.Join(sortedKeys(ingestion()), ", "))
	case !strings.HasSuffix(strings.ToLower(u.Hostname()), suffix) && !isLoopback(u.Hostname()):
		n.problem("url is not one of %s: want https://NAME%s", audience, suffix)
	}
}
