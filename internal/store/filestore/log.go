package filestore

import (
	"context"
	"database/sql"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

const logSize = `SELECT COALESCE(MAX(at + LENGTH(data)), 0), COUNT(*) FROM log WHERE log=?`

// Append implements store.Log.
func (s *Store) Append(ctx context.Context, log string, at int64, data []byte) error {
	const op = "filestore.Append"
	if err := store.CheckKey(op, log); err != nil {
		return err
	}
	if len(data) == 0 || len(data) > store.MaxAppendBytes {
		return fault.New(fault.Invalid, op, "block of %d bytes; want 1 to %d", len(data), store.MaxAppendBytes)
	}
	return s.tx(ctx, op, func(tx *sql.Tx) error {
		var size int64
		var blocks int
		if err := tx.QueryRowContext(ctx, logSize, log).Scan(&size, &blocks); err != nil {
			return err
		}
		switch {
		case size != at:
			return fault.New(fault.Conflict, op, "log %s has %d bytes, not %d", log, size, at)
		case blocks >= store.MaxBlocks:
			return fault.New(fault.Invalid, op, "log %s has %d blocks: roll it", log, blocks)
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO log VALUES (?,?,?)`, log, at, data)
		return err
	})
}

// Read implements store.Log.
func (s *Store) Read(ctx context.Context, log string, from int64, limit int) ([]byte, error) {
	const op = "filestore.Read"
	if from < 0 || limit < 0 {
		return nil, fault.New(fault.Invalid, op, "from %d, max %d", from, limit)
	}
	rows, err := s.db.QueryContext(ctx, `SELECT at, data FROM log WHERE log=? AND at + LENGTH(data) > ? AND at < ? ORDER BY at`, log, from, from+int64(limit))
	if err != nil {
		return nil, classify(op, err, false)
	}
	defer rows.Close()
	var out []byte
	for rows.Next() {
		var at int64
		var data []byte
		if err := rows.Scan(&at, &data); err != nil {
			return nil, classify(op, err, false)
		}
		if at < from {
			data = data[from-at:]
		}
		out = append(out, data[:min(len(data), limit-len(out))]...)
	}
	return out, classify(op, rows.Err(), false)
}

// Size implements store.Log.
func (s *Store) Size(ctx context.Context, log string) (int64, int, error) {
	var size int64
	var blocks int
	err := s.db.QueryRowContext(ctx, logSize, log).Scan(&size, &blocks)
	return size, blocks, classify("filestore.Size", err, false)
}
