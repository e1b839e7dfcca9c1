package guard

import (
	"context"
	"encoding/json"
	"time"

	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/incident"
	"cmkguard/internal/journal"
	"cmkguard/internal/store"
)

const (
	turnRow = "turn"
	// turnTime is how long a worker has a subject to itself. It is a courtesy:
	// one that takes longer is joined by another, which is wasteful and safe.
	turnTime = time.Minute
	// turnAgain is when a signal whose subject is being looked at comes back.
	turnAgain = 5 * time.Second
	// skew is how far the clocks of two instances may be apart.
	skew = 5 * time.Second
)

// turn is a subject's row: who is looking at it, and since when the last whole
// look dates. A burst of signals about one subject costs a few looks, not one
// each: a look that began after a signal came in has seen what it hints at.
type turn struct {
	Looked time.Time `json:"looked"` // when the last whole look began
	Until  time.Time `json:"until"`  // somebody is looking until then
}

// errTaken says that another worker is looking at the subject.
type errTaken struct{ subject string }

func (e errTaken) Error() string { return "another worker is looking at " + e.subject }

// inTurn runs look on the subject unless a look that began after received has
// been done already; it returns that one's time then. Only a whole look, one that
// would have failed had it not seen everything, answers others. The partitions
// that look returns may have been written to.
func (g *Guard) inTurn(ctx context.Context, s event.Signal, received time.Time, whole bool, look func() ([]string, error)) (touched []string, covered time.Time, err error) {
	if g.drill.prefix != "" { // nobody else is there
		touched, err = look()
		return touched, covered, err
	}
	partition := incident.Partition(s.Subject)
	row, _, err := g.get(ctx, partition, turnRow)
	if err != nil {
		return nil, covered, err
	}
	var t turn
	if len(row.Value) > 0 && json.Unmarshal(row.Value, &t) != nil {
		t = turn{} // damaged: it only saves work
	}
	now := g.Now().UTC()
	switch {
	case t.Looked.After(received.Add(skew)) && !tells(s) && !g.byRival(ctx, s): // what a claim tells, another's look has not told
		return nil, t.Looked, nil
	case now.Before(t.Until), now.Sub(t.Looked) < skew: // looked just now, perhaps too early for this signal
		return nil, covered, errTaken{s.Subject.ID}
	}
	t.Until = now.Add(turnTime)
	etag, err := g.putTurn(ctx, partition, t, row.ETag)
	switch {
	case fault.Is(err, fault.Conflict):
		return nil, covered, errTaken{s.Subject.ID}
	case err != nil:
		return nil, covered, err
	}
	touched, err = look()
	if err == nil && whole {
		t.Looked = now
	}
	t.Until = time.Time{}
	_, _ = g.putTurn(ctx, partition, t, etag) // if it fails, the next waits or looks again
	return touched, covered, err
}

func (g *Guard) putTurn(ctx context.Context, partition string, t turn, etag string) (string, error) {
	etags, err := g.State.Apply(ctx, partition, []store.Op{putOp(turnRow, encode(t), etag)})
	if err != nil {
		return "", asRecordError(err)
	}
	return etags[0], nil
}

// recordCovered closes the record of a signal that another's look answered.
func (g *Guard) recordCovered(ctx context.Context, s event.Signal, at time.Time) error {
	entry := signalEntry(s, 0, true, "answered by the look that began "+at.Format(time.RFC3339))
	told, err := g.noteTold(ctx, s)
	if err != nil {
		return err
	}
	return g.commit(ctx, incident.Partition(s.Subject), []journal.Entry{entry}, told...)
}
