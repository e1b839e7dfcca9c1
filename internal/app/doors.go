package app

import (
	"context"

	"cmkguard/handlers/approvals"
	"cmkguard/handlers/eventqueue"
	"cmkguard/handlers/keyvaultevents"
	"cmkguard/handlers/resourceevents"
	"cmkguard/handlers/sweep"
	"cmkguard/handlers/vaultlogs"
	"cmkguard/handlers/work"
	"cmkguard/internal/capture"
	"cmkguard/internal/fault"
	"cmkguard/internal/funchost"
	"cmkguard/internal/guard"
)

// takeAgain is the guard.Door of every source that the guard keeps poison of: the
// functions and the queue that the host gives work up to. A body is either what the
// function handed on (an event, a log message, a message) or, where even that could
// not be told, the host's whole request.
func takeAgain(ctx context.Context, in *guard.Retake, source string, body []byte) error {
	const op = "poison.replay"
	var handler funchost.Handler
	var bare func() error
	switch source {
	case keyvaultevents.Name:
		handler, bare = keyvaultevents.Handler(in), func() error { return in.Take(ctx, source, body) }
	case resourceevents.Name:
		handler, bare = resourceevents.Handler(in), func() error { return in.Take(ctx, source, body) }
	case eventqueue.Name:
		handler, bare = eventqueue.Handler(in), func() error { return in.Take(ctx, source, body) }
	case vaultlogs.Name:
		handler, bare = vaultlogs.Handler(in), func() error { _, err := in.TakeLogs(ctx, source, [][]byte{body}); return err }
	case work.Name, work.Queue, work.Queue + "-poison":
		handler, bare = work.Handler(in), func() error { return in.Work(ctx, body) }
	case sweep.Name:
		return fault.New(fault.Invalid, op, "a timer's tick holds nothing, and the next one did what it asked for: drop it")
	case approvals.Name:
		return fault.New(fault.Invalid, op, "a person's request is not replayed: it was answered, and who asked is not kept. Have them ask again, and drop it")
	default:
		return fault.New(fault.Invalid, op, "this version has no function %q: drop it, or replay it with the version that had", source)
	}
	if !capture.IsRequest(body) {
		return bare()
	}
	inv, err := funchost.Open(source, body)
	if err != nil {
		return err
	}
	return handler(ctx, inv)
}
