package alert

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// GivenUp is the partition that names every delivery that was given up: its rows
// are named as the notification, and hold a Lost. Such a delivery has nothing left
// to do in its own partition, which so is on nobody's agenda; without this list
// nobody would find it but by reading everything.
const GivenUp = "given-up"

// Lost says where a delivery lies that was given up. A row of GivenUp may name one
// that has been sent, put back or dropped since: whoever reads it looks there.
type Lost struct {
	Partition string    `json:"partition"`
	At        time.Time `json:"at"` // when it was given up last
}

// OutboxRow is the row of the notification in its partition.
func OutboxRow(id string) string { return outboxPrefix + id }

// list names the delivery in GivenUp. It is written before the delivery itself: a
// crash in between leaves a name too many, never one too few. A name that is there
// already is written anew, so that whoever is about to take it away, because the
// delivery was put back, finds that it changed.
func (d *Dispatcher) list(ctx context.Context, partition, id string) error {
	for range 3 {
		row, ok, err := d.state.Get(ctx, GivenUp, id)
		if err != nil {
			return err
		}
		op := store.Op{Kind: store.Insert, Key: id, Value: encode(Lost{Partition: partition, At: d.now().UTC()})}
		if ok {
			op.Kind, op.ETag = store.Replace, row.ETag
		}
		_, err = d.state.Apply(ctx, GivenUp, []store.Op{op})
		if !fault.Is(err, fault.Conflict) {
			return err
		}
	}
	return fault.New(fault.Transient, "alert.list", "delivery %s is being put back by others", id)
}

// Again returns the delivery as due now, with all its attempts before it. what is
// the journal's line about it. It is an Invalid fault for one that was not given up.
func Again(n Notification, by string, now time.Time) (next Notification, what string, err error) {
	if n.State != Poison {
		return n, "", fault.New(fault.Invalid, "alert.Again", "the delivery to %s is %s: nothing is to be done again", n.Channel, n.State)
	}
	next = n
	next.State, next.Attempt, next.NextAt, next.TriedAt = Pending, 0, now.UTC(), nil
	return next, fmt.Sprintf("to be told %s again, by %s: %s", n.Channel, Clean(by, maxName), Clean(n.Alert.Title, maxTitle)), nil
}

// ReadNotification reads an outbox row.
func ReadNotification(row store.Row) (Notification, error) {
	var n Notification
	if err := json.Unmarshal(row.Value, &n); err != nil {
		return n, fault.New(fault.Invalid, "alert.ReadNotification", "%s/%s: %w", row.Partition, row.Key, err)
	}
	return n, nil
}
