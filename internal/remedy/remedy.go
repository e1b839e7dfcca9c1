// Package remedy is the effect protocol: reserve, record, re-read, act once,
// read back, settle. Under it an effect happens at most once within stated
// bounds, through crashes, lost answers and several workers.
//
// The bounds: an attempt has a deadline; after it nobody tries again before a
// quiet time has passed, in which a request that was under way may still land;
// then the world is read before anything else. A request that lands after
// deadline plus quiet time is outside the claim.
//
// It decides nothing (internal/plan does) and keeps no goroutine.
package remedy

import (
	"context"
	"encoding/json"
	"time"

	"cmkguard/internal/canonical"
	"cmkguard/internal/fault"
	"cmkguard/internal/journal"
	"cmkguard/internal/store"
)

// Sight is what a look at the world showed of an effect.
type Sight struct {
	Done   bool   // the world is as wanted
	Result string // what it came to: the new key version
	// Stop is not empty when the world is neither as the plan knew it nor as
	// wanted: the effect must not be tried.
	Stop string
	// Busy says that a change is under way: look again later, do not act.
	Busy string
}

// Effect is one thing to bring about once.
type Effect struct {
	Partition string // where its intent lives
	Key       string // once-only key: a row name
	Subject   string
	Ref       string // plan id
	Text      string // one line for the record: what would be done
	Budget    time.Duration
	Quiet     time.Duration
	Tries     int // attempts that may be sent before it has failed
	// Rest is how long a failed effect lies before it may be begun afresh.
	// Zero: never.
	Rest time.Duration
	// Look reads the live world. since is when this effect was first reserved,
	// or zero while no request of ours can have been sent: then whatever
	// changed was somebody else's doing.
	Look func(ctx context.Context, since time.Time) (Sight, error)
	// Act sends the one request. A token resumes a long operation.
	Act func(ctx context.Context, requestID string) (token string, err error)
	// Poll asks the long operation once; nil where there is none.
	Poll func(ctx context.Context, token string) (done bool, err error)
}

// Repair returns an effect with the bounds that suit one quick request; the
// caller adds Look and Act.
func Repair(partition, key, subject, ref, text string) Effect {
	return Effect{
		Partition: partition, Key: key, Subject: subject, Ref: ref, Text: text,
		Budget: 45 * time.Second, Quiet: 2 * time.Minute, Tries: 3, Rest: 15 * time.Minute,
	}
}

// Status says what a Step came to.
type Status string

// The statuses.
const (
	Settled Status = "settled" // done; Result holds what it came to
	Again   Status = "again"   // call Step again at At
	Failed  Status = "failed"  // given up; Why says why, At from when it may be begun afresh (zero: never)
)

// Outcome is the answer of a Step.
type Outcome struct {
	Status Status
	Result string
	Why    string
	At     time.Time
}

// intent is the stored reservation. The resume token lives here only: never in
// the journal, never in a log.
type intent struct {
	Schema    int       `json:"schema"`
	Key       string    `json:"key"`
	RequestID string    `json:"requestId"`
	Reserved  time.Time `json:"reserved"`
	Deadline  time.Time `json:"deadline"` // of the attempt in flight
	Attempt   int       `json:"attempt"`
	State     string    `json:"state"` // reserved, acted, idle, settled, failed, stopped
	Token     string    `json:"token,omitempty"`
	RetryAt   time.Time `json:"retryAt"` // idle: the next attempt; failed: the next beginning
	Result    string    `json:"result,omitempty"`
	Why       string    `json:"why,omitempty"`
}

// since is the time from which a change can be ours; zero before any attempt.
func (it intent) since() time.Time {
	if it.Attempt == 0 {
		return time.Time{}
	}
	return it.Reserved
}

const (
	stateReserved = "reserved" // a request may be in flight
	stateActed    = "acted"    // the request was accepted; the effect is awaited
	stateIdle     = "idle"     // the last attempt certainly did nothing
	stateSettled  = "settled"
	stateFailed   = "failed"  // errors, and no effect
	stateStopped  = "stopped" // the world is not as the plan knew it: never again
)

// Recorder commits entries and state in one batch (journal.Recorder).
type Recorder interface {
	Commit(ctx context.Context, partition string, entries []journal.Entry, ops ...store.Op) error
}

// Runner carries effects out.
type Runner struct {
	State store.State
	Rec   Recorder
	Now   func() time.Time
	NewID func() string // unique request ids
	// Poll is how long to wait between looks at something that is under way.
	Poll time.Duration
}

