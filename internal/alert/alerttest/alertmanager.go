package alerttest

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// PostableAlert is one alert as Alertmanager's API v2 takes it (github.com/prometheus/
// alertmanager, api/v2/openapi.yaml: labels are required).
type PostableAlert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
}

// Alertmanager is POST /api/v2/alerts. It answers 200 without a body, or 400 with a
// JSON string (api/v2/api.go, postAlertsHandler): labels that are empty are dropped
// and at least one must be left, names are of [a-zA-Z_][a-zA-Z0-9_]*, values are
// UTF-8, and an alert does not end before it starts (prometheus/common model.Alert.
// Validate). auth is the Authorization header that a proxy before it asks for; "" is
// none.
func Alertmanager(auth string) Provider {
	return Provider{
		Name: "alertmanager", OK: http.StatusOK, Busy: "too many requests",
		Refuse: func(r *http.Request, body []byte) *Refusal {
			var all []PostableAlert
			switch {
			case auth != "" && r.Header.Get("Authorization") != auth:
				return no(http.StatusUnauthorized, "unauthorized", "Unauthorized")
			case r.Method != http.MethodPost || r.URL.Path != "/api/v2/alerts":
				return no(http.StatusNotFound, "404", "path "+r.URL.Path+" was not found")
			case !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
				return no(http.StatusUnsupportedMediaType, "415", "unsupported media type, only [application/json] are allowed")
			case json.Unmarshal(body, &all) != nil || len(all) == 0:
				return no(http.StatusBadRequest, "400", "parsing alerts body from \"\" failed")
			}
			for _, a := range all {
				if p := postableProblem(a); p != "" {
					return no(http.StatusBadRequest, "400", p)
				}
			}
			return nil
		},
		Refusal: func(w http.ResponseWriter, status int, _, message string) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(message)
		},
	}
}

func postableProblem(a PostableAlert) string {
	left := 0
	for _, set := range []map[string]string{a.Labels, a.Annotations} {
		for name, value := range set {
			if !regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`).MatchString(name) {
				return "invalid label set: invalid name \"" + name + "\""
			}
			if !utf8.ValidString(value) {
				return "invalid label set: invalid value"
			}
		}
	}
	for _, value := range a.Labels {
		if value != "" {
			left++
		}
	}
	switch {
	case left == 0:
		return "at least one label pair required"
	case a.Labels["alertname"] == "":
		return "alertname is required" // the documentation's word (prometheus.io/docs/alerting/latest/alerts_api)
	case !a.EndsAt.IsZero() && a.EndsAt.Before(a.StartsAt):
		return "start time must be before end time"
	}
	return ""
}

// SeenInAlertmanager is what a notification made of the alert shows.
func SeenInAlertmanager(body []byte) string {
	var all []PostableAlert
	_ = json.Unmarshal(body, &all)
	var b strings.Builder
	for _, a := range all {
		b.WriteString(a.Labels["severity"] + "\n" + a.Annotations["summary"] + "\n" + a.Annotations["description"] + "\n")
	}
	return b.String()
}
