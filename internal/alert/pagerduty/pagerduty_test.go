package pagerduty_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/alerttest"
	"cmkguard/internal/alert/pagerduty"
	"cmkguard/internal/fault"
)

const key = "0123456789abcdef0123456789abcdef"

func start() time.Time { return time.Date(2026, 9, 20, 10, 0, 0, 0, time.UTC) }

// event is what the service reads of both kinds of event.
type event struct {
	RoutingKey  string `json:"routing_key"`
	EventAction string `json:"event_action"`
	DedupKey    string `json:"dedup_key"`
	Payload     struct {
		Summary, Source, Severity, Timestamp string
		CustomDetails                        map[string]string `json:"custom_details"`
	}
}

// provider enforces what the documents ask of an event: required fields, the
// severities, 1,024 characters of summary, 255 of key, 512 KB
// (developer.pagerduty.com/docs/events-api-v2/trigger-events, send-change-events).
func provider(w http.ResponseWriter, r *http.Request, body []byte) {
	var e event
	err := json.Unmarshal(body, &e)
	bad := ""
	switch {
	case err != nil, e.RoutingKey != key, e.Payload.Summary == "", len(body) > 512<<10:
		bad = fmt.Sprintf("required field is missing or too large: %v", err)
	case utf8.RuneCountInString(e.Payload.Summary) > 1024 || len(e.DedupKey) > 255:
		bad = "too long"
	case r.URL.Path == "/v2/enqueue" && (!slices.Contains([]string{"trigger", "acknowledge", "resolve"}, e.EventAction) || e.Payload.Source == "" ||
		!slices.Contains([]string{"critical", "error", "warning", "info"}, e.Payload.Severity)):
		bad = "action, source or severity"
	case r.URL.Path != "/v2/enqueue" && r.URL.Path != "/v2/change/enqueue":
		bad = r.URL.Path
	}
	if bad != "" {
		http.Error(w, bad, http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusAccepted)
	_ = json.NewEncoder(w).Encode(map[string]string{"status": "success", "message": "Event processed", "dedup_key": e.DedupKey})
}

func TestConformance(t *testing.T) {
	t.Parallel()
	alerttest.Conform(t, func(url string) (alert.Channel, error) { return pagerduty.New(url, key, start) }, provider)
}

// One problem is one alert over its life; a rotation done wakes nobody.
func TestTheLifeOfAnAlert(t *testing.T) {
	t.Parallel()
	in := alerttest.Serve(t, provider)
	c, err := pagerduty.New(in.URL, key, start)
	if err != nil {
		t.Fatal(err)
	}
	kinds := alerttest.Kinds(start())
	for i, want := range []struct{ kind, path, action, severity string }{
		{"trigger", "/v2/enqueue ", "trigger", "critical"}, {"update", "/v2/enqueue ", "trigger", "error"},
		{"resolve", "/v2/enqueue ", "resolve", "critical"}, {"notice", "/v2/change/enqueue ", "", ""},
	} {
		id, err := c.Send(context.Background(), kinds[want.kind])
		if err != nil {
			t.Fatal(err)
		}
		path, body, _ := strings.Cut(in.All()[i], " ")
		var e event
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			t.Fatal(err)
		}
		if path+" " != want.path || e.EventAction != want.action || e.Payload.Severity != want.severity {
			t.Errorf("%s: %s %s %s", want.kind, path, e.EventAction, e.Payload.Severity)
		}
		if want.action != "" && (e.DedupKey != kinds["trigger"].DedupKey || id != e.DedupKey) {
			t.Errorf("%s: key %q, id %q: another alert", want.kind, e.DedupKey, id)
		}
		if want.kind == "trigger" && (!strings.Contains(e.Payload.CustomDetails["until"], "left") || !strings.Contains(e.Payload.CustomDetails["hits"], "payments")) {
			t.Errorf("details: %v", e.Payload.CustomDetails)
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
