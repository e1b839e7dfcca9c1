package wiring

import (
	"time"

	"cmkguard/internal/azureid"
)

// Hearing is what would tell us what is done to the resources of one watched
// subscription: the system topic of the subscription, and what is taken of it.
type Hearing struct {
	Subscription string
	Topic        Fact[SystemTopic]         // Absent: it has none, by every way to look
	Heard        Fact[[]EventSubscription] // of the topic; NotRead without one
}

// Heard is how a subscription was last heard: what the next look goes by where lists
// do not show what was there.
type Heard struct {
	At    time.Time `json:"at"`           // when its events last led to us; zero: never
	Topic string    `json:"topic"`        // ARM id of the system topic then
	By    []string  `json:"by,omitempty"` // ARM ids of the event subscriptions then
	// Deaf: the last look did not find that all is well.
	Deaf bool `json:"deaf,omitempty"`
	// Unsettled is since when what is there has been about to work; zero: it is not.
	Unsettled time.Time `json:"unsettled,omitzero"`
}

// EventFilter is one condition of an event subscription; all of them must hold, each
// by any of its values. Subject prefixes and suffixes are among them.
type EventFilter struct {
	Operator string   `json:"operator"` // StringIn, StringBeginsWith, ...
	Key      string   `json:"key"`      // data.operationName, subject, ...
	Values   []string `json:"values"`
}

// TopicID is the topic's id; zero where none was found.
func (h Hearing) TopicID() azureid.Resource {
	if !h.Topic.OK() {
		return azureid.Resource{}
	}
	return h.Topic.Value.ID
}
