package alert

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cmkguard/internal/fault"
	"cmkguard/internal/journal"
	"cmkguard/internal/store"
)

const (
	// mostLots bounds what one call makes of what waits.
	mostLots   = 100
	mostTidied = 90 // rows that are deleted in one batch
)

// gather makes the digests whose time has come in a partition of what is told
// together. It returns how many members wait on, and until when.
func (d *Dispatcher) gather(ctx context.Context, partition string) (waiting int, next time.Time, err error) {
	var problems []error
	for n := range mostLots {
		g, err := readGathering(ctx, d.state, partition)
		if err != nil {
			return 0, next, errors.Join(append(problems, err)...)
		}
		if n == 0 {
			problems = append(problems, g.damaged...)
		}
		l, ok, left, at := g.due(d.now())
		waiting, next = left, at
		if !ok {
			return waiting, next, errors.Join(append(problems, d.tidyGathering(ctx, partition, g))...)
		}
		switch err := d.take(ctx, partition, l); {
		case fault.Is(err, fault.Conflict): // another one takes them, or one was withdrawn
			return waiting, d.now().Add(time.Second), errors.Join(problems...)
		case err != nil:
			return waiting, d.now().Add(firstDelay), errors.Join(append(problems, err)...)
		}
	}
	return waiting, next, errors.Join(problems...)
}

// take writes the digest of a lot and takes its members, in one batch.
func (d *Dispatcher) take(ctx context.Context, partition string, l lot) error {
	at := d.now().UTC()
	if !at.After(l.state.Last) { // the second of one moment
		at = l.state.Last.Add(time.Millisecond)
	}
	l.state.Last, l.state.As = at, l.stream
	var ops []store.Op
	var entries []journal.Entry
	if l.alone {
		l.members[0].State = memberAlone
	} else {
		n := l.notification(at)
		n.NextAt = d.now().UTC()
		ops = Rows([]Notification{n})
		for i := range l.members {
			l.members[i].State, l.members[i].Into = memberTaken, n.ID
		}
		l.state.Count, l.state.Open = l.state.Count+l.problems(), l.open
		entries = append(entries, journal.Entry{Kind: journal.KindNote, Subject: n.Alert.Subject, Ref: n.Alert.ID, Text: Clean(
			fmt.Sprintf("to be told %s together, as %s: %s", n.Channel, n.Alert.ID, n.Alert.Title), 1000)})
	}
	for _, m := range l.members {
		ops = append(ops, m.op())
	}
	return d.rec.Commit(ctx, partition, entries, append(ops, l.state.op())...)
}

// notification is the delivery of the lot's digest.
func (l lot) notification(at time.Time) Notification {
	why := fmt.Sprintf("stands for %s of %s", several(len(l.members), "alert"), l.stream.name())
	n := Notifications(l.digest(at), []Target{{Channel: l.stream.Channel, Why: why}}, at)[0]
	n.Stands, n.InStorm = max(len(l.members), 1), l.stream.Storm != nil
	return n
}

// name is the stream as half a sentence.
func (s Stream) name() string {
	if s.Storm != nil {
		return "the storm since " + s.Storm.Since.UTC().Format(timeLayout)
	}
	return "the group " + s.Name
}

// tidyGathering deletes rows that are over, some at a time.
func (d *Dispatcher) tidyGathering(ctx context.Context, partition string, g gathering) error {
	members, streams := g.old(d.now())
	var ops []store.Op
	for _, m := range members {
		ops = append(ops, store.Op{Kind: store.Delete, Key: memberKey(m.Delivery), ETag: m.etag})
	}
	for _, s := range streams {
		ops = append(ops, store.Op{Kind: store.Delete, Key: streamKey(s.Key), ETag: s.etag})
	}
	if len(ops) == 0 {
		return nil
	}
	_, err := d.state.Apply(ctx, partition, ops[:min(len(ops), mostTidied)])
	if fault.Is(err, fault.Conflict) {
		return nil // the next call sees what changed
	}
	return err
}
