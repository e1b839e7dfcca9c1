package pagerduty_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/alerttest"
	"cmkguard/internal/alert/examples"
	"cmkguard/internal/alert/pagerduty"
	"cmkguard/internal/fault"
)

const key = "0123456789abcdef0123456789abcdef"

func start() time.Time { return time.Date(2026, 9, 20, 10, 0, 0, 0, time.UTC) }

func TestConformance(t *testing.T) {
	t.Parallel()
	alerttest.Conform(t, alerttest.Kit{
		Open: func(url string) (alert.Channel, error) { return pagerduty.New(url, key, start) },
		Fake: alerttest.PagerDuty(key), Seen: alerttest.SeenInPagerDuty, Colour: alerttest.PagerDutyColour, Secrets: []string{key},
	})
}

// One problem is one alert over its life; a rotation done wakes nobody, and what is
// severe does, though it is only told.
func TestTheLifeOfAnAlert(t *testing.T) {
	t.Parallel()
	r := alerttest.Listen(t, alerttest.PagerDuty(key), alerttest.Right)
	c, err := pagerduty.New(r.URL, key, start)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct{ example, path, action, severity string }{
		{"key-deleted", "/v2/enqueue", "trigger", "critical"}, {"reminder", "/v2/enqueue", "trigger", "critical"},
		{"acknowledged", "/v2/enqueue", "acknowledge", "critical"}, {"resolved", "/v2/enqueue", "resolve", "critical"},
		{"rotation-done", "/v2/change/enqueue", "", ""}, {"self-deaf", "/v2/enqueue", "trigger", "error"},
		{"cannot-tell", "/v2/change/enqueue", "", ""},
	} {
		e, _ := examples.Find(want.example, start())
		id, err := c.Send(context.Background(), e.Alert)
		if err != nil {
			t.Fatal(err)
		}
		call := r.Calls()[i]
		var got struct {
			EventAction string `json:"event_action"`
			DedupKey    string `json:"dedup_key"`
			Payload     struct {
				Severity string
				Details  json.RawMessage `json:"custom_details"`
			}
			Links     []struct{ Href, Text string }
			ClientURL string `json:"client_url"`
		}
		if err := json.Unmarshal(call.Body, &got); err != nil {
			t.Fatal(err)
		}
		if call.Path != want.path || got.EventAction != want.action || got.Payload.Severity != want.severity {
			t.Errorf("%s: %s %s %s", want.example, call.Path, got.EventAction, got.Payload.Severity)
		}
		if want.action != "" && (got.DedupKey != e.Alert.DedupKey || id != got.DedupKey) {
			t.Errorf("%s: key %q, id %q: another alert", want.example, got.DedupKey, id)
		}
		if want.example == "key-deleted" {
			first, second := strings.Index(string(got.Payload.Details), `"what"`), strings.Index(string(got.Payload.Details), `"breaks"`)
			if first != 1 || second < first || len(got.Links) != 3 || got.ClientURL != got.Links[0].Href || got.Links[0].Text != "approve or deny" {
				t.Errorf("what at %d, breaks at %d, links %v:\n%s", first, second, got.Links, got.Payload.Details)
			}
		}
	}
}

func TestWrongSettings(t *testing.T) {
	t.Parallel()
	for region, k := range map[string]string{"us": "short-secret", "http://example.com": key, "ftp://x": key} {
		if _, err := pagerduty.New(region, k, start); !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", region, err)
		}
	}
	for _, region := range []string{"", "us", "eu"} {
		if _, err := pagerduty.New(region, key, start); err != nil {
			t.Error(err)
		}
	}
}
