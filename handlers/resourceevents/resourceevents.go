// Package resourceevents is the function that takes the events of subscriptions
// and resource groups from Event Grid: writes and deletes of clusters, vaults,
// role assignments, identities, locks, diagnostic settings and event
// subscriptions. It hands each event over as it came and knows nothing of what
// events mean.
package resourceevents

import (
	"context"
	"encoding/json"

	"cmkguard/internal/funchost"
)

// Name is the function's name: its folder, and the path that the host posts to.
const Name = "resourceevents"

// Binding is the name of the trigger's binding.
const Binding = "event"

// Intake records events and queues them for work. It returns once the event is
// durable, and stores by itself what it cannot parse.
type Intake interface {
	// Take gets one event, or an array of them, in the Event Grid or the
	// CloudEvents schema; source names the function for the record.
	Take(ctx context.Context, source string, raw json.RawMessage) error
}

// Handler returns the function's handler.
func Handler(in Intake) funchost.Handler {
	return func(ctx context.Context, inv *funchost.Invocation) error {
		raw, err := inv.Object(Binding)
		if err != nil {
			return err
		}
		return in.Take(ctx, Name, raw)
	}
}
