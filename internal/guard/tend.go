package guard

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/fault"
	"cmkguard/internal/journal"
	"cmkguard/internal/risk"
	"cmkguard/internal/store"
)

const (
	agendaPage  = 200
	sagaGrace   = 2 * time.Minute // a step this late lost its message
	orphanGrace = time.Minute
)

// Tend delivers what is in the outboxes, folds pending entries into the log and
// strikes off the agenda what has nothing left. One partition's trouble does
// not stop the others.
func (g *Guard) Tend(ctx context.Context) error {
	marks, err := g.Rec.Open(ctx, agendaPage)
	if err != nil {
		return err
	}
	var problems []error
	for _, m := range marks {
		if _, _, err := g.Alerts.Dispatch(ctx, m.Partition); err != nil {
			problems = append(problems, err)
		}
	}
	if _, err := g.Seal.Fold(ctx); err != nil {
		problems = append(problems, err)
	}
	return errors.Join(append(problems, g.strike(ctx))...)
}

// strike closes the marks of partitions that have neither entries, unsent
// alerts nor open sagas. The marks are read before the rows: a commit in
// between changes the mark, and closing it then fails, as it should.
func (g *Guard) strike(ctx context.Context) error {
	marks, err := g.Rec.Open(ctx, agendaPage)
	if err != nil {
		return err
	}
	for _, m := range marks {
		left, err := g.left(ctx, m.Partition)
		if err != nil {
			return err
		}
		if left {
			continue
		}
		if err := g.Rec.Close(ctx, m); err != nil && !fault.Is(err, fault.Conflict) {
			return err
		}
	}
	return nil
}

func (g *Guard) left(ctx context.Context, partition string) (bool, error) {
	rows, err := g.State.Scan(ctx, partition, "entry~", "entry~~", 1)
	if err != nil || len(rows) > 0 {
		return true, err
	}
	rows, err = g.State.Scan(ctx, partition, "outbox~", "outbox~~", 1000)
	if err != nil {
		return true, err
	}
	for _, row := range rows {
		var n alert.Notification
		if json.Unmarshal(row.Value, &n) != nil || n.State == alert.Pending {
			return true, nil
		}
	}
	sagas, err := g.openSagas(ctx, partition)
	return len(sagas) > 0, err
}

func (g *Guard) openSagas(ctx context.Context, partition string) ([]saga, error) {
	rows, err := g.State.Scan(ctx, partition, "saga~", "saga~~", 1000)
	if err != nil {
		return nil, err
	}
	var out []saga
	for _, row := range rows {
		var s saga
		if err := json.Unmarshal(row.Value, &s); err != nil {
			return nil, fault.New(fault.Invalid, "guard.openSagas", "%s: %w", row.Key, err)
		}
		if !s.Phase.over() {
			out = append(out, s)
		}
	}
	return out, nil
}

// Sweep picks up what was left behind: signals stored but never queued, saga
// steps whose message was lost, alerts due, entries unsealed.
func (g *Guard) Sweep(ctx context.Context) error {
	return errors.Join(g.requeueSignals(ctx), g.requeueSagas(ctx), g.Tend(ctx))
}

func (g *Guard) requeueSignals(ctx context.Context) error {
	marks, err := g.State.Scan(ctx, orphanShards, "", "", 1000)
	if err != nil {
		return err
	}
	for _, m := range marks {
		row, ok, err := g.State.Get(ctx, m.Key, signalRow)
		if err != nil {
			return err
		}
		var st storedSignal
		if ok && json.Unmarshal(row.Value, &st) == nil && g.Now().Sub(st.Received) < orphanGrace {
			continue // its intake may be under way
		}
		if ok {
			if err := g.send(ctx, message{Kind: kindSignal, Partition: m.Key}, 0); err != nil {
				return err
			}
		}
		if err := g.dropMark(ctx, orphanShards, m.Key); err != nil {
			return err
		}
	}
	return nil
}

func (g *Guard) requeueSagas(ctx context.Context) error {
	marks, err := g.Rec.Open(ctx, agendaPage)
	if err != nil {
		return err
	}
	for _, m := range marks {
		sagas, err := g.openSagas(ctx, m.Partition)
		if err != nil {
			return err
		}
		for _, s := range sagas {
			if g.Now().Sub(s.NextAt) < sagaGrace {
				continue
			}
			// A message too many finds its turn taken and does nothing.
			if err := g.send(ctx, message{Kind: kindSaga, Partition: m.Partition, ID: s.Plan.ID, Seq: s.Seq}, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// Announce records and alerts something about the guard itself: that it
// observes only, and why.
func (g *Guard) Announce(ctx context.Context, title, what string, next []string) error {
	a := alert.Alert{
		ID: g.NewID(), DedupKey: "cmkguard/self/" + store.Name("note", title+what), GroupKey: "self", Lifecycle: alert.Trigger,
		Severity: risk.High, Title: title, What: what, Subject: "scope:cmkguard", Since: g.Now().UTC(), Ref: "start", Next: next,
	}
	entry := journal.Entry{Kind: journal.KindNote, Subject: a.Subject, Ref: a.Ref, Text: clip(title+": "+what, 1000)}
	return g.Rec.Commit(ctx, "self", []journal.Entry{entry}, g.outbox(a)...)
}
