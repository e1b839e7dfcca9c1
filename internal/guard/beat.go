package guard

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"cmkguard/internal/fault"
	"cmkguard/internal/self"
	"cmkguard/internal/store"
)

const (
	beatRow = "beat"
	// beatGrace is how long a heartbeat that is missed gets to come after all: after
	// a time in which nothing ran, an event may be here before the timer is.
	beatGrace = 2 * SweepEvery
)

// pulse remembers when this process last looked for the sweep's heartbeat, so
// that a flood of events costs one look a minute.
type pulse struct {
	mu   sync.Mutex
	next time.Time
}

func (p *pulse) due(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Before(p.next) {
		return false
	}
	p.next = now.Add(SweepEvery)
	return true
}

// beat writes that a sweep got to its end; one that was cut short has not.
func (g *Guard) beat(ctx context.Context, began time.Time, problem error) error {
	if !g.Watch.Beats || ctx.Err() != nil {
		return ctx.Err()
	}
	b := self.Beat{Schema: 1, At: g.Now().UTC(), Took: g.Now().Sub(began).Milliseconds()}
	if problem != nil {
		b.Problem = clip(problem.Error(), 500)
	}
	row, _, err := g.get(ctx, selfPartition, beatRow)
	if err != nil {
		return err
	}
	return g.putBeat(ctx, b, row.ETag)
}

func (g *Guard) putBeat(ctx context.Context, b self.Beat, etag string) error {
	_, err := g.State.Apply(ctx, selfPartition, []store.Op{putOp(beatRow, encode(b), etag)})
	if fault.Is(err, fault.Conflict) {
		return nil // another's heartbeat is as good
	}
	return asRecordError(err)
}

// lastBeat returns the last heartbeat; ok is false where there was none ever, or
// it is damaged.
func (g *Guard) lastBeat(ctx context.Context) (b self.Beat, etag string, ok bool, err error) {
	row, found, err := g.get(ctx, selfPartition, beatRow)
	if err != nil {
		return b, "", false, err
	}
	ok = found && json.Unmarshal(row.Value, &b) == nil
	return b, row.ETag, ok, nil
}

// readBeat is lastBeat that writes, where there is none, since when one is
// waited for.
func (g *Guard) readBeat(ctx context.Context) (self.Beat, error) {
	b, etag, ok, err := g.lastBeat(ctx)
	if err != nil || ok {
		return b, err
	}
	b = self.Beat{Schema: 1, At: g.Now().UTC(), Awaited: true}
	return b, g.putBeat(ctx, b, etag)
}

// missBeat is what every path but the sweep does once a minute: a timer that is
// dead cannot tell of itself. A heartbeat that stays away is judged again a
// little later, through the queue, and told then. Trouble here is nobody's: the
// caller's own work stands, and the next look comes in a minute.
func (g *Guard) missBeat(ctx context.Context) {
	if !g.Watch.Beats || !g.beats.due(g.Now()) {
		return
	}
	b, err := g.readBeat(ctx)
	if err != nil || g.Now().Sub(b.At) <= self.Silence {
		return
	}
	_ = g.send(ctx, message{Kind: kindBeat}, beatGrace)
}

// runBeat judges the heartbeat.
func (g *Guard) runBeat(ctx context.Context) ([]string, error) {
	b, err := g.readBeat(ctx)
	if err != nil {
		return nil, err
	}
	return g.applySelf(ctx, self.JudgeBeat(b, true, "", g.Now()))
}
