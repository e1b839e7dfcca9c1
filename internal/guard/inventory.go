package guard

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"cmkguard/internal/canonical"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/store"
	"cmkguard/internal/wiring"
)

// grantsPartition is the inventory of role assignments that were seen to reach a
// key in use. The event of a deleted one names neither principal nor role, and by
// then it can no longer be read.
const grantsPartition = "grants"

// grant is one row of it.
type grant struct {
	Schema    int    `json:"schema"`
	Principal string `json:"principal"`
	Type      string `json:"type"`
	Role      string `json:"role"` // the definition's name where it was read, else its id
	Scope     string `json:"scope"`
}

// known remembers which assignments are in the inventory already, so that a look
// costs no write. It is bounded and may forget.
type known struct {
	mu  sync.Mutex
	ids map[string]bool
}

const maxKnown = 10_000

func (k *known) first(id string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ids[id] {
		return false
	}
	if k.ids == nil || len(k.ids) >= maxKnown {
		k.ids = map[string]bool{}
	}
	k.ids[id] = true
	return true
}

func (k *known) clear() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ids = nil
}

func (k *known) forget(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.ids, id)
}

// inventory adds the assignments that were read, and looks up the one that the
// signal says is gone.
func (g *Guard) inventory(ctx context.Context, p *picture) error {
	for _, w := range p.wirings {
		for _, a := range w.Assignments.Value {
			if err := g.remember(ctx, a, w.Definitions.Value); err != nil {
				return err
			}
		}
	}
	if p.signal.Kind != event.RoleUnassigned || p.signal.Resource.IsZero() {
		return nil
	}
	row, ok, err := g.get(ctx, grantsPartition, grantRow(p.signal.Resource.Key()))
	if err != nil {
		return err
	}
	var was grant
	if !ok {
		p.lost = "the inventory does not know this role assignment: it was not seen to reach a key in use"
		return nil
	}
	if err := json.Unmarshal(row.Value, &was); err != nil {
		p.lost = "the inventory's row of this role assignment cannot be read"
		return nil //nolint:nilerr // it is evidence; the look goes on without it
	}
	p.lost = "the inventory says: " + was.Type + " " + was.Principal + " lost " + was.Role + " on " + was.Scope
	return nil
}

// grantIn reads a row of the inventory; a damaged one is no grant, for it is evidence
// only.
func grantIn(row store.Row) (g grant, ok bool) {
	err := json.Unmarshal(row.Value, &g)
	return g, err == nil
}

// grantsBefore are the grants by which the chain's identity was ever seen to reach its
// key, for people who decide to give one back: after a vault was recovered, all of
// them are gone.
func (g *Guard) grantsBefore(ctx context.Context, w wiring.Wiring) (out []string, err error) {
	at := w.Vault.Value.ID.Key() + "/keys/" + strings.ToLower(w.Key().Name)
	err = g.each(ctx, grantsPartition, "grant~", func(row store.Row) (bool, error) {
		was, ok := grantIn(row)
		scope := strings.TrimRight(strings.ToLower(was.Scope), "/")
		if ok && strings.EqualFold(was.Principal, w.Identity.Value.PrincipalID) && (at == scope || strings.HasPrefix(at, scope+"/")) {
			out = append(out, was.Role+" on "+was.Scope)
		}
		return true, nil
	})
	slices.Sort(out)
	return slices.Compact(out), err
}

func (g *Guard) remember(ctx context.Context, a wiring.RoleAssignment, roles map[string]wiring.RoleDefinition) error {
	id := strings.ToLower(a.ID)
	if id == "" || !g.known.first(id) {
		return nil
	}
	role := a.RoleID
	for _, d := range roles {
		if strings.EqualFold(d.ID, a.RoleID) && d.Name != "" {
			role = d.Name
		}
	}
	raw, err := canonical.JSON(grant{Schema: 1, Principal: a.PrincipalID, Type: a.PrincipalType, Role: role, Scope: a.Scope})
	if err != nil {
		return err
	}
	_, err = g.State.Apply(ctx, grantsPartition, []store.Op{{Kind: store.Insert, Key: grantRow(id), Value: raw}})
	if err != nil && !fault.Is(err, fault.Conflict) {
		g.known.forget(id)
		return asRecordError(err)
	}
	return nil
}

func grantRow(id string) string { return store.Name("grant", id) }
