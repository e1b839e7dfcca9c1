package guard

import (
	"context"
	"encoding/json"
	"time"

	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

const reconcileRow = "reconcile"

// reconcile has every key in use looked at, event or no event, once per period:
// whatever was lost on the way shows then, and keys that were there before any
// subscription are covered. The looks go through the queue, one message per key,
// so that no single invocation has to do them all.
func (g *Guard) reconcile(ctx context.Context) error {
	if g.Reconcile <= 0 {
		return nil
	}
	row, ok, err := g.get(ctx, selfPartition, reconcileRow)
	if err != nil {
		return err
	}
	var next time.Time
	if ok && json.Unmarshal(row.Value, &next) == nil && g.Now().Before(next) {
		return nil
	}
	keys, why := g.keysInUse(ctx)
	for _, k := range keys {
		if err := g.send(ctx, lookMessage(event.Subject{Kind: event.SubjectKey, ID: k.ID()}, k), 0); err != nil {
			return err
		}
	}
	// After the messages: a crash in between costs looks, never leaves them out.
	_, err = g.State.Apply(ctx, selfPartition, []store.Op{putOp(reconcileRow, encode(g.Now().Add(g.Reconcile).UTC()), row.ETag)})
	if fault.Is(err, fault.Conflict) {
		err = nil
	}
	if err == nil && why != "" && len(keys) == 0 {
		err = fault.New(fault.Transient, "guard.reconcile", "no cluster could be listed: %s", why)
	}
	return asRecordError(err)
}
