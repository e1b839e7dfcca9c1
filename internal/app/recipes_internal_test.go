package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/alerttest"
	"cmkguard/internal/alert/examples"
	"cmkguard/internal/azure/azuretest"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/fault"
	"cmkguard/internal/plan"
	"cmkguard/internal/policy"
	"cmkguard/internal/risk"
)

func at() time.Time { return time.Date(2026, 9, 20, 10, 0, 0, 0, time.UTC) }

// configured makes the channel of a policy that has one, with the secret.
func configured(profile cloud.Profile, channel, secret string) (alert.Channel, error) {
	return configuredAt(profile, channel, secret, at)
}

func configuredAt(profile cloud.Profile, channel, secret string, now func() time.Time) (alert.Channel, error) {
	pol, err := policy.Parse("policy.yaml", []byte("version: 1\nchannels:\n"+channel), plan.Ceilings())
	if err != nil {
		return nil, err
	}
	m := channelMaker{process: Process{Env: func(string) string { return secret }}, profile: profile, now: now}
	return m.worded(pol, pol.Channels[0])
}

// notices below high are nobody's event at receivers that page.
func calm(a alert.Alert) bool {
	return a.Lifecycle == alert.Notice && a.Severity.Rank() < risk.High.Rank()
}

// opens reports whether the call makes a record at ServiceNow or Jira.
func opens(c alerttest.Call) bool {
	path, _, _ := strings.Cut(c.Path, "?")
	return c.Method == http.MethodPost && (strings.HasSuffix(path, "/table/incident") || strings.HasSuffix(path, "/issue"))
}

func madeFrom(t *testing.T, profile cloud.Profile, format, secret string) func(url string) (alert.Channel, error) {
	t.Helper()
	return func(url string) (alert.Channel, error) { return configured(profile, fmt.Sprintf(format, url), secret) }
}

// Each recipe is read without a fault and makes something of every message.
func TestRecipesAreSound(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for _, name := range policy.Recipes() {
		fmt.Fprintf(&text, "  - {name: %s, kind: webhook, recipe: %s, url: \"https://x.ingest.monitor.azure.com\"%s}\n", name, name, map[string]string{
			"servicenow": ", user: u, secretRef: S", "servicenow-incident": ", user: u, secretRef: S", "jira": ", with: {project: OPS}, user: u, secretRef: S", "jsm": ", secretRef: S", "sentinel": ", with: {rule: dcr-1}",
		}[name])
	}
	if _, err := parsePolicy("policy.yaml", []byte("version: 1\nchannels:\n"+text.String())); err != nil {
		t.Error(err)
	}
}

