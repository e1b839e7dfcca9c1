// Package filestore is the embedded store: one SQLite file in WAL mode that
// several processes open at once. It imitates Azure Storage and refuses what
// Azure refuses.
//
// It is for a laptop, a VM or a container with a disk of its own; instances of
// a function app share none, and the app refuses it there.
package filestore

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	_ "modernc.org/sqlite" // registers the driver "sqlite"

	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// pragmas of every connection. FULL: what was acknowledged survives a power
// cut. The busy timeout covers another process's transaction.
const pragmas = "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"

// readers is how many connections read beside the one that writes.
const readers = 4

// Store is an open embedded store.
type Store struct {
	db   *sql.DB
	path string
	now  func() time.Time

	turn   chan struct{} // held by whoever uses writer
	writer *sql.Conn
	stmts  statements // of writer

	mu      sync.Mutex
	waiting []*request // writes that nobody has begun
}

// Open opens or makes dir/cmkguard.db. now decides when messages are visible.
// A directory or file that cannot be used is an Invalid fault that names the
// path and what mends it; a file that others keep locked is Transient.
func Open(dir string, now func() time.Time) (*Store, error) {
	const op = "filestore.Open"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.New(fault.Invalid, op, "%w: make the directory or choose another with CMKGUARD_STATE", err)
	}
	s := &Store{path: filepath.Join(dir, "cmkguard.db"), now: now, turn: make(chan struct{}, 1)}
	if err := s.open(); err != nil {
		_ = s.Close() // the error below says why
		if k := s.classify(op, err); fault.Is(k, fault.Transient) {
			return nil, k
		}
		return nil, fault.New(fault.Invalid, op, "%s cannot be used (%w): %s", s.path, err, mend)
	}
	return s, nil
}

// mend is what helps when the file is not what SQLite wrote.
const mend = "if it is damaged, stop every process that uses it and restore it from a backup, or move it away to begin anew"

func (s *Store) open() error {
	ctx := context.Background()
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: s.path}).EscapedPath()+pragmas)
	if err != nil {
		return err
	}
	s.db = db
	db.SetMaxOpenConns(readers + 1)
	db.SetMaxIdleConns(readers + 1)
	if s.writer, err = s.connect(ctx); err != nil {
		return err
	}
	if err := migrate(ctx, s.writer); err != nil {
		return err
	}
	s.stmts, err = prepare(ctx, s.writer)
	return err
}

// Of two processes that open a new file at once, the switch to WAL refuses one without
// waiting, whatever the busy timeout is: SQLite does not wait where that could be for
// ever (sqlite.org/c3ref/busy_handler.html). The other is through within milliseconds.
const (
	connectTries = 40
	connectPause = 25 * time.Millisecond
)

// connect returns the first connection, which makes the file what it is to be.
func (s *Store) connect(ctx context.Context) (c *sql.Conn, err error) {
	for range connectTries {
		if c, err = s.db.Conn(ctx); !fault.Is(s.classify("filestore.connect", err), fault.Transient) {
			return c, err
		}
		<-time.NewTimer(connectPause).C
	}
	return c, err
}

// Close closes the file. It waits for the write in flight; later ones fail.
func (s *Store) Close() error {
	if s.db == nil {
		return nil
	}
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	errs := []error{s.stmts.close()}
	if s.writer != nil {
		if err := s.writer.Close(); !errors.Is(err, sql.ErrConnDone) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, s.db.Close())...)
}

// Backend returns the three ports.
func (s *Store) Backend() store.Backend { return store.Backend{State: s, Queue: s, Log: s} }

var (
	_ store.State = (*Store)(nil)
	_ store.Queue = (*Store)(nil)
	_ store.Log   = (*Store)(nil)
)
