package policy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cmkguard/internal/risk"
)

const fourChannels = `version: 1
channels:
  - {name: pager, kind: pagerduty, secretRef: P}
  - {name: chat, kind: slack, secretRef: S}
  - {name: bus, kind: eventgrid, url: "https://y.example"}
  - {name: log, kind: console}
`

func TestARouteIsReadWhole(t *testing.T) {
	got := parse(t, fourChannels+`alerts:
  - match:
      minSeverity: medium
      severities: [medium, critical]
      families: [key, self]
      checks: ["CMK-01*", SELF-101]
      subscriptions: [11111111-1111-1111-1111-111111111111]
      tags: {owner: "pay*", environment: prod}
      vaults: ["kv-*"]
      subjects: ["*/pay-cache", kek]
      lifecycle: [trigger, resolve]
      hours: {zone: Europe/Berlin, weekdays: [mon], from: "08:00", to: "18:00"}
    channels: [chat]
    fallback: [pager]
    repeat: 4h
    escalate: {after: 15m, channels: [pager]}
  - {minSeverity: info, channels: [log]}
`).Routes
	want := []Route{{
		Match: AlertMatch{
			MinSeverity: risk.Medium, Severities: []risk.Severity{risk.Medium, risk.Critical}, Families: []string{"key", "self"},
			Checks: []string{"CMK-01*", "SELF-101"}, Subscriptions: []string{"11111111-1111-1111-1111-111111111111"},
			Tags: map[string]string{"owner": "pay*", "environment": "prod"}, Vaults: []string{"kv-*"}, Subjects: []string{"*/pay-cache", "kek"},
			Lifecycle: []string{"trigger", "resolve"},
			Hours:     &Freeze{Zone: zone(t, "Europe/Berlin"), Weekdays: []time.Weekday{time.Monday}, From: 8 * time.Hour, To: 18 * time.Hour},
		},
		Channels: []string{"chat"}, Fallback: []string{"pager"}, Repeat: 4 * time.Hour,
		Escalate: &Escalation{After: 15 * time.Minute, Channels: []string{"pager"}}, Line: 8,
	}, {Match: AlertMatch{MinSeverity: risk.Info}, Channels: []string{"log"}, Line: 23}}
	same := cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() })
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// facts of an alert about a cluster in a vault.
func facts() AlertFacts {
	return AlertFacts{
		Severity: risk.High, Family: "access", Check: "CMK-050", Lifecycle: "trigger", Vault: "kv-pay",
		Subject:       "cluster:/subscriptions/s-1/resourcegroups/rg/providers/microsoft.cache/redisenterprise/pay-cache",
		Subscriptions: []string{"s-1", "s-2"},
		Tags:          []map[string]string{{"owner": "shop"}, {"Owner": "payments", "environment": "prod"}},
	}
}

func TestEveryFieldOfAMatchDecides(t *testing.T) {
	monday := time.Date(2026, 9, 21, 7, 0, 0, 0, time.UTC) // 09:00 in Berlin
	day := &Freeze{Zone: zone(t, "Europe/Berlin"), Weekdays: []time.Weekday{time.Monday}, From: 8 * time.Hour, To: 18 * time.Hour}
	for name, c := range map[string]struct {
		m    AlertMatch
		miss string // "": it matches
	}{
		"everything":            {AlertMatch{}, ""},
		"severity reached":      {AlertMatch{MinSeverity: risk.High}, ""},
		"severity below":        {AlertMatch{MinSeverity: risk.Critical}, "severity high is below critical"},
		"severity listed":       {AlertMatch{Severities: []risk.Severity{risk.High}}, ""},
		"severity not listed":   {AlertMatch{Severities: []risk.Severity{risk.Critical, risk.Medium}}, "severity high is not listed"},
		"family":                {AlertMatch{Families: []string{"access"}}, ""},
		"other family":          {AlertMatch{Families: []string{"key", "vault"}}, "family access is not one of key, vault"},
		"check":                 {AlertMatch{Checks: []string{"cmk-05*"}}, ""},
		"other check":           {AlertMatch{Checks: []string{"CMK-010"}}, "check CMK-050 is not CMK-010"},
		"subscription":          {AlertMatch{Subscriptions: []string{"S-2"}}, ""},
		"other subscription":    {AlertMatch{Subscriptions: []string{"s-3"}}, "subscription one of s-1, s-2 is not s-3"},
		"tags of one cluster":   {AlertMatch{Tags: map[string]string{"owner": "pay*", "Environment": "PROD"}}, ""},
		"tags of two clusters":  {AlertMatch{Tags: map[string]string{"owner": "shop", "environment": "prod"}}, "no cluster that is hit has the tags environment=prod, owner=shop"},
		"vault":                 {AlertMatch{Vaults: []string{"KV-*"}}, ""},
		"other vault":           {AlertMatch{Vaults: []string{"kv-shop"}}, "vault kv-pay is not kv-shop"},
		"subject by name":       {AlertMatch{Subjects: []string{"pay-cache"}}, ""},
		"subject by id":         {AlertMatch{Subjects: []string{"/subscriptions/s-1/*/pay-cache"}}, ""},
		"subject with its kind": {AlertMatch{Subjects: []string{"cluster:*"}}, ""},
		"other subject":         {AlertMatch{Subjects: []string{"pay"}}, "is not pay"},
		"lifecycle":             {AlertMatch{Lifecycle: []string{"update", "trigger"}}, ""},
		"other lifecycle":       {AlertMatch{Lifecycle: []string{"notice"}}, "lifecycle trigger is not notice"},
		"hours":                 {AlertMatch{Hours: day}, ""},
		"all but one field":     {AlertMatch{MinSeverity: risk.Low, Checks: []string{"CMK-050"}, Vaults: []string{"kv-shop"}}, "vault kv-pay is not kv-shop"},
	} {
		got := c.m.Miss(facts(), monday)
		if (got == "") != (c.miss == "") || !strings.Contains(got, c.miss) {
			t.Errorf("%s: %q, want %q", name, got, c.miss)
		}
	}
	if got := (AlertMatch{Hours: day}).Miss(facts(), monday.Add(10*time.Hour)); got != "Mon 19:00 CEST is outside of its hours" {
		t.Errorf("at night: %q", got)
	}
	odd := facts()
	odd.Severity = "urgent"
	if got := (AlertMatch{MinSeverity: risk.Critical}).Miss(odd, monday); got != "" {
		t.Errorf("a severity that is none is lost: %s", got)
	}
	bare := AlertFacts{Severity: risk.Critical} // nothing is known of it
	for name, m := range map[string]AlertMatch{"vault": {Vaults: []string{"*"}}, "check": {Checks: []string{"*"}}, "subject": {Subjects: []string{"*"}}, "subscription": {Subscriptions: []string{"s"}}, "tags": {Tags: map[string]string{"owner": "*"}}} {
		if m.Miss(bare, monday) == "" {
			t.Errorf("%s: what is not known matches", name)
		}
	}
}

