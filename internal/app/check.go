package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"cmkguard/internal/azure/survey"
	"cmkguard/internal/azureid"
	"cmkguard/internal/findings"
	"cmkguard/internal/risk"
)

// checkFlags are what a person or a pipeline chose.
type checkFlags struct {
	output  string
	failOn  string
	explain string
	depth   string
	into    string
}

// checkCommand judges what is there now. It needs no state and changes nothing.
func checkCommand(p Process) *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check [CLUSTER...]",
		Short: "Judge every cluster in CMKGUARD_SUBSCRIPTIONS, or the named ones (ARM ids), now; exit 3 if something is broken at or above --fail-on",
		RunE:  func(cmd *cobra.Command, args []string) error { return check(cmd.Context(), p, f, args) },
	}
	cmd.Flags().StringVarP(&f.output, "output", "o", "table", strings.Join(findings.Formats(), ", "))
	cmd.Flags().StringVar(&f.failOn, "fail-on", "high", "critical, high, medium, low, info, or never")
	cmd.Flags().StringVar(&f.explain, "explain", "", "print what a check asks, by which reads, and what to do: CMK-031")
	cmd.Flags().StringVar(&f.depth, "depth", "sweep", "signal: the chain alone; sweep: what lists show around it; daily: also the calls per cluster and vault")
	cmd.Flags().StringVar(&f.into, "into", "", "write --output jsonl into this file, and go on where an interrupted run into it stopped")
	return cmd
}

// checksCommand lists the catalogue.
func checksCommand(p Process) *cobra.Command {
	return &cobra.Command{
		Use: "checks", Short: "List the checks, one line each", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			for _, c := range risk.Catalogue() {
				if _, err := fmt.Fprintf(p.Stdout, "%s  %-8s  %-10s  %s\n", c.ID, c.Severity, c.Family, c.Title); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func check(ctx context.Context, p Process, f checkFlags, names []string) error {
	if f.explain != "" {
		text, ok := risk.Explain(strings.ToUpper(f.explain))
		if !ok {
			return exitError{exitUsage, fmt.Errorf("--explain: there is no check %q: cmkguard checks lists them", f.explain)}
		}
		_, err := io.WriteString(p.Stdout, text)
		return err
	}
	look, err := newLook(p, f, names)
	if err != nil {
		return exitError{exitUsage, err}
	}
	defer func() { _ = look.close() }()
	out := io.Writer(p.Stdout)
	if f.into != "" {
		file, err := look.goOn(f.into)
		if err != nil {
			return exitError{exitUsage, fmt.Errorf("--into: %w", err)}
		}
		defer func() { _ = file.Close() }()
		out = file
	}
	sink, err := findings.NewSink(out, f.output, findings.Report{At: look.now().UTC(), Version: p.Version, Complete: true})
	if err != nil {
		return exitError{exitUsage, err}
	}
	if err := look.over(ctx, sink, newProgress(p.Stderr)); err != nil {
		return exitError{exitFailed, err}
	}
	if err := sink.Close(); err != nil {
		return exitError{exitFailed, err}
	}
	if f.failOn != "never" && (sink.Worst(risk.Severity(f.failOn)) || look.before.Worst(risk.Severity(f.failOn))) {
		return exitError{code: exitFound}
	}
	return nil
}

// newLook reads flags and settings, and says everything that is wrong with them
// at once.
func newLook(p Process, f checkFlags, names []string) (*look, error) {
	l := &look{}
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	switch f.depth {
	case "signal":
		l.depth, l.asked = survey.DepthSignal, risk.OnSignal()
	case "sweep":
		l.depth, l.asked = survey.DepthSweep, risk.Cadences(risk.CadenceSignal, risk.CadenceSweep)
	case "daily":
		l.depth, l.asked = survey.DepthDaily, risk.Cadences(risk.CadenceSignal, risk.CadenceSweep, risk.CadenceDaily)
	default:
		bad("--depth is %q: want signal, sweep or daily", f.depth)
	}
	if f.failOn != "never" && risk.Severity(f.failOn).Rank() == 0 {
		bad("--fail-on is %q: want critical, high, medium, low, info or never", f.failOn)
	}
	if !slices.Contains(findings.Formats(), f.output) {
		bad("--output is %q: want %s", f.output, strings.Join(findings.Formats(), ", "))
	}
	if f.into != "" && f.output != "jsonl" {
		bad("--into is for --output jsonl: other formats have one end, and cannot be gone on with")
	}
	for _, name := range names {
		id, err := azureid.ParseResource(name)
		if err != nil || id.Type() != azureid.TypeRedisEnterprise {
			bad("%q is not the ARM id of a redisEnterprise cluster", name)
		}
		l.named = append(l.named, id)
	}
	if err := l.connect(p); err != nil {
		problems = append(problems, err)
	}
	return l, errors.Join(problems...)
}
