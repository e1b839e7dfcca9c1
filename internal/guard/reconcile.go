package guard

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"cmkguard/internal/azureid"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/store"
	"cmkguard/internal/wiring"
)

const reconcileRow = "reconcile"

// reconcile has every key in use looked at, event or no event, once per period:
// whatever was lost on the way shows then, and keys that were there before any
// subscription are covered; and so is every cluster of the roster that no list
// shows any more. The looks go through the queue, one message per key, so that no
// single invocation has to do them all.
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
	run := g.Survey()
	clusters, complete, why := run.Keyed(ctx)
	if err := errors.Join(g.lookAtAll(ctx, clusters), g.watchAround(ctx, run)); err != nil {
		return err
	}
	// After the messages: a crash in between costs looks, never leaves them out.
	_, err = g.State.Apply(ctx, selfPartition, []store.Op{putOp(reconcileRow, encode(g.Now().Add(g.Reconcile).UTC()), row.ETag)})
	if fault.Is(err, fault.Conflict) {
		err = nil
	}
	if err == nil && !complete && len(clusters) == 0 {
		err = fault.New(fault.Transient, "guard.reconcile", "no cluster could be listed: %s", why)
	}
	return asRecordError(err)
}

func (g *Guard) lookAtAll(ctx context.Context, clusters []wiring.Cluster) error {
	keys := keysOf(clusters)
	wide := g.listeners(keys)
	for i, k := range keys {
		m := lookMessage(event.Subject{Kind: event.SubjectKey, ID: k.ID()}, k)
		if m.Hint = event.Swept; wide[k.Host] != i {
			m.Hint = event.Glance
		}
		if err := g.send(ctx, m, 0); err != nil {
			return err
		}
	}
	listed := make(map[string]bool, len(clusters))
	for _, c := range clusters {
		listed[c.ID.Key()] = true
	}
	return g.members(ctx, func(m member) error {
		if listed[m.Cluster.Key()] {
			return nil
		}
		return g.send(ctx, lookMessage(event.Subject{Kind: event.SubjectCluster, ID: m.Cluster.Key()}, azureid.Key{}), 0)
	})
}

// listeners picks, for each vault, the key whose look also asks what would tell us
// of the vault: one per reconcile, another each time, so that a key that cannot be
// looked at does not leave its vault unasked for ever.
func (g *Guard) listeners(keys []azureid.Key) map[string]int {
	of := map[string][]int{}
	for i, k := range keys {
		of[k.Host] = append(of[k.Host], i)
	}
	turn := int(g.turns.Add(1) - 1) // of this process: each begins with the first key and goes on in turn
	out := make(map[string]int, len(of))
	for host, list := range of {
		out[host] = list[turn%len(list)]
	}
	return out
}
