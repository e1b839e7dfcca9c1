// Package localhost is the embedded host: it stands in for the Azure
// Functions host on a laptop, a VM or a container. It pumps queues and
// timers and POSTs what it finds to the same handlers, in the host's own
// bytes, and is as strict about the answer as the real one.
//
// It is not a second way into the core: it knows handlers only by their URL.
// Queues need no exactly-once from it, and timers no memory over a restart.
package localhost

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"cmkguard/internal/store"
)

// What the real host does by our host.json.
const (
	batchSize         = 16
	newBatchThreshold = 8
	MaxDequeueCount   = 5
	DefaultVisibility = 30 * time.Second
	// PoisonSuffix follows a queue's name where messages go that failed
	// MaxDequeueCount times.
	PoisonSuffix = "-poison"
)

// How often an idle queue and the timers are looked at, in wall time.
const (
	pollMin = 50 * time.Millisecond
	pollMax = time.Second
)

// Target is the function that a queue triggers.
type Target struct {
	Function string // name, which is the path
	Binding  string // name of the trigger's binding in function.json
}

// Timer calls a function at every multiple of Every.
type Timer struct {
	Function string
	Binding  string
	Every    time.Duration
}

// Options are a Host's settings. BaseURL, Queue (if there are Queues) and Now
// are required.
type Options struct {
	BaseURL string // of the handlers: "http://127.0.0.1:PORT"
	Queue   store.Queue
	Queues  map[string]Target // by queue name
	Timers  []Timer
	// Now is the clock that timers follow; a simulated one may jump.
	Now func() time.Time
	Log zerolog.Logger
	// HTTP may be nil for a client that waits longer than any invocation takes.
	HTTP *http.Client
	// NewID makes invocation ids; nil means random UUIDs.
	NewID func() string
	// Visibility is how long a taken message stays hidden, and so how soon a
	// failed one is tried again; 0 means DefaultVisibility.
	Visibility time.Duration
}

// Host pumps queues and timers. Make one with New.
type Host struct {
	o        Options
	stopping chan struct{}
	stop     sync.Once
}

// New returns a Host that does nothing until Run.
func New(o Options) *Host {
	if o.HTTP == nil {
		// functionTimeout and a minute, as the real host waits.
		o.HTTP = &http.Client{Timeout: 6 * time.Minute}
	}
	if o.NewID == nil {
		o.NewID = uuid.NewString
	}
	if o.Visibility <= 0 {
		o.Visibility = DefaultVisibility
	}
	return &Host{o: o, stopping: make(chan struct{})}
}

// Run pumps until Stop, and then returns when what is in flight has ended; or
// until ctx ends, which gives up what is in flight: its messages come back
// after their visibility time-out. It is called once.
func (h *Host) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for name, target := range h.o.Queues {
		wg.Go(func() { h.pump(ctx, name, target) })
	}
	for _, t := range h.o.Timers {
		wg.Go(func() { h.time(ctx, t) })
	}
	wg.Wait()
}

// Stop takes no new work from now on. It may be called more than once.
func (h *Host) Stop() { h.stop.Do(func() { close(h.stopping) }) }

// pause waits d of wall time and reports whether to go on.
func (h *Host) pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-h.stopping:
		return false
	case <-t.C:
		return true
	}
}

func (h *Host) stopped(ctx context.Context) bool {
	select {
	case <-h.stopping:
		return true
	default:
		return ctx.Err() != nil
	}
}

func (h *Host) call(function string) Call {
	return Call{Function: function, UtcNow: h.o.Now(), RandGuid: h.o.NewID()}
}
