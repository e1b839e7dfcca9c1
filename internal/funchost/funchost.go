// Package funchost is the server side of the Azure Functions custom-handler
// protocol: it takes the invocations that the Functions host POSTs to
// 127.0.0.1, decodes their envelope, runs the function's Handler and answers
// in the only shapes that the host reads as "done" (200, application/json,
// {}) or "failed" (500). It also holds the process's life under a host: when
// to serve on and when to leave.
//
// It is not a web server: it has no routes but /<function> (and a page for this
// machine where no host is, see Page), and no output
// bindings but the answer of an HTTP function, whose envelope holds the
// caller's token and may be neither stored nor logged.
//
// Source of the protocol: Azure/azure-functions-host,
// DefaultHttpWorkerService.cs and ScriptInvocationContextExtensions.cs.
package funchost

import (
	"context"
	"encoding/json"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// Defaults of Options.
const (
	DefaultDeadline = 4*time.Minute + 30*time.Second
	DefaultMaxBody  = 2 << 20
	DefaultInFlight = 64
	// MaxPoison is how much of a body beyond MaxBody is kept for OnPoison; the
	// largest Event Grid POST is 1 MB, so only a sender that is not the host
	// gets here.
	MaxPoison = 64 << 20
)

// Invocation is one call of a function as the host sent it. The envelope's
// Metadata is not here on purpose: the host copies a queue message's own
// properties over it, so whoever writes a message can forge it.
type Invocation struct {
	Function    string
	ID          string // X-Azure-Functions-InvocationId
	TraceParent string // W3C traceparent; empty for timers and queues
	Data        map[string]json.RawMessage
	outputs     map[string]any // set by Reply
}

// Handler runs one invocation and returns once its result is durable. nil and
// faults of kind Invalid, Denied and Conflict end the invocation (200): the
// host must not send it again. Transient and everything else is a failure
// (500), and the trigger sends it again. An ErrShape goes to OnPoison. The
// context carries the deadline and the invocation's logger; a Handler that
// does not heed the deadline is killed, with every other invocation, when the
// host's functionTimeout passes.
type Handler func(ctx context.Context, inv *Invocation) error

// PoisonFunc stores, whole, a body that nobody can parse. When it fails the
// host is told so and the trigger sends the body again.
type PoisonFunc func(ctx context.Context, function, invocationID, reason string, body []byte) error

// Options are a Server's settings. Log and Now are required.
type Options struct {
	Log zerolog.Logger // gets one line per invocation; give it stdout (stderr shows as errors)
	Now func() time.Time
	// Deadline bounds an invocation, waiting included; it must lie below the
	// functionTimeout of host.json. 0 means DefaultDeadline.
	Deadline time.Duration
	MaxBody  int64 // bytes of a request body; 0 means DefaultMaxBody
	// MaxBodyOf is that of functions whose trigger sends more at once.
	MaxBodyOf map[string]int64
	InFlight  int // invocations that run at once; 0 means DefaultInFlight
	// OnPoison may be nil: then poison is answered 500, because it is nowhere.
	OnPoison PoisonFunc
}

// Server answers the host. Make one with New, give it its functions with
// Handle, serve it (Run, or as an http.Handler), and call Ready once.
type Server struct {
	log      zerolog.Logger
	now      func() time.Time
	deadline time.Duration
	maxBody  int64
	bodyOf   map[string]int64
	onPoison PoisonFunc

	handlers map[string]Handler      // written before ready is closed, read after
	pages    map[string]http.Handler // as handlers
	ready    chan struct{}
	stopped  chan struct{}
	slots    chan struct{}
	active   atomic.Int64 // invocations accepted and not yet answered
	unnamed  atomic.Uint64
}

// New returns a Server that answers GET / and lets every POST wait.
func New(o Options) *Server {
	if o.Now == nil {
		panic("funchost.New: Options.Now is required")
	}
	return &Server{
		log:      o.Log,
		now:      o.Now,
		deadline: orDefault(o.Deadline, DefaultDeadline),
		maxBody:  orDefault(o.MaxBody, DefaultMaxBody),
		bodyOf:   o.MaxBodyOf,
		onPoison: o.OnPoison,
		handlers: make(map[string]Handler),
		pages:    make(map[string]http.Handler),
		ready:    make(chan struct{}),
		stopped:  make(chan struct{}),
		slots:    make(chan struct{}, orDefault(o.InFlight, DefaultInFlight)),
	}
}

// Handle sets the function's Handler. The name is that of its folder, case
// kept. Call it before Ready; a late or doubled call panics, as it would be a
// function that answers 404 on some runs only.
func (s *Server) Handle(function string, h Handler) {
	if done(s.ready) {
		panic("funchost.Handle after Ready: " + function)
	}
	if _, doubled := s.handlers[function]; doubled || function == "" || h == nil {
		panic("funchost.Handle: bad or doubled function " + function)
	}
	s.handlers[function] = h
}

// Page sets what a GET of the path answers, for whoever is on this machine: metrics,
// where no Functions host stands in front. The host itself never asks. Call it
// before Ready.
func (s *Server) Page(path string, h http.Handler) {
	if done(s.ready) || path == "/" {
		panic("funchost.Page after Ready, or in the place of the probe: " + path)
	}
	s.pages[path] = h
}

// Ready lets the waiting invocations in. The host counts any answer of GET /
// as "ready" and gives up after 30 seconds, so the listener stands before the
// state is open, and this is called after.
func (s *Server) Ready() { close(s.ready) }

// Active returns how many invocations are accepted and not yet answered.
func (s *Server) Active() int { return int(s.active.Load()) }

func done(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func orDefault[T int | int64 | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}
