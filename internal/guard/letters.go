package guard

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

const (
	// lettersSource is what intake calls them.
	lettersSource    = "deadletter"
	lettersPartition = "deadletter"
	// lettersPerSweep and lettersTime bound what one sweep takes in: it has other
	// things to do, and the next is a minute away.
	lettersPerSweep = 100
	lettersTime     = time.Minute
)

// LetterBox is where Event Grid leaves the events that it gave up: a container of
// the storage account (azstore.Letters), or a folder (filestore.Letters).
type LetterBox interface {
	// Each calls fn for every letter until it says stop. A box that is not there
	// is empty.
	Each(ctx context.Context, fn func(store.Letter) (more bool, err error)) error
	// Get returns a letter's bytes, at most store.MaxLetterBytes, and the letter as
	// it was then; Conflict if there is none.
	Get(ctx context.Context, name string) ([]byte, store.Letter, error)
	// Delete deletes a letter as it was read: Conflict if it was written anew since.
	Delete(ctx context.Context, l store.Letter) error
}

// Letters are the events that Event Grid gave up. They implement DeadLetters.
type Letters struct {
	Box LetterBox // nil: nobody looks

	met known // letters that this process has dealt with
}

// Count implements DeadLetters: it counts what came since the last sweep, and what
// no sweep could take in. An error means that nobody knows.
func (l *Letters) Count(ctx context.Context, most int) (n int, err error) {
	if l.Box == nil || most < 1 {
		return 0, nil
	}
	err = l.Box.Each(ctx, func(store.Letter) (bool, error) {
		n++
		return n < most, nil
	})
	return n, err
}

// DeadLetter is one letter and what its events come to.
type DeadLetter struct {
	store.Letter
	Events  []event.GivenUp `json:"events"`            // what Event Grid says of them
	Signals int             `json:"signals"`           // events that hint at something
	Ignored int             `json:"ignored,omitempty"` // events that are nobody's business here
	// Why it is not taken in as a whole; "": it can be.
	Why string `json:"why,omitempty"`

	signals []event.Signal
	late    int // of the signals: that had not come before
}

// readLetter says what a letter comes to, and does nothing.
func (g *Guard) readLetter(raw []byte, l store.Letter) DeadLetter {
	d := DeadLetter{Letter: l, Events: event.ReadGivenUp(raw)}
	parsed, err := event.ParseGrid(raw, g.Cloud)
	if err != nil {
		d.Why = err.Error()
		return d
	}
	d.signals, d.Signals, d.Ignored = parsed.Signals, len(parsed.Signals), len(parsed.Ignored)
	var problems []string
	for _, r := range parsed.Rejected {
		problems = append(problems, "event "+r.ID+" ("+r.Type+"): "+strings.Join(r.Problems, ", "))
	}
	for _, i := range parsed.Ignored {
		if !event.Ours(i.Type) {
			problems = append(problems, "event "+i.ID+" ("+i.Type+") is of no source of ours: its subscription leaves its dead letters in the wrong container")
		}
	}
	d.Why = firstOf(problems)
	return d
}

func firstOf(problems []string) string {
	switch len(problems) {
	case 0:
		return ""
	case 1:
		return problems[0]
	}
	return fmt.Sprintf("%s; and %d more", problems[0], len(problems)-1)
}

// takeLetter takes in what can be read of a letter. Events that came before, by
// whichever way, are recognised.
func (g *Guard) takeLetter(ctx context.Context, name string) (DeadLetter, error) {
	raw, l, err := g.Letters.Box.Get(ctx, name)
	if err != nil {
		return DeadLetter{}, err
	}
	d := g.readLetter(raw, l)
	for _, s := range d.signals {
		_, seen, err := g.get(ctx, store.Name("signal", s.DedupKey()), signalRow)
		if err != nil {
			return d, err
		}
		if !seen {
			d.late++
		}
		err = g.takeSignal(ctx, s)
		if err == nil {
			err = g.noteFact(ctx, s, store.Name("signal", s.DedupKey()))
		}
		if err != nil {
			return d, asRecordError(err)
		}
	}
	return d, nil
}

// takeLetters takes in what Event Grid gave up: events that nobody handled. A letter
// is recorded, and only then deleted. One that cannot be read stays, and is told
// once.
func (g *Guard) takeLetters(ctx context.Context) error {
	if g.Letters.Box == nil {
		return nil
	}
	var names []string
	err := g.Letters.Box.Each(ctx, func(l store.Letter) (bool, error) {
		if g.Letters.met.first(l.Name + "\x00" + l.ETag) {
			names = append(names, l.Name)
		}
		return len(names) < lettersPerSweep, nil
	})
	if err != nil {
		return err
	}
	taken, err := g.openLetters(ctx, names)
	if err = errors.Join(err, g.settleLetters(ctx, taken)); err != nil {
		g.Letters.met.clear() // everything is looked at again
	}
	return err
}

// openLetters takes in the letters, for a while, and returns those that were taken
// in as a whole. What it does not get to is met again.
func (g *Guard) openLetters(ctx context.Context, names []string) (taken []DeadLetter, err error) {
	short, cancel := context.WithTimeout(ctx, lettersTime)
	defer cancel()
	for _, name := range names {
		d, err := g.takeLetter(short, name)
		switch {
		case err != nil && short.Err() != nil && ctx.Err() == nil:
			g.Letters.met.clear()
			return taken, nil
		case fault.Is(err, fault.Conflict): // taken away since it was listed
		case err != nil:
			return taken, err
		case d.Why != "":
			if err := g.leaveLetter(ctx, d); err != nil {
				return taken, err
			}
		default:
			taken = append(taken, d)
		}
	}
	return taken, nil
}
