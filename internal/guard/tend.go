package guard

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/fault"
	"cmkguard/internal/journal"
	"cmkguard/internal/store"
)

const (
	page = 500
	// SweepEvery is how often the sweep's timer fires: how long an alert that
	// could not be delivered, or work whose message was lost, waits at most
	// for somebody to look.
	SweepEvery = time.Minute
)

// tidy delivers the outboxes of the partitions that a message touched, and folds
// pending entries into the log. The work itself is done and recorded, so that
// trouble here never repeats it: the partitions are on the agenda, and the sweep
// comes for them. An alert that is due before that has a message of its own.
func (g *Guard) tidy(ctx context.Context, partitions []string) error {
	for _, p := range partitions {
		_ = g.followUp(ctx, p) // trouble is the sweep's to say: it looks every minute
		left, next, err := g.Alerts.Dispatch(ctx, p)
		if err != nil || left == 0 || next.Sub(g.Now()) > SweepEvery {
			continue
		}
		if err := g.send(ctx, message{Kind: kindTend, Partition: p}, next.Sub(g.Now())); err != nil {
			return err
		}
	}
	_, _ = g.Seal.Fold(ctx) // what ails the log is the sweep's to say: it folds, and fails, every minute
	return nil
}

// Tend delivers what is in the outboxes of the whole agenda, folds pending
// entries into the log and strikes off what has nothing left. One partition's
// trouble does not stop the others.
func (g *Guard) Tend(ctx context.Context) error {
	var problems []error
	note := func(err error) { problems = append(problems, err) }
	note(g.Rec.Each(ctx, func(m journal.Mark) error {
		if err := g.followUp(ctx, m.Partition); err != nil {
			note(err)
		}
		if _, _, err := g.Alerts.Dispatch(ctx, m.Partition); err != nil {
			note(err)
		}
		return ctx.Err()
	}))
	note(g.tellTogether(ctx))
	if _, err := g.Seal.Fold(ctx); err != nil {
		note(err)
	}
	note(g.Rec.Each(ctx, func(m journal.Mark) error { return g.Rec.Strike(ctx, m, g.left) }))
	return errors.Join(problems...)
}

// tellTogether makes and sends what is told together, which may have come to wait in
// this very call; what is due before the next sweep has a message of its own.
func (g *Guard) tellTogether(ctx context.Context) error {
	var problems []error
	err := g.Rec.Each(ctx, func(m journal.Mark) error {
		if !alert.Gathers(m.Partition) {
			return nil
		}
		left, next, err := g.Alerts.Dispatch(ctx, m.Partition)
		if wait := next.Sub(g.Now()); err == nil && left > 0 && wait > 0 && wait <= SweepEvery {
			err = g.send(ctx, message{Kind: kindTend, Partition: m.Partition}, wait)
		}
		problems = append(problems, err)
		return ctx.Err()
	})
	return errors.Join(append(problems, err)...)
}

// left reports whether a partition has entries to be folded, people to be reminded,
// unsent alerts or open sagas.
func (g *Guard) left(ctx context.Context, partition string) (bool, error) {
	if alert.Gathers(partition) {
		if waits, err := alert.Waiting(ctx, g.State, partition); err != nil || waits {
			return true, err
		}
	}
	for _, prefix := range [...]string{"entry~", followPrefix} {
		rows, err := g.State.Scan(ctx, partition, prefix, upper(prefix), 1)
		if err != nil || len(rows) > 0 {
			return true, err
		}
	}
	found := false
	err := g.each(ctx, partition, "outbox~", func(row store.Row) (bool, error) {
		found = pending(row)
		return !found, nil
	})
	if err != nil || found {
		return true, err
	}
	sagas, err := g.openSagas(ctx, partition)
	return len(sagas) > 0, err
}

// pending reports whether an outbox row is still to be sent; one that cannot be
// read keeps its partition on the agenda, where somebody sees it.
func pending(row store.Row) bool {
	var n alert.Notification
	return json.Unmarshal(row.Value, &n) != nil || n.State == alert.Pending
}

// each calls fn for the partition's rows with the prefix until it says stop.
func (g *Guard) each(ctx context.Context, partition, prefix string, fn func(store.Row) (more bool, err error)) error {
	return g.eachOf(ctx, partition, prefix, page, fn)
}

// eachOf reads so many rows at once.
func (g *Guard) eachOf(ctx context.Context, partition, prefix string, size int, fn func(store.Row) (more bool, err error)) error {
	for from := prefix; ; {
		rows, err := g.State.Scan(ctx, partition, from, upper(prefix), size)
		if err != nil {
			return asRecordError(err)
		}
		for _, row := range rows {
			if more, err := fn(row); err != nil || !more {
				return err
			}
		}
		if len(rows) < size {
			return nil
		}
		from = rows[len(rows)-1].Key + "-" // the least key that comes after it
	}
}

// upper bounds a scan of a prefix that ends in "~": row names go on with a
// letter or a digit.
func upper(prefix string) string {
	if prefix == "" {
		return ""
	}
	return prefix + "~"
}

func (g *Guard) openSagas(ctx context.Context, partition string) ([]saga, error) {
	if IsDrill(partition) {
		return nil, nil // what a drill that was cut off left: nobody carries it out
	}
	var out []saga
	err := g.each(ctx, partition, "saga~", func(row store.Row) (bool, error) {
		var s saga
		if err := json.Unmarshal(row.Value, &s); err != nil {
			return false, fault.New(fault.Invalid, "guard.openSagas", "%s: %w", row.Key, err)
		}
		if !s.Phase.over() {
			out = append(out, s)
		}
		return true, nil
	})
	return out, err
}
