package policy

import (
	"maps"
	"net"
	"net/url"
	"regexp"
	"strings"
	"time"

	"cmkguard/internal/risk"
)

// Channel kinds.
const (
	kindConsole   = "console"
	kindWebhook   = "webhook"
	kindEventGrid = "eventgrid"
	kindPagerDuty = "pagerduty"
	kindSlack     = "slack"
	kindTeams     = "teams"

	kindEmail        = "email"
	kindAlertmanager = "alertmanager"
)

const allKinds = "pagerduty, teams, slack, email, webhook, eventgrid, alertmanager or console"

func (r reader) channels(n node) {
	r.policy.Channels = nil
	names := map[string]int{}
	for _, item := range n.items() {
		c := readChannel(item)
		if before, twice := names[c.Name]; twice && c.Name != "" {
			item.problem("name %q is used twice, first on line %d: want names that differ", clip(c.Name), before)
		}
		names[c.Name] = item.line
		r.policy.Channels = append(r.policy.Channels, c)
	}
}

func readChannel(n node) Channel {
	c := Channel{Line: n.line}
	secretHere := func(n node) {
		n.problem("holds a secret: want secretRef: NAME of the setting that holds it; replace the secret, it was in a file")
	}
	fields := map[string]func(node){
		"name":      func(n node) { c.Name = n.text() },
		"kind":      func(n node) { c.Kind = n.text() },
		"url":       func(n node) { c.URL = readURL(n) },
		"secretRef": func(n node) { c.SecretRef = readSecretRef(n) },
		"region":    func(n node) { c.Region = readRegion(n) },
		"channel":   func(n node) { c.Target = n.text() },
		"rate":      func(n node) { c.Rate = readRate(n) },
		"user":      func(n node) { c.User = n.text() },
		"server":    func(n node) { c.Server = readServer(n) },
		"tls":       func(n node) { c.TLS = readTLS(n) },
		"from":      func(n node) { c.From = readAddress(n) },
		"to":        func(n node) { c.To = readAddresses(n) },
		"secret":    secretHere, "token": secretHere, "password": secretHere, "key": secretHere, "apiKey": secretHere,
		"secretValue": secretHere,
		"group":       func(n node) { c.Group = readGroup(n) },
		"recipe":      func(n node) { c.Hook.Recipe = n.text() },
		"with":        func(n node) { c.Hook.With = readWith(n) },
	}
	maps.Copy(fields, hookFields(&c.Hook))
	found := n.fields(fields)
	n.require(found, "name", "name: TEXT")
	n.require(found, "kind", "kind: "+allKinds)
	if c.Kind == kindWebhook {
		finishHook(n, &c, found)
	}
	checkKind(n, c, found)
	if c.Rate == (Rate{}) {
		c.Rate = usualRate(c.Kind)
	}
	return c
}

func readRate(n node) Rate {
	var r Rate
	found := n.fields(map[string]func(node){
		"sends": func(n node) { r.Sends = n.number(1, 10000) },
		"per":   func(n node) { r.Per = n.duration() },
	})
	n.require(found, "sends", "sends: 60")
	n.require(found, "per", "per: 1m")
	if r.Per > time.Hour {
		n.problem("per is above 1h: want a stretch within which an alert may wait")
	}
	return r
}

// usualRate is what a kind's receiver is known to take. Slack: one message a second,
// with bursts (api.slack.com/docs/rate-limits). PagerDuty: 120 events a minute per
// integration key (community.pagerduty.com/forum/t/monitoring-api-rate-limiting/3318).
// The rest documents none that would hold for every plan: what a person could read.
func usualRate(kind string) Rate {
	switch kind {
	case kindPagerDuty:
		return Rate{Sends: 120, Per: time.Minute}
	case kindConsole:
		return Rate{} // our own output
	case kindWebhook, kindEventGrid:
		return Rate{Sends: 50, Per: 10 * time.Second}
	}
	return Rate{Sends: 10, Per: 10 * time.Second}
}

func checkKind(n node, c Channel, found map[string]bool) {
	switch c.Kind {
	case "":
	case kindConsole:
		if found["url"] || found["secretRef"] {
			n.problem("is a console with url or secretRef: want neither")
		}
	case kindWebhook: // finishHook
	case kindEventGrid, kindAlertmanager:
		n.require(found, "url", "url: https://...")
	case kindEmail:
		checkMail(n, found)
	case kindPagerDuty:
		n.require(found, "secretRef", "secretRef: NAME of the setting that holds the integration's routing key")
	case kindSlack, kindTeams:
		n.require(found, "secretRef", "secretRef: NAME of the setting that holds the webhook's URL, or a Slack bot's token")
		if found["url"] && (c.Kind == kindTeams || !found["channel"]) {
			n.problem("has a url: the webhook's URL is a secret; want it in the setting that secretRef names")
		}
	default:
		n.problem("kind %q is unknown: want %s", clip(c.Kind), allKinds)
	}
	checkFields(n, c, found)
	checkGroup(n, c)
}

func readRegion(n node) string {
	s := n.text()
	if s != "" && s != "us" && s != "eu" {
		n.problem("%q is no region of PagerDuty: want us or eu", clip(s))
	}
	return s
}

// readURL never repeats the text that it refuses: webhook URLs carry secrets.
func readURL(n node) string {
	s := n.text()
	if s == "" {
		return ""
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		n.problem("is no URL: want https://HOST/PATH")
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		n.problem("is not https: alerts name keys and clusters; want https:// (http only to this machine)")
	case u.User != nil || hasSecretParameter(u):
		n.problem("holds a secret: want the URL without it and secretRef: NAME of the setting that holds it; replace the secret, it was in a file")
	case u.Fragment != "":
		n.problem("has a fragment, which is never sent: want the URL without it")
	default:
		return s
	}
	return ""
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

func hasSecretParameter(u *url.URL) bool {
	for name := range u.Query() {
		switch strings.ToLower(name) {
		case "sig", "code", "token", "access_token", "key", "apikey", "api_key", "secret", "password", "aeg-sas-key":
			return true
		}
	}
	return false
}

// readSecretRef takes the name of a setting. Small letters are refused because
// every common form of secret has them, and no message repeats the text.
func readSecretRef(n node) string {
	s := n.text()
	if s != "" && (len(s) > 128 || !regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`).MatchString(s)) {
		n.problem("is not the name of a setting: want capitals, digits and _ such as CMKGUARD_WEBHOOK_SECRET; if it was the secret itself, replace it")
		return ""
	}
	return s
}

func readSeverity(n node) risk.Severity {
	s := risk.Severity(n.text())
	if s != "" && s.Rank() == 0 {
		n.problem("%q is no severity: want critical, high, medium, low or info", clip(string(s)))
	}
	return s
}
