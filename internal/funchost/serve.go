package funchost

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"strings"

	"cmkguard/internal/fault"
)

// ServeHTTP answers the host's readiness probe and its invocations. A sender
// that hangs up does not end the invocation: an effect is never cut in half
// because nobody waits for the answer.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && r.URL.Path == "/" {
		_ = write(w, http.StatusOK, "", nil) // the prober that went away asks again
		return
	}
	if r.Method == http.MethodGet && s.page(w, r) {
		return
	}
	if r.Method != http.MethodPost {
		_ = write(w, http.StatusNotFound, "no such function", nil)
		return
	}
	s.active.Add(1)
	defer s.active.Add(-1)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), s.deadline)
	defer cancel()
	line := s.begin(r)
	res := s.run(line.context(ctx), w, r, line)
	line.end(s.now(), res, write(w, res.status, res.answer, line.inv.outputs))
}

// page answers a page of this machine's. It is read under this machine's own name
// only: a web page elsewhere can have its name point here, but not its Host header.
func (s *Server) page(w http.ResponseWriter, r *http.Request) bool {
	if !done(s.ready) {
		return false
	}
	h, known := s.pages[r.URL.Path]
	if !known {
		return false
	}
	name := r.Host
	if host, _, err := net.SplitHostPort(r.Host); err == nil {
		name = host
	}
	if ip := net.ParseIP(name); name != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return false
	}
	h.ServeHTTP(w, r)
	return true
}

// result is how an invocation ended.
type result struct {
	status  int
	outcome string // ok, handled, poison, failed, panic, refused
	answer  string // word for the body of a status other than 200
	err     error
	stack   []byte
}

func (s *Server) run(ctx context.Context, w http.ResponseWriter, r *http.Request, line *line) (res result) {
	defer func() {
		if p := recover(); p != nil {
			err := fault.New(fault.Unknown, "funchost."+line.inv.Function, "panic: %v", p)
			res = result{status: http.StatusInternalServerError, outcome: "panic", answer: "unknown", err: err, stack: debug.Stack()}
		}
	}()
	if r.Header.Get("Origin") != "" {
		// The host never sends one; a web page in the browser of the person
		// who runs this on a laptop always does.
		return result{status: http.StatusForbidden, outcome: "refused", answer: "denied"}
	}
	release, err := s.enter(ctx)
	if err != nil {
		return classify(err)
	}
	defer release()
	h, known := s.handlers[line.inv.Function]
	if !known {
		return result{status: http.StatusNotFound, outcome: "refused", answer: "no such function"}
	}
	body, err := s.body(ctx, w, r, orDefault(s.bodyOf[line.inv.Function], s.maxBody))
	switch {
	case errors.Is(err, ErrShape):
		return s.poison(ctx, line.inv, err, body)
	case err != nil:
		return classify(err)
	}
	return s.invoke(ctx, h, line.inv, body)
}

// enter waits for readiness and for one of the slots. What waits has not read
// its body yet, so 500 events at once cost 500 sockets and not 500 bodies.
func (s *Server) enter(ctx context.Context) (release func(), err error) {
	const op = "funchost.enter"
	for _, gate := range []<-chan struct{}{s.ready, nil} {
		slot := s.slots
		if gate != nil {
			slot = nil
		}
		select {
		case <-gate:
		case slot <- struct{}{}:
		case <-s.stopped:
			return nil, fault.New(fault.Transient, op, "stopping")
		case <-ctx.Done():
			return nil, fault.New(fault.Transient, op, "no slot within the deadline: %w", ctx.Err())
		}
	}
	return func() { <-s.slots }, nil
}

// body reads the request's body. One of more than most bytes is an ErrShape and
// still returned, up to MaxPoison, because poison is stored whole.
func (s *Server) body(ctx context.Context, w http.ResponseWriter, r *http.Request, most int64) ([]byte, error) {
	const op = "funchost.body"
	if d, ok := ctx.Deadline(); ok {
		rc := http.NewResponseController(w)
		// A writer without deadlines (a test's recorder) has no slow sender.
		_ = rc.SetReadDeadline(d)
	}
	var b bytes.Buffer
	if n := r.ContentLength; n > 0 && n <= most {
		b.Grow(int(n) + bytes.MinRead)
	}
	n, err := b.ReadFrom(io.LimitReader(r.Body, max(MaxPoison, most)))
	switch {
	case err != nil:
		return nil, fault.New(fault.Transient, op, "after %d bytes: %w", n, err)
	case n <= most:
		return b.Bytes(), nil
	}
	cut, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return nil, fault.New(fault.Transient, op, "after %d bytes: %w", n+cut, err)
	}
	return b.Bytes(), shape(op, "body of %d bytes, want at most %d; %d bytes cut off", n+cut, most, cut)
}

func (s *Server) invoke(ctx context.Context, h Handler, inv *Invocation, body []byte) result {
	data, err := decode(body)
	if err == nil {
		inv.Data = data
		err = h(ctx, inv)
	}
	if errors.Is(err, ErrShape) {
		return s.poison(ctx, inv, err, body)
	}
	return classify(err)
}

// poison hands over what nobody can parse and ends the invocation: a 500
// would bring it back up to 30 times and slow down the healthy events.
func (s *Server) poison(ctx context.Context, inv *Invocation, why error, body []byte) result {
	err := errors.New("no OnPoison")
	if s.onPoison != nil {
		err = s.onPoison(ctx, inv.Function, inv.ID, why.Error(), body)
	}
	if err != nil {
		err = fmt.Errorf("poison not stored: %w (poison because: %w)", err, why)
		return result{status: http.StatusInternalServerError, outcome: "failed", answer: "transient", err: fault.Wrap(fault.Transient, "funchost.poison", err)}
	}
	return result{status: http.StatusOK, outcome: "poison", err: why}
}

// classify turns a Handler's error into the answer. It is the one edge where
// fault kinds become statuses.
func classify(err error) result {
	kind := fault.KindOf(err)
	switch {
	case err == nil:
		return result{status: http.StatusOK, outcome: "ok"}
	case kind == fault.Invalid, kind == fault.Denied, kind == fault.Conflict:
		return result{status: http.StatusOK, outcome: "handled", err: err}
	}
	return result{status: http.StatusInternalServerError, outcome: "failed", answer: kind.String(), err: err}
}

// write is the one place that answers. 200 always has a body and a type: an
// empty 200 or a 204 hangs the invocation in the host until functionTimeout.
func write(w http.ResponseWriter, status int, problem string, outputs map[string]any) error {
	body := "{}"
	if raw, err := json.Marshal(map[string]any{"Outputs": outputs}); status == http.StatusOK && outputs != nil && err == nil {
		body = string(raw)
	}
	if status != http.StatusOK {
		body = `{"error":"` + problem + `"}`
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(status)
	_, err := io.WriteString(w, body)
	return err
}

// function returns the function that the path names. The escaped path is
// compared, so no encoding of a name reaches a function by another spelling.
func function(r *http.Request) string {
	return strings.TrimPrefix(r.URL.EscapedPath(), "/")
}
