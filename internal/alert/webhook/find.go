package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/post"
	"cmkguard/internal/alert/templates"
	"cmkguard/internal/fault"
)

const whenFound, whenMissing = "found", "missing"

// Find asks a receiver that has no key of ours to write by what it has of the problem,
// so that one problem is one record there, however often it is sent.
type Find struct {
	Path *templates.Template // of a GET; nil: nothing is asked
	List string              // dotted path of the list of what was found
	ID   string              // dotted path, in an entry, of its name
	Lags time.Duration       // how long what was written may be missing from the answer
}

// find returns the name of what the receiver has of the alert's problem, "" if it has
// nothing. An answer without the list that it should have is an error and not nothing:
// a page to sign in would otherwise open a record at each attempt.
func (c *Calls) find(ctx context.Context, a alert.Alert) (string, error) {
	const op = "webhook.Find"
	f := c.o.Find
	if f.Path == nil {
		return "", nil
	}
	path, err := f.Path.RenderWith(a, a.At, c.o.With, "")
	if err != nil {
		return "", fault.New(fault.Invalid, op, "the policy's find.path: %w", err)
	}
	answer, err := c.do(ctx, a, post.Request{Method: http.MethodGet, Path: path, Header: headers()})
	if err != nil {
		return "", err
	}
	var v any
	if json.Unmarshal(answer, &v) != nil {
		return "", fault.New(fault.Transient, op, "the receiver's answer to what it has is no JSON")
	}
	list, ok := inside(v, f.List).([]any)
	if !ok {
		return "", fault.New(fault.Transient, op, "the receiver's answer to what it has holds no list %q", f.List)
	}
	if len(list) == 0 {
		return "", nil
	}
	id := text(inside(list[0], f.ID))
	if id == "" {
		return "", fault.New(fault.Transient, op, "the first of what the receiver has holds no %q", f.ID)
	}
	return id, nil
}

// unknown is the end of an alert about what the receiver does not have: it never had it,
// or somebody ended it there. What was written lately may only not be found yet.
func (c *Calls) unknown(a alert.Alert) (string, error) {
	if left := c.o.Find.Lags - c.o.Now().Sub(a.At); left > 0 {
		e := fault.New(fault.Transient, "webhook.Find", "the receiver does not have it, or does not find it yet")
		e.RetryAfter = left
		return "", e
	}
	return "not sent: the receiver has nothing open of it", nil
}

// lost is the error of a request that opened something: where it may have been taken, it
// is looked for again only when it can be found.
func (c *Calls) lost(r Request, err error) error {
	if e, ok := errors.AsType[*fault.Error](err); ok && e.Kind == fault.Unknown && r.When == whenMissing {
		again := *e
		again.RetryAfter = c.o.Find.Lags
		return &again
	}
	return err
}
