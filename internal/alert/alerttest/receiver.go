package alerttest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// Mood is how a provider behaves towards a request that may be quite right.
type Mood string

// The moods. Right is the only one in which a request is looked at.
const (
	Right     Mood = "right"              // answers as documented, and refuses what breaks a documented limit
	Busy      Mood = "busy"               // 429 with Retry-After: 7
	BusyMute  Mood = "busy without delay" // 429 without Retry-After
	Hung      Mood = "hung"               // takes the request and never answers
	Cut       Mood = "cut"                // takes the request and drops the connection
	Elsewhere Mood = "elsewhere"          // redirects
	Prose     Mood = "prose"              // success, with a page of HTML as its answer
	Endless   Mood = "endless"            // success, with an answer without an end
)

// Provider is a fake of one receiver of alerts over HTTP, with its documented
// limits, each with its source beside it.
type Provider struct {
	Name    string
	OK      int                                                           // its status of success
	Refuse  func(r *http.Request, body []byte) *Refusal                   // nil: taken
	Answer  func(w http.ResponseWriter, r *http.Request, body []byte)     // the body of success; nil: none
	Refusal func(w http.ResponseWriter, status int, code, message string) // how it words a refusal; nil: as text
	Busy    string                                                        // the body of its 429
}

// Refusal is a provider's no.
type Refusal struct {
	Status        int
	Code, Message string // the provider's own words
}

func no(status int, code, message string) *Refusal { return &Refusal{status, code, message} }

// Call is one request as a provider got it.
type Call struct {
	Method, Path string // path with its query
	Header       http.Header
	Body         []byte
	Taken        bool // it was accepted
}

// Receiver is a Provider that listens.
type Receiver struct {
	URL string
	p   Provider

	mu    sync.Mutex
	mood  Mood
	calls []Call
	lose  string // the method whose next answer is lost
	lost  int
}

// Lose has the next request of the method take effect and its answer be lost; it returns
// how many were.
func (r *Receiver) Lose(method string) (lost func() int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lose, r.lost = method, 0
	return func() int {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.lost
	}
}

// Listen starts the provider in the mood; it ends with the test.
func Listen(t testing.TB, p Provider, mood Mood) *Receiver {
	t.Helper()
	r := &Receiver{p: p, mood: mood}
	srv := httptest.NewServer(r)
	t.Cleanup(srv.Close)
	t.Cleanup(srv.CloseClientConnections) // before: a hung request would hold the close
	r.URL = srv.URL
	return r
}

// NewReceiver returns a provider in the mood for a server that somebody else runs.
func NewReceiver(p Provider, mood Mood) *Receiver { return &Receiver{p: p, mood: mood} }

// Set changes the mood.
func (r *Receiver) Set(m Mood) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mood = m
}

// Calls returns the requests so far.
func (r *Receiver) Calls() []Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Call(nil), r.calls...)
}

// ServeHTTP implements http.Handler.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	mood := r.mood
	refusal := r.p.Refuse(req, body)
	r.calls = append(r.calls, Call{req.Method, req.URL.RequestURI(), req.Header.Clone(), body, refusal == nil && mood == Right})
	if mood == Right && refusal == nil && r.lose == req.Method {
		r.lose, mood = "", Cut
		r.lost++
	}
	r.mu.Unlock()
	if mood != Right {
		r.behave(w, req, mood)
		return
	}
	if refusal != nil {
		r.refuse(w, refusal)
		return
	}
	if r.p.Answer != nil {
		r.p.Answer(w, req, body) // sets the status, too
		return
	}
	w.WriteHeader(r.p.OK)
}

func (r *Receiver) refuse(w http.ResponseWriter, no *Refusal) {
	if r.p.Refusal != nil {
		r.p.Refusal(w, no.Status, no.Code, no.Message)
		return
	}
	http.Error(w, no.Code, no.Status)
}

func (r *Receiver) behave(w http.ResponseWriter, req *http.Request, mood Mood) {
	switch mood {
	case Busy, BusyMute:
		if mood == Busy {
			w.Header().Set("Retry-After", "7")
		}
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, r.p.Busy)
	case Hung:
		<-req.Context().Done()
	case Cut:
		panic(http.ErrAbortHandler)
	case Elsewhere:
		http.Redirect(w, req, "http://127.0.0.1:1/elsewhere", http.StatusTemporaryRedirect)
	case Prose:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(r.p.OK)
		_, _ = io.WriteString(w, "<!DOCTYPE html><title>Sign in</title>")
	case Endless:
		w.WriteHeader(r.p.OK)
		for req.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
	case Right:
	}
}

// eachHost returns what a server keeps: the same for all, or, where that is nil, one of
// its own for each.
func eachHost[T any](same *T) func(*http.Request) *T {
	var own sync.Map
	return func(r *http.Request) *T {
		if same != nil {
			return same
		}
		v, _ := own.LoadOrStore(r.Host, new(T))
		out, _ := v.(*T)
		return out
	}
}