// The recipes reach their receivers by configuration alone, within what each documents,
// and pass what every channel passes.
func TestRecipesConform(t *testing.T) {
	t.Parallel()
	public, err := cloud.Load("public")
	if err != nil {
		t.Fatal(err)
	}
	azure, err := cloud.Load(azuretest.Serve(t, func(http.ResponseWriter, *http.Request) {}).Profile)
	if err != nil {
		t.Fatal(err)
	}
	const secret = "recipe-secret"
	const jira = "  - {name: a, kind: webhook, recipe: jira, with: {project: OPS}, url: \"%s\", user: cmk, secretRef: S}\n"
	later := func() time.Time { return at().Add(time.Hour) } // a search shows what was written
	for name, k := range map[string]alerttest.Kit{
		"servicenow": {
			Open: madeFrom(t, public, "  - {name: a, kind: webhook, recipe: servicenow, url: \"%s\", user: cmk, secretRef: S}\n", secret),
			Fake: alerttest.ServiceNow("Basic Y21rOnJlY2lwZS1zZWNyZXQ="), Seen: alerttest.SeenInServiceNow, Mute: calm,
		},
		"servicenow-incident": {
			Open: madeFrom(t, public, "  - {name: a, kind: webhook, recipe: servicenow-incident, url: \"%s\", user: cmk, secretRef: S}\n", secret),
			Fake: alerttest.ServiceNowIncident("Basic Y21rOnJlY2lwZS1zZWNyZXQ=", nil, false), Seen: alerttest.SeenInSnowIncident, Opens: opens,
			Mute: func(a alert.Alert) bool {
				return calm(a) || a.Lifecycle == alert.Resolve || a.Lifecycle == alert.Acknowledge
			},
		},
		"servicenow-incident that is open": {
			Open: madeFrom(t, public, "  - {name: a, kind: webhook, recipe: servicenow-incident, url: \"%s\", user: cmk, secretRef: S}\n", secret),
			Fake: alerttest.ServiceNowIncident("Basic Y21rOnJlY2lwZS1zZWNyZXQ=", nil, true), Seen: alerttest.SeenInSnowIncident, Opens: opens,
			Mute: func(a alert.Alert) bool { return a.Lifecycle == alert.Notice },
		},
		"jira": {
			Open: func(url string) (alert.Channel, error) {
				return configuredAt(public, fmt.Sprintf(jira, url), secret, later)
			},
			Fake: alerttest.Jira("Basic Y21rOnJlY2lwZS1zZWNyZXQ=", "OPS", nil, false), Seen: alerttest.SeenInJira, Opens: opens,
			Mute: func(a alert.Alert) bool { return a.Lifecycle != alert.Trigger && a.Lifecycle != alert.Update },
		},
		"jira that has it": {
			Open: func(url string) (alert.Channel, error) {
				return configuredAt(public, fmt.Sprintf(jira, url), secret, later)
			},
			Fake: alerttest.Jira("Basic Y21rOnJlY2lwZS1zZWNyZXQ=", "OPS", nil, true), Seen: alerttest.SeenInJira, Opens: opens,
			Mute: func(a alert.Alert) bool { return a.Lifecycle == alert.Notice },
		},
		"jsm": {
			Open: madeFrom(t, public, "  - {name: a, kind: webhook, recipe: jsm, url: \"%s\", secretRef: S}\n", secret),
			Fake: alerttest.JSM(secret), Seen: alerttest.SeenInJSM, Colour: alerttest.JSMColour, Mute: calm,
		},
		"sentinel": {
			Open: madeFrom(t, azure, "  - {name: a, kind: webhook, recipe: sentinel, with: {rule: dcr-1}, url: \"%s\"}\n", ""),
			Fake: alerttest.Sentinel(azuretest.Token, "dcr-1", "Custom-CmkGuard"), Seen: alerttest.SeenInSentinel,
		},
	} {
		k.Secrets = []string{secret, "Y21rOnJlY2lwZS1zZWNyZXQ", azuretest.Token}
		t.Run(name, func(t *testing.T) { t.Parallel(); alerttest.Conform(t, k) })
	}
}

func sent(t *testing.T, p alerttest.Provider, channel, secret string, names ...string) ([]alerttest.Call, []string) {
	t.Helper()
	public, err := cloud.Load("public")
	if err != nil {
		t.Fatal(err)
	}
	r := alerttest.Listen(t, p, alerttest.Right)
	c, err := configured(public, fmt.Sprintf(channel, r.URL), secret)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, name := range names {
		e, _ := examples.Find(name, at())
		id, err := c.Send(context.Background(), e.Alert)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		ids = append(ids, id)
	}
	return r.Calls(), ids
}

