package app

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"cmkguard/handlers/approvals"
	"cmkguard/handlers/eventqueue"
	"cmkguard/handlers/keyvaultevents"
	"cmkguard/handlers/resourceevents"
	"cmkguard/handlers/sweep"
	"cmkguard/handlers/vaultlogs"
	"cmkguard/handlers/work"
	"cmkguard/internal/funchost"
	"cmkguard/internal/guard"
	"cmkguard/internal/localhost"
)

func serveCommand(p Process) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Serve the Functions host (the default when it started us); with embedded state, pump the queues too",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), p, false) },
	}
}

// standaloneCommand is for a VM or a container: no Functions host, whose
// triggers are ours then.
func standaloneCommand(p Process) *cobra.Command {
	return &cobra.Command{
		Use:   "standalone",
		Short: "Run without the Functions host: pump queues and timers ourselves, with embedded state or a storage account",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), p, true) },
	}
}

// serve binds first and opens state behind the listener: the host takes any
// answer of GET / for readiness and gives up after 30 seconds. Only an unusable
// port or state ends it; anything else leaves it observing and saying so.
func serve(ctx context.Context, p Process, alone bool) error {
	s, fatal, problems := readSettings(p.Env)
	log := zerolog.New(p.Stdout).Level(s.LogLevel).With().Timestamp().Str("build", p.Version).Logger()
	l, err := funchost.Listen(orDefault(s.Port, "0"))
	if err != nil {
		return exitError{exitFailed, fmt.Errorf("%s=%s: %w", portSetting, s.Port, err)}
	}
	if len(fatal) > 0 {
		return exitError{exitFailed, fmt.Errorf("cannot start: %s", strings.Join(fatal, "; "))}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// The real host pumps the queues of a storage account; embedded ones it cannot see.
	door := &door{pump: alone || s.Storage == nil}
	srv := funchost.New(funchost.Options{Log: log, Now: time.Now, OnPoison: door.poison, InFlight: s.InFlight, MaxBodyOf: map[string]int64{vaultlogs.Name: vaultlogs.MaxBody}})
	door.functions(srv)
	opened := make(chan error, 1)
	go func() { opened <- door.open(ctx, cancel, srv, p, s, problems, l, log) }()
	code := srv.Run(ctx, l, lifeOf(p, s))
	cancel()
	select {
	case err := <-opened:
		if err != nil {
			return exitError{exitFailed, err}
		}
	case <-time.After(5 * time.Second): // state hangs; the process ends all the same
	}
	door.close()
	return exitError{code: code}
}

func lifeOf(p Process, s Settings) funchost.Life {
	life := funchost.Life{Interrupt: p.Interrupts, Terminate: p.Terms}
	if s.UnderHost {
		life.Parent = os.Getppid
	}
	return life
}

// door is what the functions reach the guard through once it stands; until
// funchost.Ready their invocations wait.
type door struct {
	pump  bool // the queues and timers are ours to pump
	guard *guard.Guard
	world *world
	host  *localhost.Host
	done  chan struct{}
	// counted is closed when the last counts are in the log.
	counted chan struct{}
}

func (d *door) poison(ctx context.Context, function, _, reason string, body []byte) error {
	return d.guard.Poison(ctx, function, reason, body)
}

func (d *door) open(ctx context.Context, cancel func(), srv *funchost.Server, p Process, s Settings, problems []string, l net.Listener, log zerolog.Logger) error {
	w, err := build(ctx, s, problems, p, log)
	if err != nil {
		cancel()
		return err
	}
	d.world, d.guard = w, w.guard
	log.Info().Str("addr", l.Addr().String()).Str("state", s.StateDir).Str("policy", w.guard.Policy.File).
		Bool("can_write", w.guard.CanWrite).Str("observe_only", w.guard.Observe).Msg("serving")
	if !w.guard.CanWrite {
		log.Warn().Msg(noRemediator)
	}
	if !s.UnderHost {
		srv.Page("/metrics", w.meter.Handler())
	}
	srv.Ready()
	d.counted = make(chan struct{})
	go d.count(ctx, log)
	if err := w.guard.Started(ctx); err != nil {
		log.Error().Err(err).Msg("could not record whether settings and policy are in force")
	}
	if !d.pump {
		return nil
	}
	d.done = make(chan struct{})
	d.host = localhost.New(localhost.Options{
		BaseURL: "http://" + l.Addr().String(),
		Queue:   w.backend.Queue,
		Queues: map[string]localhost.Target{
			work.Queue:       {Function: work.Name, Binding: work.Binding},
			eventqueue.Queue: {Function: eventqueue.Name, Binding: eventqueue.Binding},
		},
		Timers: []localhost.Timer{{Function: sweep.Name, Binding: sweep.Binding, Every: guard.SweepEvery}},
		Now:    w.now,
		Log:    log,
	})
	defer close(d.done)
	d.host.Run(ctx)
	return nil
}

// count writes what was counted into the log, once a minute and at the end.
func (d *door) count(ctx context.Context, log zerolog.Logger) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	defer close(d.counted)
	for more := true; more; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			more = false
		}
		if err := d.world.meter.Write(log); err != nil {
			log.Error().Err(err).Msg("could not write the metrics")
		}
	}
}

func (d *door) close() {
	if d.host != nil {
		d.host.Stop()
		select {
		case <-d.done:
		case <-time.After(5 * time.Second):
		}
	}
	if d.counted != nil {
		select {
		case <-d.counted:
		case <-time.After(time.Second):
		}
	}
	if d.world != nil {
		d.world.close()
	}
}

// functions registers every function. Each reaches the guard when it is called:
// it is opened behind the listener.
func (d *door) functions(srv *funchost.Server) {
	for name, handler := range map[string]func(*guard.Guard) funchost.Handler{
		keyvaultevents.Name: func(g *guard.Guard) funchost.Handler { return keyvaultevents.Handler(g) },
		resourceevents.Name: func(g *guard.Guard) funchost.Handler { return resourceevents.Handler(g) },
		eventqueue.Name:     func(g *guard.Guard) funchost.Handler { return eventqueue.Handler(g) },
		vaultlogs.Name:      func(g *guard.Guard) funchost.Handler { return vaultlogs.Handler(g) },
		work.Name:           func(g *guard.Guard) funchost.Handler { return work.Handler(g) },
		approvals.Name:      func(g *guard.Guard) funchost.Handler { return approvals.Handler(desk{g, d.world}, g) },
		sweep.Name:          func(g *guard.Guard) funchost.Handler { return sweep.Handler(d.world.meter.Sweeper(g)) },
	} {
		srv.Handle(name, func(ctx context.Context, inv *funchost.Invocation) error { return handler(d.guard)(ctx, inv) })
	}
}
