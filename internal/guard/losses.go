package guard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"cmkguard/internal/fault"
	"cmkguard/internal/journal"
	"cmkguard/internal/loss"
	"cmkguard/internal/store"
)

const (
	lossesPartition = "losses" // one row per closed day
	lossesRow       = "losses" // in selfPartition: which day is next
	// statementsKept is how long a statement's row stays; the journal keeps it for ever.
	statementsKept = 400 * 24 * time.Hour
)

// accounts is which day is closed next, and since when we watch.
type accounts struct {
	Schema int       `json:"schema"`
	Next   string    `json:"next"`
	Since  time.Time `json:"since"`
}

// closeDay states a day that is over, once everything of it that will come has come:
// one day per sweep. Incidents first, then the statement and its entry in one batch:
// a crash in between judges the same day again, to the same end.
func (g *Guard) closeDay(ctx context.Context) error {
	if !g.Watch.Losses {
		return nil
	}
	a, etag, err := g.accounts(ctx)
	if err != nil || etag == "" {
		return err
	}
	day, err := time.Parse(time.DateOnly, a.Next)
	if err != nil {
		return fault.New(fault.Invalid, "guard.closeDay", "row %s names %q as the next day: %w", lossesRow, clip(a.Next, 20), err)
	}
	if loss.Open(a.Next, g.Now()) {
		return nil
	}
	d, err := g.day(ctx, a.Next, a.Since)
	if err != nil {
		return err
	}
	d.Closed = g.Now().UTC()
	s := loss.State(d)
	before, _, err := g.stated(ctx, day.AddDate(0, 0, -1).Format(time.DateOnly))
	if err != nil {
		return err
	}
	if _, err := g.applySelf(ctx, loss.Verdicts(s, before, d.Vaults)...); err != nil {
		return err
	}
	if err := g.putStatement(ctx, s); err != nil {
		return err
	}
	a.Next = day.AddDate(0, 0, 1).Format(time.DateOnly)
	_, err = g.State.Apply(ctx, selfPartition, []store.Op{putOp(lossesRow, encode(a), etag)})
	if err != nil && !fault.Is(err, fault.Conflict) {
		return asRecordError(err)
	}
	return g.forgetDay(ctx, day)
}

// accounts reads which day is next; the first call begins today, and has no etag.
func (g *Guard) accounts(ctx context.Context) (a accounts, etag string, err error) {
	row, ok, err := g.get(ctx, selfPartition, lossesRow)
	if err != nil {
		return a, "", err
	}
	if !ok {
		now := g.Now().UTC()
		a = accounts{Schema: 1, Next: now.Format(time.DateOnly), Since: now}
		return a, "", g.insert(ctx, selfPartition, lossesRow, encode(a))
	}
	if err := json.Unmarshal(row.Value, &a); err != nil {
		return a, "", fault.New(fault.Invalid, "guard.accounts", "row %s: %w", lossesRow, err)
	}
	return a, row.ETag, nil
}

// putStatement records the day: the statement and its entry in one batch.
func (g *Guard) putStatement(ctx context.Context, s loss.Statement) error {
	text := fmt.Sprintf("losses of %s: %d gaps", s.Date, s.Gaps())
	for _, a := range s.Accounts {
		text += fmt.Sprintf("; %s: expected %d, handled %d, late %d, lost %d", a.Source, a.Expected, a.Handled, a.Late, len(a.Lost))
		if a.Unknown != "" {
			text += " (" + a.Unknown + ")"
		}
	}
	raw := encode(s)
	if len(raw) > maxPoison { // a day of nothing but gaps: the incidents name the first
		s.Accounts, s.Over, s.Found = nil, true, nil
		raw = encode(s)
	}
	entry := journal.Entry{Kind: journal.KindStatement, Subject: "scope:cmkguard", Ref: "losses " + s.Date, Text: clip(text, 1000), Body: raw}
	err := g.commit(ctx, lossesPartition, []journal.Entry{entry}, store.Op{Kind: store.Insert, Key: "day~" + s.Date, Value: raw})
	if fault.Is(err, fault.Conflict) {
		return nil // stated by another sweep
	}
	return err
}

// forgetDay deletes what was noted of the day before: the next day is matched with
// this one. And the statement of long ago.
func (g *Guard) forgetDay(ctx context.Context, day time.Time) error {
	partition := lossPartition(day.AddDate(0, 0, -1).Format(time.DateOnly))
	for {
		rows, err := g.State.Scan(ctx, partition, "", "", store.MaxBatchOps)
		if err != nil || len(rows) == 0 {
			return errors.Join(asRecordError(err), g.dropMark(ctx, lossesPartition, "day~"+day.Add(-statementsKept).Format(time.DateOnly)))
		}
		var ops []store.Op
		for _, row := range rows {
			ops = append(ops, store.Op{Kind: store.Delete, Key: row.Key, ETag: row.ETag})
		}
		if _, err := g.State.Apply(ctx, partition, ops); err != nil && !fault.Is(err, fault.Conflict) {
			return asRecordError(err)
		}
	}
}

