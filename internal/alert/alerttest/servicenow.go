package alerttest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// ServiceNowEvent is a record of em_event.
type ServiceNowEvent struct {
	Source          string `json:"source"`
	EventClass      string `json:"event_class"`
	Node            string `json:"node"`
	Resource        string `json:"resource"`
	Type            string `json:"type"`
	MetricName      string `json:"metric_name"`
	MessageKey      string `json:"message_key"`
	Severity        string `json:"severity"`
	ResolutionState string `json:"resolution_state"`
	Description     string `json:"description"`
	AdditionalInfo  string `json:"additional_info"`
}

// ServiceNow is Event Management's POST /api/global/em/jsonv2: records with a source and
// a severity of 0 (clear) to 5 (ok) are mandatory; source, node, type and resource hold
// 100 characters, message_key 1,024, and additional_info is JSON inside a string
// (docs.servicenow.com, "Event field format for event collection"). auth is the
// Authorization header that opens it.
func ServiceNow(auth string) Provider {
	return Provider{
		Name: "servicenow", OK: http.StatusOK, Busy: `{"error":{"message":"Rate limit exceeded","detail":"too many requests"},"status":"failure"}`,
		Refuse: func(r *http.Request, body []byte) *Refusal {
			var in struct{ Records []ServiceNowEvent }
			switch {
			case r.Header.Get("Authorization") != auth:
				return no(http.StatusUnauthorized, "User Not Authenticated", "Required to provide Auth information")
			case r.Method != http.MethodPost || r.URL.Path != "/api/global/em/jsonv2":
				return no(http.StatusBadRequest, "Requested URI does not represent any resource", r.URL.Path)
			case json.Unmarshal(body, &in) != nil || len(in.Records) == 0:
				return no(http.StatusBadRequest, "Exception while reading request", "The payload is not valid JSON")
			}
			for _, e := range in.Records {
				if p := serviceNowProblem(e); p != "" {
					return no(http.StatusBadRequest, "Invalid event", p)
				}
			}
			return nil
		},
		Refusal: func(w http.ResponseWriter, status int, code, message string) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"message": code, "detail": message}, "status": "failure"})
		},
		Answer: func(w http.ResponseWriter, _ *http.Request, _ []byte) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"result":{"Default Bulk Endpoint":"1 events were inserted"}}`))
		},
	}
}

func serviceNowProblem(e ServiceNowEvent) string {
	for name, f := range map[string]struct {
		text string
		most int
	}{
		"source": {e.Source, 100}, "node": {e.Node, 100}, "type": {e.Type, 100}, "resource": {e.Resource, 100}, "message_key": {e.MessageKey, 1024},
		"description": {e.Description, 4000},
	} {
		if utf8.RuneCountInString(f.text) > f.most {
			return name + " is too long"
		}
	}
	switch {
	case e.Source == "" || e.EventClass == "" && e.Node == "":
		return "source is mandatory, and event_class or node"
	case !slices.Contains([]string{"0", "1", "2", "3", "4", "5"}, e.Severity):
		return "severity is mandatory: 0 to 5"
	case !slices.Contains([]string{"New", "Closing"}, e.ResolutionState) || (e.ResolutionState == "Closing") != (e.Severity == "0"):
		return "resolution_state"
	case !strings.HasPrefix(e.AdditionalInfo, "{") || !json.Valid([]byte(e.AdditionalInfo)):
		return "additional_info is no JSON object"
	}
	return ""
}

// SeenInServiceNow is an event's description with its severity in words.
func SeenInServiceNow(body []byte) string {
	var in struct{ Records []ServiceNowEvent }
	_ = json.Unmarshal(body, &in)
	var b strings.Builder
	for _, e := range in.Records {
		b.WriteString(e.Description + "\n")
	}
	return b.String()
}
