package alerttest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// pagerDutyEvent is what the service reads of both kinds of event
// (github.com/PagerDuty/developer-docs, docs/events-API-v2/02-Trigger-Events.md and
// 03-Change-Events.md).
type pagerDutyEvent struct {
	RoutingKey  string `json:"routing_key"`
	EventAction string `json:"event_action"`
	DedupKey    string `json:"dedup_key"`
	Client      string
	Payload     *struct {
		Summary, Source, Severity, Timestamp string
		CustomDetails                        map[string]any `json:"custom_details"`
	}
	Links []struct{ Href, Text string }
	// Images are of alert events only: "the Change Events API only supports links".
	Images []struct{ Src, Href, Alt string }
}

// maxPagerDuty: "Events API payloads are limited to 512 KB" (01-Overview.md, Size Limits).
const maxPagerDuty = 512 << 10

// PagerDuty is the Events API v2 of one integration. It answers 202 to what it
// takes, 400 to bad JSON and missing fields, 429 and 5xx to be tried again, and
// documents no Retry-After (01-Overview.md, Response Codes & Retry Logic).
func PagerDuty(key string) Provider {
	return Provider{
		Name: "pagerduty", OK: http.StatusAccepted, Busy: `{"status":"throttle exceeded","message":"Requests for this service are arriving too quickly. Please retry later."}`,
		Refuse: func(r *http.Request, body []byte) *Refusal {
			if problems := pagerDutyProblems(r, body, key); len(problems) > 0 {
				return no(http.StatusBadRequest, "invalid event", strings.Join(problems, "; "))
			}
			return nil
		},
		Refusal: func(w http.ResponseWriter, status int, code, message string) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(map[string]any{"status": code, "message": "Event object is invalid", "errors": strings.Split(message, "; ")})
		},
		Answer: func(w http.ResponseWriter, r *http.Request, body []byte) {
			var e pagerDutyEvent
			_ = json.Unmarshal(body, &e)
			answer := map[string]string{"status": "success", "message": "Event processed", "dedup_key": e.DedupKey}
			if r.URL.Path == "/v2/change/enqueue" {
				answer = map[string]string{"status": "success", "message": "Change event processed"}
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusAccepted)
			_ = json.NewEncoder(w).Encode(answer)
		},
	}
}

func pagerDutyProblems(r *http.Request, body []byte, key string) (problems []string) {
	bad := func(is bool, text string) {
		if is {
			problems = append(problems, text)
		}
	}
	var e pagerDutyEvent
	if err := json.Unmarshal(body, &e); err != nil || r.Method != http.MethodPost {
		return []string{"JSON is not valid"}
	}
	bad(len(body) > maxPagerDuty, "payload is over 512 KB")
	bad(e.RoutingKey != key, "'routing_key' is not one of ours")
	bad(len(e.DedupKey) > 255, "'dedup_key' is longer than 255 characters")
	change := r.URL.Path == "/v2/change/enqueue"
	bad(!change && r.URL.Path != "/v2/enqueue", "no such path")
	if !change {
		bad(!slices.Contains([]string{"trigger", "acknowledge", "resolve"}, e.EventAction), "'event_action' is invalid")
		bad(e.EventAction != "trigger" && e.DedupKey == "", "'dedup_key' is missing")
	}
	bad(change && len(e.Images) > 0, "'images' is not of change events")
	if e.Payload == nil {
		bad(change || e.EventAction == "trigger", "'payload' is missing")
		return problems
	}
	bad(e.Payload.Summary == "" || utf8.RuneCountInString(e.Payload.Summary) > 1024, "'payload.summary' is missing or longer than 1024 characters")
	bad(!change && e.Payload.Source == "", "'payload.source' is missing or blank")
	bad(!change && !slices.Contains([]string{"critical", "error", "warning", "info"}, e.Payload.Severity), "'payload.severity' is invalid")
	if _, err := time.Parse(time.RFC3339, e.Payload.Timestamp); e.Payload.Timestamp != "" && err != nil {
		problems = append(problems, "'payload.timestamp' is invalid")
	}
	for _, l := range e.Links {
		bad(!isWeb(l.Href), "'links' has an href that is no URL")
	}
	for _, i := range e.Images {
		bad(!strings.HasPrefix(i.Src, "https://"), "'images' has a src that is not https")
	}
	return problems
}

func isWeb(s string) bool {
	return strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://")
}

// SeenInPagerDuty is what a responder reads of an event.
func SeenInPagerDuty(body []byte) string {
	var e pagerDutyEvent
	if json.Unmarshal(body, &e) != nil || e.Payload == nil {
		return ""
	}
	raw, _ := json.Marshal(e.Payload.CustomDetails)
	return e.Payload.Summary + "\n" + string(raw)
}

// PagerDutyColour is the severity that colours an event; what is resolved is green.
func PagerDutyColour(body []byte) string {
	var e pagerDutyEvent
	_ = json.Unmarshal(body, &e)
	if e.EventAction == "resolve" {
		return "resolved"
	}
	return e.Payload.Severity
}
