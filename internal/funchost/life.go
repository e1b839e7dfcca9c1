package funchost

import (
	"context"
	"errors"
	stdlog "log"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"cmkguard/internal/fault"
)

// Exit codes of Run. 0 is returned only without a host: the host never
// restarts a handler that exits 0. It takes 200 for a wanted restart, so that
// is never returned.
const (
	ExitOK     = 0 // told to stop, and there is no host
	ExitFailed = 1 // the listener broke, or the context ended
	ExitLeft   = 3 // told to stop, or the parent is gone
)

// Life is what ends a Server. The zero value ends with the context only.
type Life struct {
	// Interrupt and Terminate deliver SIGINT and SIGTERM; nil never delivers.
	Interrupt, Terminate <-chan os.Signal
	// Parent returns the parent's process id (os.Getppid) where the parent is
	// a Functions host, nil where there is none. When it changes the host was
	// killed: nobody will ever stop us, and its successor starts a handler of
	// its own beside us.
	Parent func() int
	Poll   time.Duration // how often Parent is asked; 0 means 1 s
	// Drain bounds how long invocations in flight may still run once we leave,
	// and how long SIGTERM is put off; 0 means 10 s.
	Drain time.Duration
	// Quiet is how long nothing must be in flight before a signal is obeyed: on
	// Ctrl-C the host, which gets it too, may still hand over what it has
	// accepted. 0 means 3 s. Without a Parent it is not waited for.
	Quiet time.Duration
}

// Listen binds the port (FUNCTIONS_CUSTOMHANDLER_PORT) on 127.0.0.1 and
// nowhere else: the protocol has no authentication. "0" picks a free port.
func Listen(port string) (net.Listener, error) {
	const op = "funchost.Listen"
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return nil, fault.New(fault.Invalid, op, "port %q is no number from 0 to 65535", port)
	} else if l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp4", net.JoinHostPort("127.0.0.1", strconv.FormatUint(n, 10))); err != nil {
		return nil, fault.Wrap(fault.Conflict, op, err)
	} else {
		return l, nil
	}
}

// Run serves the listener until life or ctx ends it, lets what is in flight
// finish within Drain, and returns the exit code of the process. It is called
// once. What is still running after Drain is left to the crash-only design:
// the process exits over it as over a SIGKILL.
func (s *Server) Run(ctx context.Context, l net.Listener, life Life) int {
	life.Poll = orDefault(life.Poll, time.Second)
	life.Drain = orDefault(life.Drain, 10*time.Second)
	life.Quiet = orDefault(life.Quiet, 3*time.Second)
	w := watch{life: life, server: s}
	if life.Parent != nil { // before anybody is answered: a host that was killed right after is missed else
		w.parent = life.Parent()
	}
	srv := s.httpServer()
	broken := make(chan error, 1)
	go func() { broken <- srv.Serve(l) }()

	code, why := w.await(ctx, broken)
	s.log.Info().Str("why", why).Int("exit", code).Int("active", s.Active()).Msg("leaving")
	close(s.stopped)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), life.Drain)
	defer cancel()
	if err := srv.Shutdown(drain); err != nil {
		s.log.Warn().Err(err).Int("active", s.Active()).Msg("left with invocations in flight")
		_ = srv.Close() // the process ends; there is nobody to tell
	}
	return code
}

func (s *Server) httpServer() *http.Server {
	return &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		// Longer than .NET keeps an unused connection (1 to 2 minutes), so that
		// the host closes first and never posts into a connection that we close.
		IdleTimeout:    5 * time.Minute,
		MaxHeaderBytes: 64 << 10,
		ErrorLog:       stdlog.New(s.log, "", 0),
	}
}

// await returns when the server has to leave, with the exit code and why.
func (w *watch) await(ctx context.Context, broken <-chan error) (code int, why string) {
	tick := time.NewTicker(w.life.Poll)
	defer tick.Stop()
	for {
		select {
		case err := <-broken:
			if errors.Is(err, http.ErrServerClosed) {
				return ExitFailed, "closed"
			}
			return ExitFailed, "listener: " + err.Error()
		case <-ctx.Done():
			return ExitFailed, context.Cause(ctx).Error()
		case <-w.life.Interrupt:
			w.signalled("interrupt", false)
		case <-w.life.Terminate:
			w.signalled("terminate", true)
		case <-tick.C:
			w.tick()
		}
		if why := w.leave(); why != "" {
			return w.exit(), why
		}
	}
}
