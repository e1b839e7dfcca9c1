package guard

import (
	"context"
	"encoding/json"
	"sync"

	"cmkguard/internal/azureid"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/store"
	"cmkguard/internal/wiring"
)

// rosterPartition lists the clusters that a look has seen with a key, and which:
// without it, what was deleted while nobody watched would be in no list that
// anybody compares with.
const rosterPartition = "clusters"

// member is one row of it.
type member struct {
	Schema  int              `json:"schema"`
	Cluster azureid.Resource `json:"cluster"`
	Key     azureid.Key      `json:"key"`            // without a version
	Vault   azureid.Resource `json:"vault,omitzero"` // of the key, once it was read
}

func rosterRow(cluster azureid.Resource) string { return store.Name("cluster", cluster.Key()) }

// roster remembers the rows that this process knows to be written, so that a look
// costs no read. It is bounded and may forget.
type roster struct {
	mu   sync.Mutex
	rows map[string]member // by cluster
}

const maxRoster = 20_000

func (r *roster) same(m member) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	was, ok := r.rows[m.Cluster.Key()]
	return ok && was.Key == m.Key && was.Vault.Equal(m.Vault)
}

func (r *roster) set(m member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rows == nil || len(r.rows) >= maxRoster {
		r.rows = map[string]member{}
	}
	r.rows[m.Cluster.Key()] = m
}

func (r *roster) forget(cluster azureid.Resource) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.rows, cluster.Key())
}

// enroll keeps which key each cluster of the picture uses. A key or a vault that
// one has left is looked at: perhaps nobody uses it any more.
func (g *Guard) enroll(ctx context.Context, p *picture) error {
	for _, w := range p.wirings {
		if w.Cluster.OK() {
			if err := g.enrollOne(ctx, w); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *Guard) enrollOne(ctx context.Context, w wiring.Wiring) error {
	m := member{Schema: 1, Cluster: w.ID, Key: w.Key().Base()}
	if w.Vault.OK() {
		m.Vault = w.Vault.Value.ID
	}
	if g.roster.same(m) {
		return nil
	}
	row, found, err := g.get(ctx, rosterPartition, rosterRow(w.ID))
	if err != nil {
		return err
	}
	var was member
	found = found && json.Unmarshal(row.Value, &was) == nil
	if found && was.Key.SameKey(m.Key) && m.Vault.IsZero() {
		m.Vault = was.Vault // unread now; a key does not move
	}
	switch {
	case found && was.Key == m.Key && was.Vault.Equal(m.Vault):
		g.roster.set(m)
		return nil
	case m.Key.IsZero() && !found:
		return nil // it has no key of its own, and had none
	case found && !was.Key.SameKey(m.Key):
		// Before the row: a crash in between costs a look, never leaves it out.
		if err := g.lookAtLeft(ctx, was); err != nil {
			return err
		}
	}
	return g.putMember(ctx, m, row.ETag)
}

func (g *Guard) putMember(ctx context.Context, m member, etag string) error {
	if m.Key.IsZero() {
		return g.strike(ctx, m.Cluster)
	}
	_, err := g.State.Apply(ctx, rosterPartition, []store.Op{putOp(rosterRow(m.Cluster), encode(m), etag)})
	switch {
	case fault.Is(err, fault.Conflict):
		return nil // another look is writing it
	case err == nil:
		g.roster.set(m)
	}
	return asRecordError(err)
}

// strike takes a cluster off the roster.
func (g *Guard) strike(ctx context.Context, cluster azureid.Resource) error {
	g.roster.forget(cluster)
	return asRecordError(g.dropMark(ctx, rosterPartition, rosterRow(cluster)))
}

// lookAtLeft has the key and the vault looked at that a cluster has left.
func (g *Guard) lookAtLeft(ctx context.Context, m member) error {
	if !m.Key.IsZero() {
		if err := g.send(ctx, lookMessage(event.Subject{Kind: event.SubjectKey, ID: m.Key.ID()}, m.Key), 0); err != nil {
			return err
		}
	}
	if m.Vault.IsZero() {
		return nil
	}
	return g.send(ctx, lookMessage(event.Subject{Kind: event.SubjectVault, ID: m.Vault.Key()}, azureid.Key{}), 0)
}

// members calls fn for each row of the roster that can be read.
func (g *Guard) members(ctx context.Context, fn func(member) error) error {
	return g.each(ctx, rosterPartition, "", func(row store.Row) (bool, error) {
		var m member
		if json.Unmarshal(row.Value, &m) == nil && !m.Cluster.IsZero() {
			return true, fn(m)
		}
		return true, nil // damaged: it is written anew when its cluster is looked at
	})
}
