package guard

import (
	"context"
	"encoding/json"

	"cmkguard/internal/event"
	"cmkguard/internal/fault"
)

// Retake is the guard's intakes for what was kept once. What it cannot read it
// hands back, so that nothing is taken for handled because the same bytes are kept
// already. Signals are recognised by their source and id as ever.
type Retake struct {
	g    *Guard
	left []leftover
}

type leftover struct {
	source, reason string
	raw            []byte
}

// Take is Guard.Take.
func (r *Retake) Take(ctx context.Context, source string, raw json.RawMessage) error {
	return r.g.take(ctx, source, raw, r)
}

// TakeLogs is Guard.TakeLogs.
func (r *Retake) TakeLogs(ctx context.Context, source string, messages [][]byte) (Taken, error) {
	return r.g.takeLogs(ctx, source, messages, r)
}

// Work puts a message back on the work queue, once it can be read with all that it
// names: the running process works on it, with its own identities. It is sent as
// one more try, so that it is another one should it become poison again.
func (r *Retake) Work(ctx context.Context, raw []byte) error {
	m, err := decodeMessage(raw)
	if err == nil {
		err = r.g.sound(ctx, m)
	}
	switch {
	case fault.Is(err, fault.Invalid):
		return r.Poison(ctx, WorkQueue, err.Error(), raw)
	case err != nil:
		return err
	}
	m.Tries++
	return r.g.send(ctx, m, 0)
}

// Poison implements keeper.
func (r *Retake) Poison(_ context.Context, source, reason string, raw []byte) error {
	r.left = append(r.left, leftover{source, reason, raw})
	return nil
}

// tellUnrecorded implements keeper: whoever replays sees the error.
func (r *Retake) tellUnrecorded(context.Context, event.Signal, error) {}

// sound reports, as an Invalid fault, that what the message names cannot be read.
func (g *Guard) sound(ctx context.Context, m message) error {
	key, into := "", any(nil)
	switch m.Kind {
	case kindSignal:
		key, into = signalRow, &storedSignal{}
	case kindSaga:
		key, into = sagaRow(m.ID), &saga{}
	case kindLook:
		if _, ok := m.signal(g.Cloud); !ok {
			return fault.New(fault.Invalid, "guard.sound", "the message names no subject")
		}
		return nil
	default:
		return nil
	}
	row, ok, err := g.get(ctx, m.Partition, key)
	if err == nil && ok && json.Unmarshal(row.Value, into) != nil {
		err = fault.New(fault.Invalid, "guard.sound", "stored %s %s cannot be read", m.Kind, m.Partition)
	}
	return err
}
