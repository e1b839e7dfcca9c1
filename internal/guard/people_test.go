package guard_test

import (
	"cmkguard/internal/alert"
	"encoding/json"
	"slices"
	"strings"

	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/event"
	"cmkguard/internal/guard"
	"cmkguard/internal/incident"
	"cmkguard/internal/store"
)

// put writes a row past the guard, as whoever may write to the storage could.
func (w *world) put(partition, key string, value any) {
	w.t.Helper()
	raw, err := json.Marshal(value)
	must(w.t, err)
	row, ok, err := w.b.State.Get(ctx, partition, key)
	must(w.t, err)
	op := store.Op{Kind: store.Insert, Key: key, Value: raw}
	if ok {
		op.Kind, op.ETag = store.Replace, row.ETag
	}
	_, err = w.b.State.Apply(ctx, partition, []store.Op{op})
	must(w.t, err)
}

// cause writes into the stored plan who is said to have caused the problem.
func (w *world) cause(h guard.Held, object string) {
	w.t.Helper()
	row, _, err := w.b.State.Get(ctx, h.Partition, "plan~"+h.Plan.ID)
	must(w.t, err)
	var m map[string]any
	must(w.t, json.Unmarshal(row.Value, &m))
	m["causes"] = []string{object}
	w.put(h.Partition, "plan~"+h.Plan.ID, m)
}

func (w *world) tagKey(tags map[string]string) {
	w.sim.ChangeVault(host, func(v *azuresim.Vault) { v.Keys["kek"].Tags = tags })
}

// asks reports whether an alert tells people to do something.
func (c *told) asks(text string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.all {
		if slices.ContainsFunc(a.Next, func(s string) bool { return strings.Contains(s, text) }) ||
			slices.ContainsFunc(a.Commands, func(c alert.Command) bool { return strings.Contains(c.Line, text) }) {
			return true
		}
	}
	return false
}

func keyPart(k azureid.Key) string {
	return incident.Partition(event.Subject{Kind: event.SubjectKey, ID: k.ID()})
}

func clusterPart(id azureid.Resource) string {
	return incident.Partition(event.Subject{Kind: event.SubjectCluster, ID: id.Key()})
}
