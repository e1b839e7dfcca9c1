package alerttest

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// maxEvent: an event, and a request of events, of 1 MB at most (learn.microsoft.com
// azure/event-grid/quotas-limits).
const maxEvent = 1 << 20

// EventGrid is a topic that takes CloudEvents 1.0 in a batch (learn.microsoft.com
// azure/event-grid/cloud-event-schema): id, source, type and specversion are
// required (github.com/cloudevents/spec, 1.0, "Required Attributes").
func EventGrid() Provider {
	return Provider{
		Name: "eventgrid", OK: http.StatusOK,
		Refuse: func(r *http.Request, body []byte) *Refusal {
			var events []struct{ ID, Source, Type, SpecVersion, Time string }
			switch {
			case len(body) > maxEvent:
				return no(http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "The maximum size has been exceeded")
			case !strings.HasPrefix(r.Header.Get("Content-Type"), "application/cloudevents-batch+json"):
				return no(http.StatusUnsupportedMediaType, "UnsupportedMediaType", "")
			case json.Unmarshal(body, &events) != nil || len(events) == 0:
				return no(http.StatusBadRequest, "BadRequest", "This resource is configured to receive event in 'CloudEventV10' schema")
			}
			for _, e := range events {
				if _, err := time.Parse(time.RFC3339, e.Time); e.ID == "" || e.Source == "" || e.Type == "" || e.SpecVersion != "1.0" || err != nil {
					return no(http.StatusBadRequest, "BadRequest", "an attribute is missing")
				}
			}
			return nil
		},
	}
}

// SeenInEventGrid is the data of the events.
func SeenInEventGrid(body []byte) string {
	var events []struct {
		Data struct {
			Title, Severity, Lifecycle      string
			DryRun, Drill, Unrecorded, Test bool
		}
	}
	_ = json.Unmarshal(body, &events)
	var b strings.Builder
	for _, e := range events {
		d := e.Data
		for banner, on := range map[string]bool{"[DRY RUN]": d.DryRun, "[DRILL]": d.Drill, "[UNRECORDED]": d.Unrecorded, "[TEST]": d.Test} {
			if on {
				b.WriteString(banner + " ")
			}
		}
		severity := d.Severity
		if severity == "" {
			severity = "unrated"
		}
		if d.Lifecycle == "resolve" {
			severity = "resolved, was " + severity
		}
		b.WriteString(severity + " " + d.Title + "\n")
	}
	return b.String()
}
