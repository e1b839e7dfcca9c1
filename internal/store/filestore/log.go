package filestore

import (
	"context"
	"database/sql"
	"errors"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// Append implements store.Log.
func (s *Store) Append(ctx context.Context, log string, at int64, data []byte) error {
	const op = "filestore.Append"
	if err := store.CheckAppend(op, log, at, data); err != nil {
		return err
	}
	return s.write(ctx, op, func(ctx context.Context, st statements) error {
		size, blocks, err := scanSize(st.logSize.QueryRowContext(ctx, log))
		switch {
		case err != nil:
			return err
		case size != at:
			return fault.New(fault.Conflict, op, "log %s has %d bytes, not %d", log, size, at)
		case blocks >= store.MaxBlocks:
			return fault.New(fault.Invalid, op, "log %s has %d blocks: roll it", log, blocks)
		}
		if _, err := st.logGrow.ExecContext(ctx, log, at+int64(len(data))); err != nil {
			return err
		}
		_, err = st.logAdd.ExecContext(ctx, log, at, data)
		return err
	})
}

// Read implements store.Log.
func (s *Store) Read(ctx context.Context, log string, from int64, limit int) ([]byte, error) {
	const op = "filestore.Read"
	if err := store.CheckRead(op, log, from, limit); err != nil {
		return nil, err
	}
	rows, err := s.db.QueryContext(ctx, `SELECT at, data FROM log WHERE log=?1 AND at<?3 AND
		at >= COALESCE((SELECT MAX(at) FROM log WHERE log=?1 AND at<=?2), 0) ORDER BY at`, log, from, from+int64(limit))
	if err != nil {
		return nil, s.classify(op, err)
	}
	defer rows.Close()
	var out []byte
	for rows.Next() {
		var at int64
		var data []byte
		if err := rows.Scan(&at, &data); err != nil {
			return nil, s.classify(op, err)
		}
		data = data[min(max(0, from-at), int64(len(data))):]
		out = append(out, data[:min(len(data), limit-len(out))]...)
	}
	return out, s.classify(op, rows.Err())
}

// Size implements store.Log.
func (s *Store) Size(ctx context.Context, log string) (int64, int, error) {
	const op = "filestore.Size"
	if err := store.CheckKey(op, log); err != nil {
		return 0, 0, err
	}
	size, blocks, err := scanSize(s.db.QueryRowContext(ctx, logSizeQuery, log))
	return size, blocks, s.classify(op, err)
}

func scanSize(row *sql.Row) (size int64, blocks int, err error) {
	err = row.Scan(&size, &blocks)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, 0, nil
	}
	return size, blocks, err
}