func TestANamedSubjectIsNoWildcard(t *testing.T) {
	for name, c := range map[string]struct {
		m    AlertMatch
		want bool
	}{
		"nothing": {AlertMatch{}, false}, "severity": {AlertMatch{MinSeverity: risk.Info}, false},
		"every vault": {AlertMatch{Vaults: []string{"*"}}, false}, "part of a name": {AlertMatch{Subjects: []string{"pay-*"}}, false},
		"the vault": {AlertMatch{Vaults: []string{"kv-*", "kv-pay"}}, true}, "another vault": {AlertMatch{Vaults: []string{"kv-shop"}}, false},
		"the subject": {AlertMatch{Subjects: []string{"pay-cache"}}, true},
	} {
		if got := c.m.Names(facts()); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestEverybodyIsWhomPeopleRead(t *testing.T) {
	if got := parse(t, fourChannels).Everybody(); !slices.Equal(got, []string{"pager", "chat"}) {
		t.Errorf("%v", got)
	}
	if got := parse(t, "version: 1\nchannels: [{name: log, kind: console}, {name: bus, kind: eventgrid, url: \"https://y.example\"}]\n").Everybody(); !slices.Equal(got, []string{"log", "bus"}) {
		t.Errorf("without people: %v", got)
	}
}

func TestWarningsOfGaps(t *testing.T) {
	for name, c := range map[string]struct {
		alerts string
		want   []string
	}{
		"none":        {"", nil},
		"all":         {"alerts: [{minSeverity: info, channels: [chat]}]\n", nil},
		"severe only": {"alerts: [{minSeverity: high, channels: [chat]}]\n", []string{"policy.yaml:7: alerts: no route takes medium: nobody is told", "low", "info"}},
		"gap above": {
			"alerts:\n- {match: {severities: [medium, low, info]}, channels: [log]}\n- {match: {minSeverity: critical, lifecycle: [trigger]}, channels: [pager]}\n",
			[]string{"policy.yaml:7: alerts: no route takes high: each such alert goes to every channel that people read (pager, chat) and says so"},
		},
		"only machines": {"alerts: [{minSeverity: info, channels: [bus, log]}]\n", []string{"critical goes to channels only that no person reads", "high goes to channels only"}},
	} {
		got := parse(t, fourChannels+c.alerts).Warnings()
		if len(got) != len(c.want) {
			t.Errorf("%s: %q", name, got)
			continue
		}
		for i := range got {
			if !strings.Contains(got[i], c.want[i]) {
				t.Errorf("%s: %q, want %q", name, got[i], c.want[i])
			}
		}
	}
	if got := Default().Warnings(); got != nil {
		t.Errorf("without a policy: %q", got)
	}
}

// Who keeps incidents hears that somebody works on one: a webhook whose requests have no
// use for that does not.
func TestWhoHearsOfAnAcknowledgement(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]bool{"pagerduty": true, "eventgrid": true, "alertmanager": true, "webhook": true, "slack": false, "teams": false, "email": false, "console": false} {
		if got := (Channel{Kind: kind}).HearsAcks(); got != want {
			t.Errorf("%s: %t", kind, got)
		}
	}
	for recipe, want := range map[string]bool{"jsm": true, "servicenow": true, "sentinel": true} {
		if got := Sample(recipe).HearsAcks(); got != want {
			t.Errorf("recipe %s: %t", recipe, got)
		}
	}
	quiet := Channel{Kind: "webhook", Hook: Webhook{Requests: []Request{{On: []string{"trigger"}}, {On: []string{"resolve"}}}}}
	if quiet.HearsAcks() {
		t.Error("a webhook without a request for it would be told")
	}
}
