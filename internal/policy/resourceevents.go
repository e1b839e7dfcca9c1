package policy

import (
	"slices"
	"strings"
)

// ResourceEvents is where the watched subscriptions' own events are to lead: to one
// of Function and Queue, of which one at least is set (SELF-001).
type ResourceEvents struct {
	Function      string   // ARM id of a function
	Account       string   // ARM id of the storage account of a queue
	Queue         string   // its name
	Subscriptions []string // ids of those that are to be heard; empty: all that are watched
}

// Set reports whether the file has them.
func (e ResourceEvents) Set() bool { return e.Function != "" || e.Queue != "" }

// Asks reports whether the subscription is to be heard.
func (e ResourceEvents) Asks(subscription string) bool {
	return e.Set() && (len(e.Subscriptions) == 0 ||
		slices.ContainsFunc(e.Subscriptions, func(s string) bool { return strings.EqualFold(s, subscription) }))
}

func (r reader) resourceEvents(n node) {
	e := &r.policy.Declared.Resources
	found := n.fields(map[string]func(node){
		"function":      func(n node) { e.Function = n.resource("Microsoft.Web/sites/functions") },
		"queue":         func(n node) { e.Account, e.Queue = n.box("name", "the queue's") },
		"subscriptions": func(n node) { e.Subscriptions = n.texts(checkSubscription) },
	})
	if found != nil && !found["function"] && !found["queue"] {
		n.problem("leads nowhere: want function (resourceevents) or queue (cmkguard-events), or both where either will do")
	}
}
