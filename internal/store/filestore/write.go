package filestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"modernc.org/sqlite"

	"cmkguard/internal/fault"
)

// request is one write that waits for a transaction.
type request struct {
	ctx  context.Context
	op   string
	fn   func(context.Context, statements) error
	err  error
	done chan error // buffered: the answer never waits for its reader
}

// write runs fn in a transaction and returns once it is on disk. Whoever gets
// the turn first commits for all who wait, each in a savepoint of its own: a
// sync of the disk is what a commit costs, and 500 events that arrive at once
// share a few. A caller that gives up before its write began has written
// nothing (Transient); one whose write has begun waits for the answer.
func (s *Store) write(ctx context.Context, op string, fn func(context.Context, statements) error) error {
	r := &request{ctx: ctx, op: op, fn: fn, done: make(chan error, 1)}
	s.mu.Lock()
	s.waiting = append(s.waiting, r)
	s.mu.Unlock()
	select {
	case err := <-r.done:
		return err
	case s.turn <- struct{}{}:
		s.lead(context.WithoutCancel(ctx))
		<-s.turn
	case <-ctx.Done():
		if s.withdraw(r) {
			return fault.Wrap(fault.Transient, op, ctx.Err())
		}
	}
	return <-r.done
}

// withdraw reports whether the request was still waiting, and takes it back.
func (s *Store) withdraw(r *request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, w := range s.waiting {
		if w == r {
			s.waiting = append(s.waiting[:i:i], s.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// lead carries out all that waits in one transaction and answers each.
func (s *Store) lead(ctx context.Context) {
	s.mu.Lock()
	batch := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	if len(batch) == 0 {
		return // a leader before us did ours too
	}
	err := s.commit(ctx, batch)
	for _, r := range batch {
		if r.err == nil {
			r.err = err
		}
		r.done <- s.classify(r.op, r.err)
	}
}

// commit returns the error that befell the whole transaction; what befell one
// request alone is in the request.
func (s *Store) commit(ctx context.Context, batch []*request) error {
	if _, err := s.writer.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return notDone{err}
	}
	for _, r := range batch {
		if err := s.one(ctx, r); err != nil {
			_, _ = s.writer.ExecContext(ctx, "ROLLBACK") // SQLite may have rolled back itself
			return notDone{err}
		}
	}
	_, err := s.writer.ExecContext(ctx, "COMMIT")
	if err != nil {
		_, _ = s.writer.ExecContext(ctx, "ROLLBACK") // fails if the commit did happen
	}
	return err
}

// one carries out one request, or leaves no trace of it. The error that it
// returns is that the transaction itself is lost.
func (s *Store) one(ctx context.Context, r *request) error {
	if r.ctx.Err() != nil {
		r.err = notDone{r.ctx.Err()}
		return nil //nolint:nilerr // the request's error, told to its sender; the transaction goes on
	}
	if _, err := s.writer.ExecContext(ctx, "SAVEPOINT one"); err != nil {
		return err
	}
	if err := r.fn(ctx, s.stmts); err != nil {
		r.err = notDone{err}
		if _, err := s.writer.ExecContext(ctx, "ROLLBACK TO one"); err != nil {
			return err
		}
	}
	_, err := s.writer.ExecContext(ctx, "RELEASE one")
	return err
}

// notDone marks an error before the commit: nothing was written.
type notDone struct{ error }

func (e notDone) Unwrap() error { return e.error }

// Result codes of SQLite (sqlite.org/rescode.html) that call for something.
const (
	codeBusy     = 5
	codeLocked   = 6
	codeReadOnly = 8
	codeCorrupt  = 11
	codeFull     = 13
	codeNotADB   = 26
)

// classify says what the caller may do next. What failed before its commit did
// nothing and may go better later; a commit whose answer is an error may have
// happened.
func (s *Store) classify(op string, err error) error {
	var f *fault.Error
	var early notDone
	var se *sqlite.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &f):
		return f
	case errors.As(err, &se):
		switch se.Code() & 0xff {
		case codeBusy, codeLocked:
			return fault.New(fault.Transient, op, "%s is locked by another process: %w", s.path, err)
		case codeFull:
			return fault.New(fault.Transient, op, "no room for %s: %w", s.path, err)
		case codeReadOnly:
			return fault.New(fault.Denied, op, "%s cannot be written: %w", s.path, err)
		case codeCorrupt, codeNotADB:
			return fault.New(fault.Unknown, op, "%s is damaged (%w): %s", s.path, err, mend)
		}
	}
	closed := errors.Is(err, sql.ErrConnDone) || strings.Contains(err.Error(), "database is closed")
	if closed || errors.As(err, &early) || fault.TimedOut(err) {
		return fault.Wrap(fault.Transient, op, err)
	}
	return fault.Wrap(fault.Unknown, op, fmt.Errorf("%s: %w", s.path, err))
}
