package app

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"cmkguard/internal/azureid"
	"cmkguard/internal/capture"
	"cmkguard/internal/event"
	"cmkguard/internal/fault"
	"cmkguard/internal/guard"
)

// replayCommand rehearses a captured event.
func replayCommand(p Process) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "replay FILE",
		Short: "Say what a captured event would lead to now, and why; nothing is stored, changed or sent (- is stdin)",
		Long: "FILE holds what Event Grid, a queue or an Event Hub delivered, in any schema, one or many, in base64 or not; a dead letter; a\n" +
			"message of the work queue; an alert of Azure Monitor in the common schema; or the Functions host's whole request. It is read\n" +
			"as the function would, and looked at by the same code, live, with the last call of each effect left out. What stands in the\n" +
			"state (CMKGUARD_STATE) counts; without that setting nothing is known of before.\n\n" +
			"Exit code 0: nothing would be done. 3: something would be done, or somebody told. 2: the file, or a part of it, cannot be\n" +
			"read. 1: it could not be found out.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return replay(cmd.Context(), p, cmd.InOrStdin(), args[0], output)
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

func replay(ctx context.Context, p Process, stdin io.Reader, file, output string) error {
	raw, err := readFile(stdin, file)
	if err != nil {
		return exitError{exitUsage, err}
	}
	g, closer, err := dryGuard(ctx, p)
	if err != nil {
		return err
	}
	defer func() { _ = closer() }()
	c, err := capture.Read(raw, capture.Kit{Cloud: g.Cloud, IsWork: guard.IsWork})
	if err != nil {
		return exitError{exitUsage, fmt.Errorf("%s: %w", file, err)}
	}
	out, err := rehearse(ctx, g.Rehearse(), c)
	if err != nil {
		return exitError{exitFailed, fmt.Errorf("%s: %w", file, err)}
	}
	if err := inForm(p.Stdout, output, out, out.write); err != nil {
		return err
	}
	switch {
	case len(out.Problems) > 0:
		return exitError{code: exitUsage}
	case out.Would:
		return exitError{code: exitFound}
	}
	return nil
}

func readFile(stdin io.Reader, file string) ([]byte, error) {
	if file != "-" {
		return os.ReadFile(file)
	}
	return io.ReadAll(io.LimitReader(stdin, 65<<20)) // and capture refuses what is too long
}

// rehearse asks what each part of a capture would lead to, in its order.
func rehearse(ctx context.Context, r *guard.Rehearsal, c capture.Capture) (replayed, error) {
	out := replayed{Shape: c.Shape, GivenUp: c.GivenUp, Problems: c.Problems, Acts: []actView{}}
	var signals []event.Signal
	if c.Events != nil {
		signals, out.Ignored = append(signals, c.Events.Signals...), c.Events.Ignored
	}
	if c.Logs != nil {
		signals, out.Dropped, out.Uses = append(signals, c.Logs.Signals...), c.Logs.Dropped, len(c.Logs.Uses)
	}
	add := func(acts []guard.Act, err error) error {
		for _, a := range acts {
			out.Acts, out.Would = append(out.Acts, viewOf(a)), out.Would || a.Acts()
		}
		return err
	}
	for _, s := range signals {
		if err := add(r.Signal(ctx, s)); err != nil {
			return out, err
		}
	}
	for _, m := range c.Work {
		err := add(r.Message(ctx, m))
		if fault.Is(err, fault.Invalid) {
			out.Problems = append(out.Problems, capture.Problem{What: err.Error()})
			continue
		}
		if err != nil {
			return out, err
		}
	}
	return out, rehearseOthers(ctx, r, c, &out, add)
}

// rehearseOthers is about what is no event: a timer's tick, a person's request, an
// alert of somebody else's.
func rehearseOthers(ctx context.Context, r *guard.Rehearsal, c capture.Capture, out *replayed, add func([]guard.Act, error) error) error {
	note := func(format string, args ...any) { out.Notes = append(out.Notes, fmt.Sprintf(format, args...)) }
	if c.Tick {
		acts, why, err := r.Everything(ctx)
		note("a look at every key in use, as the sweep has it done once in limits.reconcileEvery")
		if why != "" {
			note("not everything could be seen: %s", why)
		}
		return add(acts, err)
	}
	if c.Request != nil {
		note("%s of a person about plan %s: a decision is theirs, and is not rehearsed; cmkguard plan shows the plan", c.Request.Method, orDefault(c.Request.Plan, "(none)"))
	}
	if c.Alert == nil {
		return nil
	}
	note("alert rule %q, %s: no function of ours takes it. What follows is a look at what it is about", c.Alert.Rule, c.Alert.Condition)
	for _, other := range c.Alert.Others {
		note("its target %s is neither a vault nor a cluster", other)
	}
	for _, id := range c.Alert.Targets {
		s := event.Subject{Kind: event.SubjectCluster, ID: id.Key()}
		if id.Type() == azureid.TypeVault {
			s.Kind = event.SubjectVault
		}
		if err := add(r.Look(ctx, s)); err != nil {
			return err
		}
	}
	return nil
}