// Step brings the effect forward by at most one external write and returns.
func (r *Runner) Step(ctx context.Context, e Effect) (Outcome, error) {
	row, ok, err := r.State.Get(ctx, e.Partition, intentRow(e.Key))
	if err != nil {
		return Outcome{}, err
	}
	if !ok {
		return r.attempt(ctx, e, intent{Schema: 1, Key: e.Key, Reserved: r.Now().UTC()}, "")
	}
	var it intent
	if err := json.Unmarshal(row.Value, &it); err != nil {
		return Outcome{}, fault.New(fault.Invalid, "remedy.Step", "intent %s: %w", e.Key, err)
	}
	switch it.State {
	case stateSettled:
		return Outcome{Status: Settled, Result: it.Result}, nil
	case stateStopped:
		return Outcome{Status: Failed, Why: it.Why}, nil
	case stateFailed:
		if it.RetryAt.IsZero() || r.Now().Before(it.RetryAt) {
			return Outcome{Status: Failed, Why: it.Why, At: it.RetryAt}, nil
		}
		// A new beginning: nothing of the old attempts can be under way, so
		// what changed in the world meanwhile is not taken for ours.
		return r.attempt(ctx, e, intent{Schema: 1, Key: e.Key, Reserved: r.Now().UTC()}, row.ETag)
	case stateReserved:
		// Somebody's request may be under way, ours from before a crash or
		// another worker's. Wait it out, then believe only the world.
		if until := it.Deadline.Add(e.Quiet); r.Now().Before(until) {
			return Outcome{Status: Again, At: until, Why: "an attempt may still be in flight"}, nil
		}
	case stateIdle:
		if r.Now().Before(it.RetryAt) {
			return Outcome{Status: Again, At: it.RetryAt, Why: it.Why}, nil
		}
	}
	return r.look(ctx, e, it, row.ETag)
}

// look reads the world for an effect that was tried before.
func (r *Runner) look(ctx context.Context, e Effect, it intent, etag string) (Outcome, error) {
	if it.Token != "" && e.Poll != nil {
		done, err := e.Poll(ctx, it.Token)
		switch {
		case fault.Is(err, fault.Conflict):
			return r.fail(ctx, e, it, etag, err.Error())
		case err != nil:
			return Outcome{}, err
		case !done:
			return r.later("the operation is under way"), nil
		}
	}
	s, err := e.Look(ctx, it.since())
	switch {
	case err != nil:
		return Outcome{}, err
	case s.Done:
		return r.settle(ctx, e, it, etag, s.Result)
	case s.Busy != "":
		return r.later(s.Busy), nil
	case s.Stop != "":
		return r.stop(ctx, e, it, etag, s.Stop)
	case it.State == stateActed:
		return r.later("accepted, not yet visible"), nil
	case it.Attempt >= e.Tries:
		return r.fail(ctx, e, it, etag, "no effect after the last of the allowed attempts")
	}
	return r.attempt(ctx, e, it, etag)
}

// attempt reserves, records, re-reads, acts and reads back.
func (r *Runner) attempt(ctx context.Context, e Effect, it intent, etag string) (Outcome, error) {
	since := it.since()
	it.Attempt++
	it.State, it.RequestID, it.Token = stateReserved, r.NewID(), ""
	it.Deadline = r.Now().Add(e.Budget).UTC()
	entry := journal.Entry{
		Kind: journal.KindIntent, Subject: e.Subject, Ref: e.Ref, Text: e.Text,
		Body: body(map[string]any{"key": e.Key, "attempt": it.Attempt, "requestId": it.RequestID, "deadline": it.Deadline}),
	}
	etag, err := r.write(ctx, e, it, etag, entry)
	if err != nil {
		return Outcome{}, err // not recorded: nothing is done
	}
	s, err := e.Look(ctx, since)
	switch {
	case err != nil:
		// Nothing was sent: free the reservation so that nobody waits for it.
		return r.idle(ctx, e, it, etag, err)
	case s.Done:
		return r.settle(ctx, e, it, etag, s.Result)
	case s.Stop != "":
		return r.stop(ctx, e, it, etag, s.Stop)
	case s.Busy != "":
		return r.idle(ctx, e, it, etag, fault.New(fault.Transient, "remedy", "%s", s.Busy))
	}
	// A process that stalled (a paused VM) past its deadline must not send: by
	// now others may have waited it out.
	left := it.Deadline.Sub(r.Now())
	if left <= 0 {
		return r.idle(ctx, e, it, etag, fault.New(fault.Transient, "remedy", "stalled past the deadline before anything was sent"))
	}
	actCtx, cancel := context.WithTimeout(ctx, left)
	token, err := e.Act(actCtx, it.RequestID)
	cancel()
	if err != nil {
		return r.afterError(ctx, e, it, etag, err)
	}
	it.State, it.Token = stateActed, token
	if etag, err = r.write(ctx, e, it, etag); err != nil {
		return Outcome{}, err // the world will tell: state stays reserved
	}
	if token != "" {
		return r.later("the operation is under way"), nil
	}
	return r.look(ctx, e, it, etag)
}

