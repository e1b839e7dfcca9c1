package azuresim

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"time"
)

var errCut = errors.New("azuresim: the connection was cut")

// Fault makes matching calls go wrong.
type Fault struct {
	Method string
	Host   string // pattern; "" matches any
	Path   string // pattern as of path.Match; "" matches any
	Times  int    // how many calls; then it is spent
	Mode   Mode
	Status int
	Code   string
	Retry  string        // Retry-After header
	Delay  time.Duration // Late: the effect lands this much later on the world's clock
}

// Mode is how a call goes wrong.
type Mode string

// The modes.
const (
	Refuse Mode = "refuse" // the status, and no effect
	After  Mode = "after"  // the effect, and then the status
	Drop   Mode = "drop"   // the effect, and the connection cut
	Late   Mode = "late"   // the status now, the effect later
	Hang   Mode = "hang"   // no answer and no effect, until the sender gives up
	Stuck  Mode = "stuck"  // the effect, and no answer until the sender gives up
)

type lateEffect struct {
	at  time.Time
	req *http.Request
}

// Call is one request that arrived.
type Call struct {
	Method, Host, Path, Caller, RequestID string
	Status                                int
	At                                    time.Time
	Body                                  []byte
}

// Inject adds a fault.
func (s *Sim) Inject(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// Calls returns the requests that arrived, in order.
func (s *Sim) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Call(nil), s.calls...)
}

// Count returns how many calls of the method have a path with the suffix. The
// SDK's first request to a vault, which learns the tenant from its 401, is none.
func (s *Sim) Count(method, suffix string) int {
	n := 0
	for _, c := range s.Calls() {
		if c.Method == method && c.Status != http.StatusUnauthorized && strings.HasSuffix(strings.ToLower(c.Path), strings.ToLower(suffix)) {
			n++
		}
	}
	return n
}

// Tap sees every request before it is answered and may choose how it goes
// wrong. It must not call the Sim.
type Tap func(r *http.Request) *Fault

// SetTap puts a Tap before the injected faults; nil removes it.
func (s *Sim) SetTap(t Tap) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tap = t
}

func (s *Sim) fault(r *http.Request) *Fault {
	if s.tap != nil {
		if f := s.tap(r); f != nil {
			return f
		}
	}
	for _, f := range s.faults {
		if f.Mode == Late && r.Header.Get("Authorization") == "" {
			continue // a request that only asks for the challenge has no effect to land
		}
		if f.Times > 0 && (f.Method == "" || f.Method == r.Method) && match(f.Host, r.Host) && match(f.Path, r.URL.Path) {
			f.Times--
			return f
		}
	}
	return nil
}

func match(pattern, s string) bool {
	if pattern == "" {
		return true
	}
	ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(s))
	return err == nil && ok
}

// ServeHTTP answers one request, as chosen faults have it.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Host, _, _ = strings.Cut(strings.ToLower(r.Host), ":")
	body, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	if err != nil {
		return // the sender went away
	}
	f, rec := s.answer(r, body)
	s.handOut()
	switch {
	case f != nil && f.Mode == Drop:
		panic(http.ErrAbortHandler)
	case f != nil && (f.Mode == Hang || f.Mode == Stuck):
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	s.mu.Lock()
	w.Header().Set("Date", s.clock.Now().Add(s.ahead).UTC().Format(http.TimeFormat))
	s.mu.Unlock()
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
}

// answer lets the request happen, as its fault has it.
func (s *Sim) answer(r *http.Request, body []byte) (*Fault, *httptest.ResponseRecorder) {
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	f := s.fault(r)
	rec := httptest.NewRecorder()
	caller := s.callers[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	switch {
	case f == nil, f.Mode == After, f.Mode == Drop, f.Mode == Stuck:
		s.route(rec, r, caller)
	case f.Mode == Late:
		again := r.Clone(r.Context())
		again.Body = io.NopCloser(bytes.NewReader(body))
		s.late = append(s.late, lateEffect{s.clock.Now().Add(f.Delay), again})
	}
	if f != nil && f.Mode != Drop {
		rec = httptest.NewRecorder()
		if f.Retry != "" {
			rec.Header().Set("Retry-After", f.Retry)
		}
		writeError(rec, f.Status, f.Code, "injected", "")
	}
	call := Call{Method: r.Method, Host: r.Host, Path: r.URL.Path, RequestID: r.Header.Get("X-Ms-Client-Request-Id"), Status: rec.Code, At: s.clock.Now(), Body: body}
	if caller != nil {
		call.Caller = caller.Name
	}
	s.calls = append(s.calls, call)
	return f, rec
}

// land lets late effects happen whose time has come.
func (s *Sim) land() {
	now := s.clock.Now()
	var later []lateEffect
	due := s.late
	s.late = nil
	for _, l := range due {
		if l.at.After(now) {
			later = append(later, l)
			continue
		}
		caller := s.callers[strings.TrimPrefix(l.req.Header.Get("Authorization"), "Bearer ")]
		s.route(httptest.NewRecorder(), l.req, caller)
	}
	s.late = append(s.late, later...)
}

// ClearFaults drops the faults that are not spent.
func (s *Sim) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// SetAhead lets the services' clocks run ahead of the world's, by which whoever is
// tested goes: then its clock is wrong.
func (s *Sim) SetAhead(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ahead = d
}
