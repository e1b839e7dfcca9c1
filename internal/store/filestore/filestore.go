// Package filestore is the embedded store: one SQLite file in WAL mode that
// several processes open at once. It imitates Azure Storage and refuses what
// Azure refuses.
//
// It is for a laptop, a VM or a container with a disk; instances of a function
// app share none, and the app refuses it there.
package filestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite" // registers the driver "sqlite"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// schema is idempotent: every process runs it at open.
const schema = `
CREATE TABLE IF NOT EXISTS state (
  partition TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, etag INTEGER NOT NULL,
  PRIMARY KEY (partition, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS etags (one INTEGER PRIMARY KEY CHECK (one = 1), last INTEGER NOT NULL);
INSERT OR IGNORE INTO etags VALUES (1, 0);
CREATE TABLE IF NOT EXISTS queue (
  id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, body BLOB NOT NULL,
  inserted INTEGER NOT NULL, visible INTEGER NOT NULL, dequeued INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS queue_visible ON queue (queue, visible);
CREATE TABLE IF NOT EXISTS log (
  log TEXT NOT NULL, at INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (log, at));
`

// Store is an open embedded store.
type Store struct {
	db  *sql.DB
	now func() time.Time
}

// Open opens or makes dir/cmkguard.db. now decides when messages are visible.
func Open(dir string, now func() time.Time) (*Store, error) {
	const op = "filestore.Open"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.New(fault.Invalid, op, "%w: make the directory or choose another with CMKGUARD_STATE", err)
	}
	path := filepath.Join(dir, "cmkguard.db")
	// synchronous=FULL: what was acknowledged survives a power cut. Every
	// transaction begins IMMEDIATE, so that a reader that turns writer cannot
	// fail half-way with a busy snapshot.
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() +
		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate"
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fault.New(fault.Invalid, op, "%s: %w", path, err)
	}
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	if _, err := db.Exec(schema); err != nil {
		_ = db.Close()
		return nil, fault.New(fault.Invalid, op, "%s cannot be used (%w): if it is damaged, restore it from a backup or move it away", path, err)
	}
	return &Store{db: db, now: now}, nil
}

// Close closes the file. Work in flight fails.
func (s *Store) Close() error { return s.db.Close() }

// Backend returns the three ports.
func (s *Store) Backend() store.Backend { return store.Backend{State: s, Queue: s, Log: s} }

var (
	_ store.State = (*Store)(nil)
	_ store.Queue = (*Store)(nil)
	_ store.Log   = (*Store)(nil)
)

// tx runs fn in one immediate transaction.
func (s *Store) tx(ctx context.Context, op string, fn func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return classify(op, err, false)
	}
	if err := fn(tx); err != nil {
		_ = tx.Rollback() // the error below says why
		return classify(op, err, false)
	}
	return classify(op, tx.Commit(), true)
}

// classify: a busy or interrupted statement did nothing (Transient); a commit
// whose answer was lost may have happened (Unknown).
func classify(op string, err error, committing bool) error {
	var f *fault.Error
	var se *sqlite.Error
	const busy, locked, full, readonly = 5, 6, 13, 8
	switch {
	case err == nil:
		return nil
	case errors.As(err, &f):
		return err
	case errors.As(err, &se):
		switch code := se.Code() & 0xff; {
		case code == busy, code == locked, code == full:
			return fault.Wrap(fault.Transient, op, err)
		case code == readonly:
			return fault.Wrap(fault.Denied, op, err)
		}
	case errors.Is(err, sql.ErrConnDone), strings.Contains(err.Error(), "database is closed"):
		return fault.Wrap(fault.Transient, op, err)
	case fault.TimedOut(err) && !committing:
		return fault.Wrap(fault.Transient, op, err)
	}
	return fault.Wrap(fault.Unknown, op, err)
}

// Get implements store.State.
func (s *Store) Get(ctx context.Context, partition, key string) (store.Row, bool, error) {
	const op = "filestore.Get"
	if err := errors.Join(store.CheckKey(op, partition), store.CheckKey(op, key)); err != nil {
		return store.Row{}, false, err
	}
	r := store.Row{Partition: partition, Key: key}
	var etag int64
	err := s.db.QueryRowContext(ctx, `SELECT value, etag FROM state WHERE partition=? AND key=?`, partition, key).Scan(&r.Value, &etag)
	if errors.Is(err, sql.ErrNoRows) {
		return store.Row{}, false, nil
	}
	r.ETag = fmt.Sprint(etag)
	return r, err == nil, classify(op, err, false)
}

// Scan implements store.State.
func (s *Store) Scan(ctx context.Context, partition, from, to string, limit int) ([]store.Row, error) {
	const op = "filestore.Scan"
	if err := store.CheckKey(op, partition); err != nil {
		return nil, err
	}
	rows, err := s.db.QueryContext(ctx,
		`SELECT key, value, etag FROM state WHERE partition=? AND key>=? AND (?='' OR key<?) ORDER BY key LIMIT ?`,
		partition, from, to, to, limit)
	if err != nil {
		return nil, classify(op, err, false)
	}
	defer rows.Close()
	var out []store.Row
	for rows.Next() {
		r, etag := store.Row{Partition: partition}, int64(0)
		if err := rows.Scan(&r.Key, &r.Value, &etag); err != nil {
			return nil, classify(op, err, false)
		}
		r.ETag = fmt.Sprint(etag)
		out = append(out, r)
	}
	return out, classify(op, rows.Err(), false)
}

// Apply implements store.State.
func (s *Store) Apply(ctx context.Context, partition string, ops []store.Op) ([]string, error) {
	const op = "filestore.Apply"
	if err := store.CheckBatch(op, partition, ops); err != nil {
		return nil, err
	}
	etags := make([]string, len(ops))
	err := s.tx(ctx, op, func(tx *sql.Tx) error {
		var last int64
		if err := tx.QueryRowContext(ctx, `UPDATE etags SET last=last+? RETURNING last`, len(ops)).Scan(&last); err != nil {
			return err
		}
		for i, o := range ops {
			etag := last - int64(len(ops)) + int64(i) + 1
			if err := applyOne(ctx, tx, partition, o, etag); err != nil {
				return err
			}
			if o.Kind != store.Delete {
				etags[i] = fmt.Sprint(etag)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return etags, nil
}

func applyOne(ctx context.Context, tx *sql.Tx, partition string, o store.Op, etag int64) error {
	value := o.Value
	if value == nil {
		value = []byte{}
	}
	var res sql.Result
	var err error
	switch o.Kind {
	case store.Insert:
		res, err = tx.ExecContext(ctx, `INSERT INTO state VALUES (?,?,?,?) ON CONFLICT DO NOTHING`, partition, o.Key, value, etag)
	case store.Replace:
		res, err = tx.ExecContext(ctx, `UPDATE state SET value=?, etag=? WHERE partition=? AND key=? AND etag=?`, value, etag, partition, o.Key, o.ETag)
	case store.Delete:
		res, err = tx.ExecContext(ctx, `DELETE FROM state WHERE partition=? AND key=? AND etag=?`, partition, o.Key, o.ETag)
	}
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return fault.New(fault.Conflict, "filestore.Apply", "row %s/%s is not as expected", partition, o.Key)
}
