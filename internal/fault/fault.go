// Package fault classifies errors by what their reader may do next. Every
// error that crosses a package boundary and is handled by kind somewhere else
// is a *Error; the rest stay plain. Kinds are turned into an answer (an HTTP
// status, an exit code, a retry) at one edge only.
//
// It is not a general error library: it carries no stack and no fields beyond
// those that a decision needs.
package fault

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Kind says what the reader of an error may do next.
type Kind uint8

// The kinds. Unknown is the zero value on purpose: an error that nobody
// classified must never be taken for one that is safe to repeat.
const (
	// Unknown: the effect may or may not have happened. Read before acting.
	Unknown Kind = iota
	// Transient: it did not happen and trying again later can help.
	Transient
	// Invalid: the input is wrong and will stay wrong.
	Invalid
	// Denied: the caller lacks a right.
	Denied
	// Conflict: the world is not as the caller assumed. Read again.
	Conflict
)

// String returns the kind's name as logs and the journal show it.
func (k Kind) String() string {
	switch k {
	case Transient:
		return "transient"
	case Invalid:
		return "invalid"
	case Denied:
		return "denied"
	case Conflict:
		return "conflict"
	case Unknown:
		return "unknown"
	}
	return fmt.Sprintf("fault.Kind(%d)", uint8(k))
}

// Error is a classified error.
type Error struct {
	Op   string // package.function, or the external call: "keyvault.RotateKey"
	Kind Kind
	// Code is the remote's own word for it, such as "ForbiddenByRbac"; may be empty.
	Code string
	// RetryAfter is the delay that the remote asked for; 0 if it asked for none.
	RetryAfter time.Duration
	Err        error
}

// New returns an error of the kind with a formatted message; %w wraps.
func New(kind Kind, op, format string, args ...any) *Error {
	return &Error{Op: op, Kind: kind, Err: fmt.Errorf(format, args...)}
}

// Wrap classifies err; nil stays nil.
func Wrap(kind Kind, op string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: op, Kind: kind, Err: err}
}

// Error returns "op: message".
func (e *Error) Error() string {
	switch {
	case e.Op == "":
		return e.Err.Error()
	case e.Code != "":
		return e.Op + ": " + e.Code + ": " + e.Err.Error()
	}
	return e.Op + ": " + e.Err.Error()
}

// Unwrap returns the wrapped error.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the outermost *Error in err's chain. A context
// that ended is Unknown: a time-out proves nothing about the effect.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Unknown
}

// Is reports whether err is a classified error of the kind.
func Is(err error, kind Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == kind
}

// CodeOf returns the remote's code, or "".
func CodeOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// RetryAfter returns the delay that the remote asked for, or 0.
func RetryAfter(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
}

// TimedOut reports whether err came from a context that ended.
func TimedOut(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
