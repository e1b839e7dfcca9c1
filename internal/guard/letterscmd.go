package guard

import (
	"context"
	"fmt"
	"strings"

	"cmkguard/internal/alert"
	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

func (g *Guard) box() (LetterBox, error) {
	if g.Letters.Box == nil {
		return nil, fault.New(fault.Invalid, "guard.box", "no place of dead letters is set up")
	}
	return g.Letters.Box, nil
}

// EachDeadLetter calls fn for every letter that lies in the box, read but not taken
// in.
func (g *Guard) EachDeadLetter(ctx context.Context, fn func(DeadLetter) error) error {
	box, err := g.box()
	if err != nil {
		return err
	}
	return box.Each(ctx, func(l store.Letter) (bool, error) {
		raw, now, err := box.Get(ctx, l.Name)
		if fault.Is(err, fault.Conflict) {
			return true, nil // taken away since it was listed
		}
		if err == nil {
			err = fn(g.readLetter(raw, now))
		}
		return true, err
	})
}

// FindDeadLetter returns a letter, read but not taken in, and its bytes.
func (g *Guard) FindDeadLetter(ctx context.Context, name string) (DeadLetter, []byte, error) {
	box, err := g.box()
	if err != nil {
		return DeadLetter{}, nil, err
	}
	raw, l, err := box.Get(ctx, name)
	if err != nil {
		return DeadLetter{}, nil, err
	}
	return g.readLetter(raw, l), raw, nil
}

// ReplayDeadLetter does with one letter what the sweep does, whether or not it was
// left before.
func (g *Guard) ReplayDeadLetter(ctx context.Context, name, by string) (Replayed, error) {
	out := Replayed{ID: name}
	if _, err := g.box(); err != nil {
		return out, err
	}
	d, err := g.takeLetter(ctx, name)
	if err != nil {
		return out, err
	}
	if d.Why != "" {
		out.Why = d.Why
		return out, nil
	}
	out.Taken = true
	_, err = g.settleLetter(ctx, d, " by "+alert.Clean(by, 100), nil)
	return out, err
}

// DropDeadLetter gives up a letter. The journal keeps who did, why, and what Event
// Grid says of its events.
func (g *Guard) DropDeadLetter(ctx context.Context, name, by, reason string) error {
	if strings.TrimSpace(reason) == "" {
		return fault.New(fault.Invalid, "guard.DropDeadLetter", "no reason is given: want a text, for the record")
	}
	d, _, err := g.FindDeadLetter(ctx, name)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("dead letter %s of %d bytes dropped by %s: %s", d.Name, d.Size, alert.Clean(by, 100), alert.Clean(reason, 500))
	if err := g.recordLetter(ctx, d, text, nil); err != nil {
		return err
	}
	return g.deleteLetter(ctx, d)
}