// One problem is one alert over its life, at the receivers that have one.
func TestRecipesFollowAProblem(t *testing.T) {
	t.Parallel()
	life := []string{"key-deleted", "reminder", "acknowledged", "resolved", "rotation-done", "self-deaf"}
	calls, ids := sent(t, alerttest.JSM("key"), "  - {name: a, kind: webhook, recipe: jsm, url: \"%s\", secretRef: S}\n", "key", life...)
	alias := "cmkguard%2FCMK-010%2F"
	for i, want := range []string{"/v2/alerts", "/v2/alerts", "/v2/alerts/" + alias, "/v2/alerts/" + alias, "/v2/alerts"} {
		if i >= len(calls) || !strings.HasPrefix(calls[i].Path, want) {
			t.Fatalf("call %d of %d: want %s", i, len(calls), want)
		}
	}
	if !strings.HasSuffix(calls[2].Path, "/acknowledge?identifierType=alias") || !strings.HasSuffix(calls[3].Path, "/close?identifierType=alias") ||
		ids[0] != "43a29c5c-3dbf-4fa4-9c26-f4f71023e120" || ids[4] != "not sent: no request is for notice" {
		t.Errorf("%s %s %v", calls[2].Path, calls[3].Path, ids)
	}
	var first alerttest.JSMAlert
	if err := json.Unmarshal(calls[0].Body, &first); err != nil || first.Priority != "P1" || !strings.HasPrefix(first.Alias, "cmkguard/CMK-010/") {
		t.Errorf("%v %+v", err, first)
	}

	calls, _ = sent(t, alerttest.ServiceNow("Basic dTpw"), "  - {name: a, kind: webhook, recipe: servicenow, url: \"%s\", user: u, secretRef: S}\n", "p", "key-deleted", "resolved")
	var events []alerttest.ServiceNowEvent
	for _, c := range calls {
		var in struct{ Records []alerttest.ServiceNowEvent }
		if err := json.Unmarshal(c.Body, &in); err != nil {
			t.Fatal(err)
		}
		events = append(events, in.Records...)
	}
	if len(events) != 2 || events[0].Severity != "1" || events[1].Severity != "0" || events[1].ResolutionState != "Closing" || events[0].MessageKey != events[1].MessageKey {
		t.Errorf("%+v", events)
	}
}

// A body of the policy's own, and each way to prove who sends it.
func TestOwnRequests(t *testing.T) {
	t.Parallel()
	const body = "\n    body: |\n      {\"text\": \"{{.Head}}\", \"all\": {{json .Commands}}}\n"
	for auth, want := range map[string]struct{ header, value string }{
		"auth: bearer, secretRef: S":                    {"Authorization", "Bearer S3CRET"},
		"auth: basic, user: me, secretRef: S":           {"Authorization", "Basic bWU6UzNDUkVU"},
		"auth: geniekey, secretRef: S":                  {"Authorization", "GenieKey S3CRET"},
		"auth: header, header: x-api-key, secretRef: S": {"X-Api-Key", "S3CRET"},
		"auth: none": {"Authorization", ""},
	} {
		p := alerttest.Provider{OK: http.StatusOK, Refuse: func(*http.Request, []byte) *alerttest.Refusal { return nil }}
		channel := "  - name: a\n    kind: webhook\n    url: \"%s/in\"\n    " + strings.ReplaceAll(auth, ", ", "\n    ") + body
		calls, _ := sent(t, p, channel, "S3CRET", "key-deleted")
		if len(calls) != 1 || calls[0].Header.Get(want.header) != want.value || calls[0].Path != "/in" || !json.Valid(calls[0].Body) {
			t.Errorf("%s: %+v", auth, calls)
		}
	}
	calls, _ := sent(t, alerttest.Provider{OK: http.StatusOK, Refuse: func(*http.Request, []byte) *alerttest.Refusal { return nil }},
		"  - name: a\n    kind: webhook\n    url: \"%s\"\n    secretRef: S"+body, "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "key-deleted")
	if len(calls) != 1 || !strings.HasPrefix(calls[0].Header.Get("webhook-signature"), "v1,") {
		t.Errorf("%+v", calls)
	}
}

// A token of our identity goes nowhere but to what it is for.
func TestATokenStaysWhereItBelongs(t *testing.T) {
	t.Parallel()
	azure, err := cloud.Load(azuretest.Serve(t, func(http.ResponseWriter, *http.Request) {}).Profile)
	if err != nil {
		t.Fatal(err)
	}
	_, err = configured(azure, "  - {name: a, kind: webhook, recipe: sentinel, with: {rule: dcr-1}, url: \"https://x.ingest.monitor.azure.com\"}\n", "")
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "for this machine only") {
		t.Errorf("a test token to Azure: %v", err)
	}
}
