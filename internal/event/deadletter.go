package event

import (
	"strconv"
	"strings"
	"time"
)

// GivenUp is what Event Grid says of an event that it could not deliver, in the
// blob where it leaves it: the event itself with a few attributes more, whose names
// are all lower case in the CloudEvents schema (learn.microsoft.com,
// "Event Grid message delivery and retry", dead-letter events).
type GivenUp struct {
	ID        string    `json:"id"`
	Type      string    `json:"type"`
	Reason    string    `json:"deadLetterReason"` // MaxDeliveryAttemptsExceeded, TimeToLiveExceeded, ...
	Attempts  int       `json:"deliveryAttempts"`
	Outcome   string    `json:"lastDeliveryOutcome"` // NotFound, Unauthorized, TimedOut, ...
	Published time.Time `json:"publishTime,omitzero"`
	Last      time.Time `json:"lastDeliveryAttemptTime,omitzero"`
}

// ReadGivenUp returns what a delivery's elements say of having been given up, in
// their order; nil if none does. It reports nothing: the elements themselves are
// read, and judged, by ParseGrid.
func ReadGivenUp(raw []byte) []GivenUp {
	elements, err := split(raw)
	if err != nil {
		return nil
	}
	var out []GivenUp
	for _, el := range elements {
		var ignored []string
		o := newObject("", el, &ignored)
		if reason := o.loose("deadLetterReason"); reason != "" {
			out = append(out, GivenUp{
				ID: o.loose("id"), Type: o.first("eventType", "type"), Reason: reason, Attempts: attempts(o.loose("deliveryAttempts")),
				Outcome: o.loose("lastDeliveryOutcome"), Published: o.timestamp("publishTime"), Last: o.timestamp("lastDeliveryAttemptTime"),
			})
		}
	}
	return out
}

func attempts(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// Ours reports whether the type is of a source whose events are meant for this
// product, whether or not this version has a use for the one: any other's event
// in our dead letters is somebody else's, who set the wrong container.
func Ours(typ string) bool {
	t := strings.ToLower(typ)
	for _, source := range []string{"microsoft.keyvault.", "microsoft.resources.", "microsoft.resourcenotifications.", "microsoft.eventgrid.", ownFacts} {
		if strings.HasPrefix(t, source) {
			return true
		}
	}
	return false
}
