// Package examples holds one alert of each kind that the product sends, as values
// that look like what internal/guard makes: for previews, for the golden files of
// every channel, and to try the templates of a policy against.
//
// It sends nothing and is no test: the command line shows it. A test of
// internal/guard compares it with the real ones.
package examples

import (
	"strings"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/risk"
)

// Example is one kind of message.
type Example struct {
	Name  string
	Says  string // when it is sent
	Alert alert.Alert
}

// At is the time at which examples are made unless somebody asks for another:
// when nobody wants to be woken.
func At() time.Time { return time.Date(2026, 11, 1, 3, 12, 0, 0, time.UTC) }

// All returns the examples as they would be at the time, in the order in which
// they are listed.
func All(at time.Time) []Example {
	s := shop{at: at}
	out := append(s.revocations(), s.upkeep()...)
	out = append(out, s.life()...)
	return append(out, s.ourselves()...)
}

// Find returns the example of the name.
func Find(name string, at time.Time) (Example, bool) {
	for _, e := range All(at) {
		if e.Name == name {
			return e, true
		}
	}
	return Example{}, false
}

// The estate of the examples: one key that encrypts two caches.
const (
	sub      = "/subscriptions/11111111-1111-1111-1111-111111111111"
	group    = sub + "/resourceGroups/rg-shop"
	vaultID  = group + "/providers/Microsoft.KeyVault/vaults/kv-shop"
	clusters = group + "/providers/Microsoft.Cache/redisEnterprise/"
	keyID    = "kv-shop.vault.azure.net/redis-kek"
	keyURL   = "https://kv-shop.vault.azure.net/keys/redis-kek"
	version  = "4d03d14edc3c87f82048ab7118f5b564"
	newer    = "30b9b69b1ee5bedca7887d0e7aeebd35"
	person   = "22222222-2222-2222-2222-222222222222"
	identity = "33333333-3333-3333-3333-333333333333"
	public   = "https://cmkguard.example.com"

	hash      = "9fe55fff8e88413bf260771c5b4d095cef957c59"
	partition = "key~" + hash
)

// shop makes alerts about the estate at a time.
type shop struct{ at time.Time }

// cache is one of production.
func cache(name, owner string) alert.Impact {
	return alert.Impact{Cluster: clusters + name, Name: name, Owner: owner, Tags: map[string]string{"owner": owner, "environment": "production", "costCentre": "4711"}}
}

// incident has what every alert about an opened incident has: the catalogue's words.
func (s shop) incident(check, subject string, severity risk.Severity, what string) alert.Alert {
	c, _ := risk.Find(check)
	a := alert.Alert{
		ID: "7f6f2a1e-" + check[4:] + "0-4c1d-9a57-0c5f0e8d9b11", DedupKey: "cmkguard/" + check + "/" + partitionOf(subject), GroupKey: partitionOf(subject),
		Lifecycle: alert.Trigger, Severity: severity, Check: check, Title: risk.Headline(check) + ": " + where(subject) + " (" + check + ")",
		What: what, Breaks: c.Breaks, Next: []string{c.Guidance}, Subject: subject, At: s.at, Since: s.at,
		Ref: "9b1f6d0a-6f1e-4c55-8f3e-1d2a44a0c7aa", Vault: "kv-shop", Runbook: "docs/checks.md#" + strings.ToLower(check),
		Impact:   []alert.Impact{cache("shop-cache", "team-shop"), cache("sessions-cache", "team-web")},
		Upstream: []string{partitionOf(subject), "vault~" + hash},
		Evidence: []string{"keyvault GET " + keyURL + "/versions at " + s.at.Format(time.RFC3339) + ": 2 versions"},
		Links:    pagesOf(check, partitionOf(subject)),
	}
	for _, n := range c.Controls {
		a.Controls = append(a.Controls, n.Framework+": "+n.Numbers)
	}
	return a
}

// pagesOf are the pages of an open problem, where people say that they work on it or
// silence it.
func pagesOf(check, partition string) []alert.Link {
	name := "~" + check + "~" + partition
	return []alert.Link{{Label: "acknowledge", URL: public + "/api/approvals/incident" + name}, {Label: "silence", URL: public + "/api/approvals/silence" + name}}
}

// partitionOf is as internal/incident names the partition of a subject.
func partitionOf(subject string) string {
	kind, _, _ := strings.Cut(subject, ":")
	return kind + "~" + hash
}

// where is the last part of a subject; of a key, its vault and name.
func where(subject string) string {
	if subject == key() {
		return "kv-shop/redis-kek"
	}
	return subject[strings.LastIndexByte(subject, '/')+1:]
}

func key() string               { return "key:" + keyID }
func onCluster(n string) string { return "cluster:" + strings.ToLower(clusters+n) }

// actor is a claim as internal/event words it.
func actor(operation string) string {
	return operation + " by ada@example.com, object id " + person + ", from 203.0.113.7 (claimed by AuditEvent of " + strings.ToLower(vaultID) + ")"
}

func (s shop) after(days int) *time.Time {
	at := s.at.AddDate(0, 0, days)
	return &at
}

// waits dresses the alert with a plan that waits for people.
func waits(a alert.Alert, remedy string) alert.Alert {
	plan := remedy + "~" + hash
	a.Done = []string{remedy + " is held (plan " + plan + "). mode: waits for an approval (compiled ceiling approve): 0 of 2 persons"}
	a.Commands = append([]alert.Command{
		{Does: "shows call by call what would be done", Line: "cmkguard plan " + plan},
		{Does: "releases it (see docs/remedies.md for who may)", Line: "cmkguard approve " + plan + " --reason 'WHY'"},
		{Does: "refuses it", Line: "cmkguard deny " + plan + " --reason 'WHY'"},
	}, a.Commands...)
	a.Links = append([]alert.Link{{Label: "approve or deny", URL: public + "/api/approvals/" + plan}}, a.Links...)
	return a
}
