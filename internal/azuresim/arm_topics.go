package azuresim

import (
	"time"

	"cmkguard/internal/azureid"
)

// SetResourceEvents gives the topic's subscription that system topic of its own
// events, with these event subscriptions, as a person would; by name, with their
// properties.
func (s *Sim) SetResourceEvents(topic azureid.Resource, subscriptions map[string]map[string]any) {
	s.act(func() {
		s.addTopic(topic, &systemTopic{
			source: "/subscriptions/" + topic.Subscription(), location: "global", typ: "Microsoft.Resources.Subscriptions", made: s.clock.Now().Add(-time.Hour),
		})
		s.subscribe(topic, subscriptions)
	})
}

// RemoveTopic deletes a system topic with its event subscriptions, as a person would.
func (s *Sim) RemoveTopic(topic azureid.Resource) {
	s.act(func() {
		delete(s.topics, topic.Key())
		delete(s.documents.bodies, topic.Key()+gridListing)
		s.emitResource("ResourceDeleteSuccess", "Microsoft.EventGrid/systemTopics/delete", topic.String(), person)
	})
}

// SetTopicState has a system topic show a provisioning state; "" is that of its age.
func (s *Sim) SetTopicState(topic azureid.Resource, state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.topics[topic.Key()].state = state
}

// SetTopicIdentities gives a system topic these user-assigned identities and no others.
func (s *Sim) SetTopicIdentities(topic azureid.Resource, ids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.topics[topic.Key()].identities = ids
}