func (r *Runner) afterError(ctx context.Context, e Effect, it intent, etag string, err error) (Outcome, error) {
	switch fault.KindOf(err) {
	case fault.Transient, fault.Conflict:
		if it.Attempt >= e.Tries {
			return r.fail(ctx, e, it, etag, err.Error())
		}
		return r.idle(ctx, e, it, etag, err)
	case fault.Denied, fault.Invalid:
		return r.fail(ctx, e, it, etag, err.Error())
	case fault.Unknown:
	}
	// It may have happened or may yet. The reservation stays; after the quiet
	// time the world is read.
	return Outcome{Status: Again, At: it.Deadline.Add(e.Quiet), Why: err.Error()}, nil
}

func (r *Runner) idle(ctx context.Context, e Effect, it intent, etag string, cause error) (Outcome, error) {
	wait := max(fault.RetryAfter(cause), r.Poll)
	it.State, it.Why, it.RetryAt = stateIdle, cause.Error(), r.Now().Add(wait).UTC()
	if fault.Is(cause, fault.Transient) || fault.Is(cause, fault.Conflict) {
		it.Attempt-- // certainly did nothing: does not count as sent
	}
	if _, err := r.write(ctx, e, it, etag); err != nil {
		return Outcome{}, err
	}
	return Outcome{Status: Again, At: it.RetryAt, Why: it.Why}, nil
}

func (r *Runner) settle(ctx context.Context, e Effect, it intent, etag, result string) (Outcome, error) {
	it.State, it.Result, it.Token = stateSettled, result, ""
	entry := r.outcomeEntry(e, it, "done and read back: "+result)
	if _, err := r.write(ctx, e, it, etag, entry); err != nil {
		return Outcome{}, err
	}
	return Outcome{Status: Settled, Result: result}, nil
}

// fail gives up after errors; after a rest the effect may be begun afresh.
func (r *Runner) fail(ctx context.Context, e Effect, it intent, etag, why string) (Outcome, error) {
	it.State, it.RetryAt = stateFailed, time.Time{}
	if e.Rest > 0 {
		it.RetryAt = r.Now().Add(e.Rest).UTC()
	}
	return r.end(ctx, e, it, etag, why)
}

// stop gives up for good: the world is neither as the plan knew it nor as wanted.
func (r *Runner) stop(ctx context.Context, e Effect, it intent, etag, why string) (Outcome, error) {
	it.State, it.RetryAt = stateStopped, time.Time{}
	return r.end(ctx, e, it, etag, why)
}

func (r *Runner) end(ctx context.Context, e Effect, it intent, etag, why string) (Outcome, error) {
	it.Why, it.Token = why, ""
	if _, err := r.write(ctx, e, it, etag, r.outcomeEntry(e, it, "not done: "+why)); err != nil {
		return Outcome{}, err
	}
	return Outcome{Status: Failed, Why: why, At: it.RetryAt}, nil
}

func (r *Runner) outcomeEntry(e Effect, it intent, text string) journal.Entry {
	return journal.Entry{
		Kind: journal.KindOutcome, Subject: e.Subject, Ref: e.Ref, Text: e.Text + ": " + text,
		Body: body(map[string]any{"key": e.Key, "attempt": it.Attempt, "requestId": it.RequestID, "state": it.State, "result": it.Result}),
	}
}

func (r *Runner) later(why string) Outcome {
	return Outcome{Status: Again, At: r.Now().Add(r.Poll), Why: why}
}

// write stores the intent together with its entries and returns the new ETag.
func (r *Runner) write(ctx context.Context, e Effect, it intent, etag string, entries ...journal.Entry) (string, error) {
	raw, err := canonical.JSON(it)
	if err != nil {
		return "", err
	}
	op := store.Op{Kind: store.Insert, Key: intentRow(e.Key), Value: raw}
	if etag != "" {
		op.Kind, op.ETag = store.Replace, etag
	}
	if err := r.Rec.Commit(ctx, e.Partition, entries, op); err != nil {
		return "", err
	}
	row, ok, err := r.State.Get(ctx, e.Partition, op.Key)
	if err != nil || !ok {
		return "", fault.Wrap(fault.Transient, "remedy.write", errOr(err, "intent vanished"))
	}
	if string(row.Value) != string(raw) {
		return "", fault.New(fault.Conflict, "remedy.write", "another worker holds intent %s", e.Key)
	}
	return row.ETag, nil
}

func errOr(err error, text string) error {
	if err != nil {
		return err
	}
	return fault.New(fault.Transient, "remedy", "%s", text)
}

func intentRow(key string) string { return "intent~" + key }

// body encodes small maps of plain values, which cannot fail.
func body(m map[string]any) json.RawMessage {
	raw, err := canonical.JSON(m)
	if err != nil {
		return nil // unreachable unless a bug in this package puts in a channel or a func
	}
	return raw
}