// stated returns the statement of a closed day.
func (g *Guard) stated(ctx context.Context, date string) (s loss.Statement, ok bool, err error) {
	row, ok, err := g.get(ctx, lossesPartition, "day~"+date)
	if err != nil || !ok {
		return s, false, err
	}
	if err := json.Unmarshal(row.Value, &s); err != nil {
		return s, false, fault.New(fault.Invalid, "guard.stated", "statement of %s: %w", date, err)
	}
	return s, true, nil
}

// Losses returns the account of a day (2006-01-02, UTC): as it was closed, or as far
// as it is known. It writes nothing. ok is false where nothing was watched then.
func (g *Guard) Losses(ctx context.Context, date string) (s loss.Statement, ok bool, err error) {
	if s, ok, err = g.stated(ctx, date); err != nil || ok {
		return s, ok, err
	}
	row, found, err := g.get(ctx, selfPartition, lossesRow)
	var a accounts
	if err != nil || !found || json.Unmarshal(row.Value, &a) != nil || date < a.Next || date > g.Now().UTC().Format(time.DateOnly) {
		return s, false, err
	}
	d, err := g.day(ctx, date, a.Since)
	return loss.State(d), err == nil, err
}

// day reads what is known of a day.
func (g *Guard) day(ctx context.Context, date string, since time.Time) (loss.Day, error) {
	d := loss.Day{Date: date, From: since}
	start, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return d, fault.New(fault.Invalid, "guard.Losses", "%q is no day: want 2006-01-02", clip(date, 20))
	}
	for beside := -1; beside <= 1; beside++ {
		if err := g.factsOf(ctx, &d, start.AddDate(0, 0, beside)); err != nil {
			return d, err
		}
	}
	err = errors.Join(
		g.each(ctx, lossPartition(date), "heard~", func(row store.Row) (bool, error) {
			var v string
			if json.Unmarshal(row.Value, &v) == nil {
				d.Heard = append(d.Heard, v)
			}
			return true, nil
		}),
		g.each(ctx, lossPartition(date), "found~", func(row store.Row) (bool, error) {
			var f loss.Found
			if json.Unmarshal(row.Value, &f) != nil {
				return true, nil //nolint:nilerr // damaged: the incident that it is about stands by itself
			}
			err := g.explain(ctx, &f)
			d.Found = append(d.Found, f)
			return true, err
		}),
		g.members(ctx, func(m member) error {
			if v := m.Vault.Key(); v != "" && !slices.Contains(d.Vaults, v) {
				d.Vaults = append(d.Vaults, v)
			}
			return nil
		}))
	slices.Sort(d.Vaults)
	return d, err
}

// factsOf adds the facts that were noted on a day, and whether their signals were
// worked on.
func (g *Guard) factsOf(ctx context.Context, d *loss.Day, day time.Time) error {
	partition, n := lossPartition(day.Format(time.DateOnly)), 0
	own := day.Format(time.DateOnly) == d.Date
	err := g.each(ctx, partition, "fact~", func(row store.Row) (bool, error) {
		var f loss.Fact
		if n++; n > loss.Most {
			d.Over = d.Over || own
			return false, nil
		}
		if json.Unmarshal(row.Value, &f) != nil {
			return true, nil //nolint:nilerr // damaged: its counterpart is then named as a gap
		}
		var err error
		if f.Done = true; d.Concerns(f) {
			f.Done, err = g.signalDone(ctx, f.Signal)
		}
		d.Facts = append(d.Facts, f)
		return true, err
	})
	if err != nil || !own {
		return err
	}
	_, over, err := g.get(ctx, partition, "over")
	d.Over = d.Over || over
	return err
}

// signalDone reports whether a signal that was taken in was worked on. Of one that is not
// there nobody can say so: days are closed long before signals are forgotten.
func (g *Guard) signalDone(ctx context.Context, partition string) (bool, error) {
	row, ok, err := g.get(ctx, partition, signalRow)
	var st storedSignal
	return ok && json.Unmarshal(row.Value, &st) == nil && st.State == signalDone, err
}

// explain looks for a signal that told of a finding after all.
func (g *Guard) explain(ctx context.Context, f *loss.Found) error {
	back := max(2*g.Reconcile, 2*time.Hour)
	for _, partition := range f.About {
		row, ok, err := g.get(ctx, partition, toldRow)
		if err != nil {
			return err
		}
		if ok {
			f.Explain(decodeTold(row), back)
		}
	}
	return nil
}
