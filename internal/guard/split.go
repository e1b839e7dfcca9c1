package guard

import (
	"context"
	"fmt"
	"slices"

	"cmkguard/internal/azureid"
	"cmkguard/internal/event"
	"cmkguard/internal/incident"
	"cmkguard/internal/journal"
	"cmkguard/internal/wiring"
)

// splitAbove is how many clusters one invocation looks at: at about ten reads
// each and ten reads a second they fit well into its five minutes.
const splitAbove = 20

// split returns the keys that the signal of a vault, an identity or a scope is
// split into, or nil where one invocation can look at all of it.
func split(s event.Signal, clusters []wiring.Cluster) []azureid.Key {
	if s.Subject.Kind == event.SubjectKey || len(clusters) <= splitAbove {
		return nil
	}
	var keys []azureid.Key
	for _, c := range clusters {
		if c.CMK == nil || c.CMK.Key.IsZero() {
			continue
		}
		k := c.CMK.Key.Base()
		if !slices.ContainsFunc(keys, func(o azureid.Key) bool { return o.Equal(k) }) {
			keys = append(keys, k)
		}
	}
	return keys
}

// partOf is the signal as it concerns one key. Its id is the whole's and the
// key's, so that splitting twice makes no more parts.
func partOf(s event.Signal, k azureid.Key) event.Signal {
	s.ID += "/" + k.ID()
	s.Subject, s.Key = event.Subject{Kind: event.SubjectKey, ID: k.ID()}, k
	return s
}

// fanOut takes the parts in as signals of their own, and records that it did.
func (g *Guard) fanOut(ctx context.Context, p *picture) error {
	for _, k := range p.parts {
		if err := g.takeSignal(ctx, partOf(p.signal, k)); err != nil {
			return asRecordError(err)
		}
	}
	why := fmt.Sprintf("split into %d keys", len(p.parts))
	entry := signalEntry(p.signal, 0, p.complete, why)
	return g.commit(ctx, incident.Partition(p.signal.Subject), []journal.Entry{entry})
}
