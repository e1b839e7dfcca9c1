// Package work is the function that carries on with queued signals and saga
// steps. It unwraps the message and knows nothing of what stands in it.
package work

import (
	"context"

	"cmkguard/internal/funchost"
)

// Name is the function's name: its folder, and the path that the host posts to.
const Name = "work"

// Queue is the Storage queue of the trigger.
const Queue = "cmkguard-work"

// Binding is the name of the trigger's binding; the embedded host needs it.
const Binding = "item"

// Worker does what one message asks for.
type Worker interface {
	// Work gets the exact bytes of the message. It plans its own retries: a
	// failure here uses up one of the few dequeues of the queue.
	Work(ctx context.Context, message []byte) error
}

// Handler returns the function's handler.
func Handler(w Worker) funchost.Handler {
	return func(ctx context.Context, inv *funchost.Invocation) error {
		message, err := inv.Bytes(Binding)
		if err != nil {
			return err
		}
		return w.Work(ctx, message)
	}
}
