package alert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// errBusy: others changed the desk each time.
var errBusy = errors.New("the channel's desk is too busy")

// A channel's desk is one row that all instances share: whether the channel can be
// reached at present, and what was sent to it lately. It is changed by
// compare-and-swap and never locked; who loses looks again.

const (
	deskRow   = "desk"
	deskTries = 8
	// breakerAfter failures in a row open the breaker. What a receiver refuses for good
	// counts too: where it refuses everything, alerts wait rather than be given up.
	breakerAfter = 5
	firstPause   = 30 * time.Second // of an open breaker; doubles
	longestPause = 5 * time.Minute  // so that a channel that is back is noticed soon
	authPause    = 15 * time.Minute // credentials are mended by people
	probeFor     = 2 * sendTimeout  // how long one sending alone may be the probe
	keptRecent   = 64
)

// DeskPartition is the partition of what concerns a channel as a whole.
func DeskPartition(channel string) string { return store.Name("channel", channel) }

// desk is what the row holds.
type desk struct {
	Schema  int        `json:"schema"`
	Channel string     `json:"channel"`
	Breaker breaker    `json:"breaker"`
	Shut    time.Time  `json:"shut,omitzero"`    // the receiver asked to be left alone until then
	Recent  []admitted `json:"recent,omitempty"` // what was let through last, the newest last
	Due     []admitted `json:"due,omitempty"`    // what came to be due last, where storms are told as one
	Storm   *storm     `json:"storm,omitempty"`
}

// let reports whether the delivery was let through: the receiver may have it.
func (k desk) let(id string) bool {
	return slices.ContainsFunc(k.Recent, func(a admitted) bool { return a.ID == id })
}

// admitted is one sending that was let through. It is noted before the call, so that
// a process that was killed in the middle of it leaves a trace: the receiver may have
// got it.
type admitted struct {
	ID string    `json:"id"` // of the notification
	At time.Time `json:"at"`
}

// breaker keeps calls from a channel that failed several times in a row.
type breaker struct {
	Failed int       `json:"failed,omitempty"` // in a row
	Since  time.Time `json:"since,omitzero"`   // of the first of them
	Class  Class     `json:"class,omitempty"`  // of the last of them
	Error  string    `json:"error,omitempty"`
	Until  time.Time `json:"until,omitzero"` // nothing is sent before; zero: closed
	Opened int       `json:"opened,omitempty"`
	Probe  time.Time `json:"probe,omitzero"` // one sends alone until then, to see whether it is back
}

func (b breaker) open() bool { return !b.Until.IsZero() }

// failed is the breaker after one more failure. Refused credentials open it at once:
// they do not mend themselves.
func (b breaker) failed(class Class, text string, now time.Time, jitter float64) breaker {
	if b.Failed++; b.Failed == 1 {
		b.Since = now
	}
	b.Class, b.Error, b.Probe = class, text, time.Time{}
	if b.Failed < breakerAfter && class != ClassAuth && !b.open() {
		return b
	}
	pause := authPause
	if class != ClassAuth {
		pause = min(firstPause<<min(b.Opened, 8), longestPause)
	}
	b.Opened++
	b.Until = now.Add(pause/2 + time.Duration(jitter*float64(pause/2)))
	return b
}

// why says in half a sentence what ails the channel.
func (b breaker) why() string {
	return fmt.Sprintf("it cannot be reached since %s (%s)", b.Since.UTC().Format(timeLayout), b.Class)
}

// deskState is the row as it was read.
type deskState struct {
	desk
	etag string
}

// readDesk reads a channel's desk. One that cannot be understood begins afresh: it
// guards the receiver and people's patience, not the alerts.
func (d *Dispatcher) readDesk(ctx context.Context, channel string) (deskState, error) {
	s := deskState{desk: desk{Schema: 1, Channel: channel}}
	row, ok, err := d.state.Get(ctx, DeskPartition(channel), deskRow)
	if err != nil || !ok {
		return s, err
	}
	if json.Unmarshal(row.Value, &s.desk) != nil {
		s.desk = desk{Schema: 1, Channel: channel}
	}
	s.etag = row.ETag
	return s, nil
}

// op is the operation that puts the desk in the place of the one that was read.
func (s deskState) op() store.Op {
	if s.etag == "" {
		return store.Op{Kind: store.Insert, Key: deskRow, Value: encode(s.desk)}
	}
	return store.Op{Kind: store.Replace, Key: deskRow, Value: encode(s.desk), ETag: s.etag}
}

// changeDesk reads, changes and writes the desk until nobody comes in between.
// change says whether there is anything to write, and what goes along in the batch.
func (d *Dispatcher) changeDesk(ctx context.Context, channel string, change func(*desk) (with batch, write bool)) (deskState, error) {
	for range deskTries {
		s, err := d.readDesk(ctx, channel)
		if err != nil {
			return s, err
		}
		with, write := change(&s.desk)
		if !write {
			return s, nil
		}
		if len(with.entries)+len(with.ops) == 0 {
			_, err = d.state.Apply(ctx, DeskPartition(channel), []store.Op{s.op()})
		} else {
			err = d.rec.Commit(ctx, DeskPartition(channel), with.entries, append(with.ops, s.op())...)
		}
		if !fault.Is(err, fault.Conflict) {
			return s, err
		}
	}
	return deskState{}, errBusy
}
