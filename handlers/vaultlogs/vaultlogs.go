// Package vaultlogs is the function that takes the vaults' audit logs from an
// Event Hub, many messages at once. Event Hubs moves on whether we succeed or
// not, so a failure is tried again by the host (retry in function.json) and what
// cannot be read is kept by the intake.
package vaultlogs

import (
	"context"

	"cmkguard/internal/funchost"
	"cmkguard/internal/guard"
)

// Name is the function's name: its folder, and the path that the host posts to.
const Name = "vaultlogs"

// Hub is the Event Hub's name: what diagnostic settings of vaults call it where
// nobody chooses (learn.microsoft.com azure-monitor/platform/stream-monitoring-data-event-hubs).
const Hub = "insights-logs-auditevent"

// Binding is the name of the trigger's binding.
const Binding = "logs"

// MaxBatch is how many messages host.json lets the host bring at once
// (extensions.eventHubs.maxEventBatchSize; without it a hundred).
const MaxBatch = 10

// MaxBody is the size of the largest invocation, in bytes: MaxBatch messages of 1 MiB,
// the most that a hub takes (learn.microsoft.com event-hubs/event-hubs-quotas), in
// base64, and 4 MiB for their metadata. A larger one would be kept as poison, cut to a
// row's size, and with it audit records would be lost.
const MaxBody = MaxBatch*(1<<20)*4/3 + 4<<20

// Intake takes log messages in.
type Intake interface {
	// TakeLogs returns once every record in the messages is queued, counted or kept;
	// on an error all of them come again.
	TakeLogs(ctx context.Context, source string, messages [][]byte) (guard.Taken, error)
}

// Handler returns the function's handler.
func Handler(in Intake) funchost.Handler {
	return func(ctx context.Context, inv *funchost.Invocation) error {
		messages, err := inv.Batch(Binding)
		if err != nil {
			return err
		}
		t, err := in.TakeLogs(ctx, Name, messages)
		funchost.Field(ctx, "messages", len(messages))
		funchost.Field(ctx, "signals", t.Signals)
		funchost.Field(ctx, "uses", t.Uses)
		funchost.Field(ctx, "dropped", t.Dropped)
		funchost.Field(ctx, "poisoned", t.Poison)
		return err
	}
}
