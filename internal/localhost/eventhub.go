package localhost

import (
	"encoding/base64"
	"time"
)

// HubMessages are messages of one partition of an Event Hub, in order.
type HubMessages struct {
	Hub, Partition string
	First          int64 // sequence number of the first
	Enqueued       time.Time
	Bodies         [][]byte
}

// EventHubEnvelope returns the body of an eventHubTrigger's invocation with
// cardinality many and dataType binary: an array as text, its elements base64.
func EventHubEnvelope(c Call, binding string, m HubMessages) ([]byte, error) {
	const op = "localhost.EventHubEnvelope"
	bodies, numbers, times := make([]string, 0, len(m.Bodies)), []int64{}, []string{}
	empty := []struct{}{}
	for i, b := range m.Bodies {
		bodies = append(bodies, base64.StdEncoding.EncodeToString(b))
		numbers = append(numbers, m.First+int64(i))
		times = append(times, m.Enqueued.UTC().Format(time.RFC3339Nano))
		empty = append(empty, struct{}{})
	}
	type partition struct {
		EventHubName, PartitionId      string //nolint:revive // the host's names
		IsCheckpointingAfterInvocation bool
	}
	metadata := struct {
		SequenceNumberArray, EnqueuedTimeUtcArray, PropertiesArray string

		TriggerPartitionContext partition
		Sys                     sys `json:"sys"`
	}{
		SequenceNumberArray: text(numbers), EnqueuedTimeUtcArray: text(times), PropertiesArray: text(empty),
		TriggerPartitionContext: partition{EventHubName: m.Hub, PartitionId: m.Partition, IsCheckpointingAfterInvocation: true}, Sys: c.sys(),
	}
	return encode(op, envelope{Data: map[string]any{binding: text(bodies)}, Metadata: metadata})
}
