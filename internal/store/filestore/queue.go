package filestore

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"time"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// Put implements store.Queue.
func (s *Store) Put(ctx context.Context, queue string, body []byte, delay time.Duration) error {
	const op = "filestore.Put"
	if err := store.CheckKey(op, queue); err != nil {
		return err
	}
	if n := base64.StdEncoding.EncodedLen(len(body)); n > store.MaxMessageBytes {
		return fault.New(fault.Invalid, op, "message of %d bytes in base64; want at most %d", n, store.MaxMessageBytes)
	}
	if delay < 0 || delay > store.MaxDelay {
		return fault.New(fault.Invalid, op, "delay %s; want 0 to %s", delay, store.MaxDelay)
	}
	now := s.now()
	return s.tx(ctx, op, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO queue (queue, body, inserted, visible) VALUES (?,?,?,?)`,
			queue, body, now.UnixNano(), now.Add(delay).UnixNano())
		return err
	})
}

// Take implements store.Queue.
func (s *Store) Take(ctx context.Context, queue string, limit int, hidden time.Duration) ([]store.Message, error) {
	const op = "filestore.Take"
	if err := store.CheckKey(op, queue); err != nil {
		return nil, err
	}
	now := s.now()
	var any int
	err := s.db.QueryRowContext(ctx, `SELECT 1 FROM queue WHERE queue=? AND visible<=? LIMIT 1`, queue, now.UnixNano()).Scan(&any)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil // an empty poll takes no write lock
	}
	if err != nil {
		return nil, classify(op, err, false)
	}
	var out []store.Message
	err = s.tx(ctx, op, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `UPDATE queue SET visible=?, dequeued=dequeued+1 WHERE id IN
			(SELECT id FROM queue WHERE queue=? AND visible<=? ORDER BY visible, id LIMIT ?) RETURNING id, body, inserted, dequeued`,
			now.Add(hidden).UnixNano(), queue, now.UnixNano(), limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id, inserted int64
			var m store.Message
			if err := rows.Scan(&id, &m.Body, &inserted, &m.Dequeued); err != nil {
				return err
			}
			m.ID, m.Inserted = strconv.FormatInt(id, 10), time.Unix(0, inserted).UTC()
			m.Receipt = fmt.Sprintf("%d-%d", id, m.Dequeued) // stale once taken again
			out = append(out, m)
		}
		return rows.Err()
	})
	return out, err
}

// Done implements store.Queue.
func (s *Store) Done(ctx context.Context, queue string, m store.Message) error {
	const op = "filestore.Done"
	var id, dequeued int64
	if _, err := fmt.Sscanf(m.Receipt, "%d-%d", &id, &dequeued); err != nil {
		return fault.New(fault.Invalid, op, "receipt %q", m.Receipt)
	}
	return s.tx(ctx, op, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `DELETE FROM queue WHERE queue=? AND id=? AND dequeued=?`, queue, id, dequeued)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 1 {
			return err
		}
		return fault.New(fault.Conflict, op, "message %s was taken again or is done", m.ID)
	})
}
