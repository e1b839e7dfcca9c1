// Package app is the composition root and the command line: it reads settings,
// builds the parts, and runs them. It is the only package that imports
// everything.
//
// It decides nothing that a test of the core could not see: no rule of safety
// lives here.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"cmkguard/internal/approval"
	"cmkguard/internal/fault"
)

// Process is what the operating system gives a process.
type Process struct {
	Args       []string
	Env        func(string) string
	Stdout     io.Writer
	Stderr     io.Writer
	Interrupts <-chan os.Signal
	Terms      <-chan os.Signal
	Version    string
}

// Exit codes of the command line; `serve` has its own (internal/funchost).
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	exitFound  = 3 // there is something: findings, problems, steps that would run
)

// exitError carries an exit code through cobra.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e exitError) Unwrap() error { return e.err }

// Main runs the command line and returns the exit code. Without a command it
// serves when the Functions host started it, and prints help otherwise.
func Main(ctx context.Context, p Process) int {
	root := &cobra.Command{
		Use:           "cmkguard",
		Short:         "Guards the customer-managed keys of Azure Redis caches",
		Version:       p.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if p.Env(portSetting) != "" {
				return serve(cmd.Context(), p, false)
			}
			return cmd.Help()
		},
	}
	root.AddCommand(serveCommand(p), standaloneCommand(p), checkCommand(p), checksCommand(p), impactCommand(p), auditCommand(p), policyCommand(p), stateCommand(p), healthCommand(p),
		planCommand(p), decideCommand(p, approval.Approve), decideCommand(p, approval.Deny), undoCommand(p), eraseCommand(p), quarantineCommand(p), alertCommand(p), silenceCommand(p))
	root.AddCommand(identitiesCommand(p), drillCommand(p), poisonCommand(p), deadletterCommand(p))
	root.AddCommand(replayCommand(p))
	root.SetArgs(p.Args)
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	err := root.ExecuteContext(ctx)
	var exit exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &exit):
		if exit.err != nil {
			fmt.Fprintln(p.Stderr, "cmkguard:", exit.err)
		}
		return exit.code
	}
	fmt.Fprintln(p.Stderr, "cmkguard:", err)
	if fault.KindOf(err) != fault.Unknown {
		return exitFailed
	}
	return exitUsage
}
