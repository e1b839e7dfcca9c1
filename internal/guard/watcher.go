package guard

import (
	"context"
	"encoding/json"
	"time"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

const watcherRow = "watcher"

// Watcher is an external dead man's switch: it pages when Ping stays away
// (internal/heartbeat). Ping may be called twice for one heartbeat.
type Watcher interface {
	Ping(ctx context.Context) error
}

// pinged is the row of the external watcher.
type pinged struct {
	Schema  int       `json:"schema"`
	Next    time.Time `json:"next"` // no ping is due before
	At      time.Time `json:"at,omitzero"`
	Problem string    `json:"problem,omitempty"` // of the last ping
}

// ping tells the external watcher that a sweep went through: state was read and
// written, the queue answered, the journal was folded, and the live state was
// listed. Its own row is written right before, so that a state that can only be
// read keeps it quiet. A watcher that cannot be reached fails nothing here: it
// pages by itself, and it is called again by the next sweep.
func (g *Guard) ping(ctx context.Context, sweep error) {
	if g.Watcher == nil || sweep != nil {
		return
	}
	row, ok, err := g.get(ctx, selfPartition, watcherRow)
	if err != nil {
		return
	}
	var last pinged
	if ok && json.Unmarshal(row.Value, &last) == nil && g.Now().Before(last.Next) {
		return
	}
	mine := pinged{Schema: 1, Next: g.Now().Add(g.PingEvery).UTC(), At: g.Now().UTC()}
	etag, err := g.putPinged(ctx, mine, row.ETag)
	if err != nil {
		return // a Conflict is another sweep, which pings
	}
	if err := g.Watcher.Ping(ctx); err != nil {
		mine.Next, mine.At, mine.Problem = g.Now().UTC(), last.At, clip(err.Error(), 500)
		_, _ = g.putPinged(ctx, mine, etag) // if not: the next ping is late by one period
	}
}

func (g *Guard) putPinged(ctx context.Context, p pinged, etag string) (string, error) {
	etags, err := g.State.Apply(ctx, selfPartition, []store.Op{putOp(watcherRow, encode(p), etag)})
	if err != nil {
		return "", err
	}
	if len(etags) != 1 {
		return "", fault.New(fault.Unknown, "guard.putPinged", "%d etags for one row", len(etags))
	}
	return etags[0], nil
}
