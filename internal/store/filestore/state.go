package filestore

import (
	"context"
	"database/sql"
	"errors"
	"strconv"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// Get implements store.State.
func (s *Store) Get(ctx context.Context, partition, key string) (store.Row, bool, error) {
	const op = "filestore.Get"
	if err := store.CheckKey(op, partition); err != nil {
		return store.Row{}, false, err
	}
	if err := store.CheckKey(op, key); err != nil {
		return store.Row{}, false, err
	}
	r := store.Row{Partition: partition, Key: key}
	var etag int64
	err := s.db.QueryRowContext(ctx, `SELECT value, etag FROM state WHERE partition=? AND key=?`, partition, key).Scan(&r.Value, &etag)
	if errors.Is(err, sql.ErrNoRows) {
		return store.Row{}, false, nil
	}
	if err != nil {
		return store.Row{}, false, s.classify(op, err)
	}
	r.ETag = etagText(etag)
	return r, true, nil
}

// Scan implements store.State.
func (s *Store) Scan(ctx context.Context, partition, from, to string, limit int) ([]store.Row, error) {
	const op = "filestore.Scan"
	if err := store.CheckScan(op, partition, limit); err != nil {
		return nil, err
	}
	rows, err := s.db.QueryContext(ctx,
		`SELECT key, value, etag FROM state WHERE partition=? AND key>=? AND (?='' OR key<?) ORDER BY key LIMIT ?`,
		partition, from, to, to, limit)
	if err != nil {
		return nil, s.classify(op, err)
	}
	defer rows.Close()
	var out []store.Row
	for rows.Next() {
		r, etag := store.Row{Partition: partition}, int64(0)
		if err := rows.Scan(&r.Key, &r.Value, &etag); err != nil {
			return nil, s.classify(op, err)
		}
		r.ETag = etagText(etag)
		out = append(out, r)
	}
	return out, s.classify(op, rows.Err())
}

// Apply implements store.State.
func (s *Store) Apply(ctx context.Context, partition string, ops []store.Op) ([]string, error) {
	const op = "filestore.Apply"
	if err := store.CheckBatch(op, partition, ops); err != nil {
		return nil, err
	}
	etags := make([]string, len(ops))
	err := s.write(ctx, op, func(ctx context.Context, st statements) error {
		var last int64
		if err := st.etag.QueryRowContext(ctx, len(ops)).Scan(&last); err != nil {
			return err
		}
		first := last - int64(len(ops)) + 1
		for i, o := range ops {
			if err := st.apply(ctx, partition, o, first+int64(i)); err != nil {
				return err
			}
			if o.Kind != store.Delete {
				etags[i] = etagText(first + int64(i))
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return etags, nil
}

func (s statements) apply(ctx context.Context, partition string, o store.Op, etag int64) error {
	value := o.Value
	if value == nil {
		value = []byte{} // nil would be NULL
	}
	var res sql.Result
	var err error
	switch o.Kind {
	case store.Insert:
		res, err = s.insert.ExecContext(ctx, value, etag, partition, o.Key)
	case store.Replace:
		res, err = s.replace.ExecContext(ctx, value, etag, partition, o.Key, o.ETag)
	case store.Delete:
		res, err = s.remove.ExecContext(ctx, partition, o.Key, o.ETag)
	}
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n != 1 {
		err = fault.New(fault.Conflict, "filestore.Apply", "row %s/%s is not as expected", partition, o.Key)
	}
	return err
}

func etagText(n int64) string { return strconv.FormatInt(n, 10) }
