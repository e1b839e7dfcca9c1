package fault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

func TestAnErrorThatNobodyClassifiedIsUnknown(t *testing.T) {
	for name, err := range map[string]error{
		"nil": nil, "plain": io.EOF, "deadline": context.DeadlineExceeded, "zero kind": &Error{Err: io.EOF}, "wrapped plain": fmt.Errorf("x: %w", io.EOF),
	} {
		if got := KindOf(err); got != Unknown {
			t.Errorf("%s: %v", name, got)
		}
	}
	// Is asks for a classification: a plain error is of no kind, not even Unknown.
	if Is(io.EOF, Unknown) || Is(nil, Unknown) || !Is(&Error{Err: io.EOF}, Unknown) {
		t.Error("Is confuses unclassified with Unknown")
	}
}

func TestTheOutermostKindDecides(t *testing.T) {
	inner := &Error{Op: "keyvault.RotateKey", Kind: Transient, Code: "Throttled", RetryAfter: time.Minute, Err: io.EOF}
	outer := fmt.Errorf("step: %w", New(Unknown, "guard.act", "rotate: %w", inner))
	if KindOf(outer) != Unknown || Is(outer, Transient) {
		t.Errorf("kind %v", KindOf(outer))
	}
	plain := fmt.Errorf("a: %w", errors.Join(io.ErrClosedPipe, inner))
	if KindOf(plain) != Transient || !Is(plain, Transient) || CodeOf(plain) != "Throttled" || RetryAfter(plain) != time.Minute {
		t.Errorf("through Join: %v %q %v", KindOf(plain), CodeOf(plain), RetryAfter(plain))
	}
	if !errors.Is(outer, io.EOF) {
		t.Error("the cause is lost")
	}
	if CodeOf(io.EOF) != "" || RetryAfter(nil) != 0 {
		t.Error("a plain error has neither code nor delay")
	}
}

func TestWrapKeepsNil(t *testing.T) {
	if err := Wrap(Invalid, "op", nil); err != nil {
		t.Errorf("got %v", err)
	}
	if err := Wrap(Denied, "op", io.EOF); !Is(err, Denied) || !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
}

func TestTexts(t *testing.T) {
	for want, e := range map[string]*Error{
		"EOF": {Err: io.EOF}, "op: EOF": {Op: "op", Err: io.EOF}, "op: Code: EOF": {Op: "op", Code: "Code", Err: io.EOF},
		"op: want 3": New(Invalid, "op", "want %d", 3),
	} {
		if got := e.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for want, k := range map[string]Kind{
		"unknown": Unknown, "transient": Transient, "invalid": Invalid, "denied": Denied, "conflict": Conflict, "fault.Kind(99)": 99,
	} {
		if got := k.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestTimedOut(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"deadline": {New(Unknown, "op", "x: %w", context.DeadlineExceeded), true}, "canceled": {context.Canceled, true},
		"other": {New(Transient, "op", "x: %w", io.EOF), false}, "nil": {nil, false},
	} {
		if TimedOut(c.err) != c.want {
			t.Errorf("%s: %v", name, !c.want)
		}
	}
}
