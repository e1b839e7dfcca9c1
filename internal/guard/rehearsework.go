package guard

import (
	"context"
	"encoding/json"
	"fmt"

	"cmkguard/internal/alert"
	"cmkguard/internal/azureid"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// IsWork reports whether the bytes are a message of the work queue.
func IsWork(raw []byte) bool {
	_, err := decodeMessage(raw)
	return err == nil
}

// Message rehearses a message of the work queue: a signal or a look as far as its
// last calls; of a step of a saga only that it would go on, because what it does next
// depends on what its last step came to.
func (r *Rehearsal) Message(ctx context.Context, raw []byte) ([]Act, error) {
	m, err := decodeMessage(raw)
	if err != nil {
		return nil, err
	}
	switch m.Kind {
	case kindSignal:
		s, ok, err := r.stored(ctx, m)
		if err != nil {
			return nil, err
		}
		if !ok {
			return []Act{{Note: "the signal that it names is not stored: nothing is to be done"}}, nil
		}
		return r.Signal(ctx, s)
	case kindLook:
		s, ok := m.signal(r.g.Cloud)
		if !ok {
			return nil, fault.New(fault.Invalid, "guard.rehearse", "the message names no subject: want key, vault or about")
		}
		s.ID = ""
		if s.Kind == "" {
			s.Kind = event.Recheck
		}
		return r.Signal(ctx, s)
	case kindSaga:
		return r.step(ctx, m)
	case kindTend:
		return r.tend(ctx, m)
	}
	return []Act{{Note: "a message of the guard to itself (" + m.Kind + ")"}}, nil
}

func (r *Rehearsal) step(ctx context.Context, m message) ([]Act, error) {
	row, ok, err := r.g.get(ctx, m.Partition, sagaRow(m.ID))
	if err != nil {
		return nil, err
	}
	var s saga
	if ok {
		if err := json.Unmarshal(row.Value, &s); err != nil {
			return nil, fault.New(fault.Invalid, "guard.rehearse", "saga %s: %w", m.ID, err)
		}
	}
	switch {
	case !ok:
		return []Act{{Note: "the plan that it names is not being carried out: nothing is to be done"}}, nil
	case s.Seq != m.Seq || s.Phase.over():
		return []Act{{Note: fmt.Sprintf("step %d of %s was taken before: nothing is to be done; it is %s", m.Seq, s.doing(), s.Phase)}}, nil
	}
	return []Act{{Goes: true, Note: fmt.Sprintf("the next step of %s would be taken, in phase %s", s.doing(), s.Phase)}}, nil
}

func (r *Rehearsal) tend(ctx context.Context, m message) ([]Act, error) {
	n := 0
	err := r.g.each(ctx, m.Partition, alert.OutboxRow(""), func(row store.Row) (bool, error) {
		if pending(row) {
			n++
		}
		return true, nil
	})
	return []Act{{Goes: n > 0, Note: fmt.Sprintf("%d deliveries of alerts are due, or will be", n)}}, err
}

// Everything rehearses a look at every key in use, as the sweep has it done. why is
// not empty if not every cluster could be listed.
func (r *Rehearsal) Everything(ctx context.Context) (out []Act, why string, err error) {
	keys, why := r.g.keysInUse(ctx)
	for _, k := range keys {
		acts, err := r.Signal(ctx, lookAt(event.Subject{Kind: event.SubjectKey, ID: k.ID()}, k))
		if err != nil {
			return nil, why, err
		}
		out = append(out, acts...)
	}
	return out, why, nil
}

// Look rehearses a look at a vault or a cluster that no event asked for.
func (r *Rehearsal) Look(ctx context.Context, s event.Subject) ([]Act, error) {
	return r.Signal(ctx, lookAt(s, azureid.Key{}))
}
