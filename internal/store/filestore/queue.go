package filestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// Put implements store.Queue.
func (s *Store) Put(ctx context.Context, queue string, body []byte, delay time.Duration) error {
	const op = "filestore.Put"
	if err := store.CheckMessage(op, queue, body, delay); err != nil {
		return err
	}
	if body == nil {
		body = []byte{} // nil would be NULL
	}
	now := s.now()
	return s.write(ctx, op, func(ctx context.Context, st statements) error {
		_, err := st.put.ExecContext(ctx, queue, body, now.UnixNano(), now.Add(delay).UnixNano())
		return err
	})
}

// Take implements store.Queue.
func (s *Store) Take(ctx context.Context, queue string, limit int, hidden time.Duration) ([]store.Message, error) {
	const op = "filestore.Take"
	if err := store.CheckTake(op, queue, limit, hidden); err != nil {
		return nil, err
	}
	now := s.now()
	var any int
	err := s.db.QueryRowContext(ctx, `SELECT 1 FROM queue WHERE queue=? AND visible<=? LIMIT 1`, queue, now.UnixNano()).Scan(&any)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil // an empty poll takes no write lock
	}
	if err != nil {
		return nil, s.classify(op, err)
	}
	var out []store.Message
	err = s.write(ctx, op, func(ctx context.Context, st statements) error {
		rows, err := st.take.QueryContext(ctx, now.Add(hidden).UnixNano(), queue, now.UnixNano(), min(limit, store.MaxTake))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			m, err := scanMessage(rows)
			if err != nil {
				return err
			}
			out = append(out, m)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err // what was taken comes back by itself
	}
	return out, nil
}

func scanMessage(rows *sql.Rows) (store.Message, error) {
	var id, inserted int64
	var m store.Message
	if err := rows.Scan(&id, &m.Body, &inserted, &m.Dequeued); err != nil {
		return m, err
	}
	m.ID, m.Inserted = strconv.FormatInt(id, 10), time.Unix(0, inserted).UTC()
	m.Receipt = fmt.Sprintf("%d-%d", id, m.Dequeued) // stale once taken again
	return m, nil
}

// Done implements store.Queue.
func (s *Store) Done(ctx context.Context, queue string, m store.Message) error {
	const op = "filestore.Done"
	if err := store.CheckKey(op, queue); err != nil {
		return err
	}
	id, dequeued, ok := strings.Cut(m.Receipt, "-")
	if !ok || id != m.ID {
		return fault.New(fault.Conflict, op, "receipt %q is not one of message %q", m.Receipt, m.ID)
	}
	return s.write(ctx, op, func(ctx context.Context, st statements) error {
		res, err := st.done.ExecContext(ctx, queue, id, dequeued)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err == nil && n != 1 {
			err = fault.New(fault.Conflict, op, "message %s was taken again or is done", m.ID)
		}
		return err
	})
}
