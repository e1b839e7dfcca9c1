// Package eventqueue is the function that takes the same Event Grid events from
// a Storage queue: a route that needs no open door, waits out a cold start, and
// is delivered by managed identity.
package eventqueue

import (
	"context"
	"encoding/json"

	"cmkguard/internal/funchost"
)

// Name is the function's name: its folder, and the path that the host posts to.
const Name = "eventqueue"

// Queue is where Event Grid puts the events.
const Queue = "cmkguard-events"

// Binding is the name of the trigger's binding.
const Binding = "item"

// Intake records events and queues them for work, as in handlers/keyvaultevents.
type Intake interface {
	Take(ctx context.Context, source string, raw json.RawMessage) error
}

// Handler returns the function's handler. A message that is no JSON is the
// intake's to keep.
func Handler(in Intake) funchost.Handler {
	return func(ctx context.Context, inv *funchost.Invocation) error {
		message, err := inv.Bytes(Binding)
		if err != nil {
			return err
		}
		return in.Take(ctx, Name, message)
	}
}
