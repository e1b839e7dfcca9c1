package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/azure/survey"
	"cmkguard/internal/azureid"
	"cmkguard/internal/findings"
	"cmkguard/internal/limit"
	"cmkguard/internal/policy"
	"cmkguard/internal/risk"
	"cmkguard/internal/store/memstore"
	"cmkguard/internal/wiring"
)

// checkFlags are what a person or a pipeline chose.
type checkFlags struct {
	output  string
	failOn  string
	explain string
	depth   string
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
	report, err := look.report(ctx, p)
	if err != nil {
		return exitError{exitFailed, err}
	}
	if err := findings.Write(p.Stdout, f.output, report); err != nil {
		return exitError{exitFailed, err}
	}
	if f.failOn != "never" && report.Worst(risk.Severity(f.failOn)) {
		return exitError{code: exitFound}
	}
	return nil
}

// look is one run over what was asked for.
type look struct {
	run    *survey.Run
	now    func() time.Time
	limits risk.Limits
	depth  survey.Depth
	asked  risk.Selection
	named  []azureid.Resource
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
	if !strings.Contains(" "+strings.Join(findings.Formats(), " ")+" ", " "+f.output+" ") {
		bad("--output is %q: want %s", f.output, strings.Join(findings.Formats(), ", "))
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

func (l *look) connect(p Process) error {
	s, _, _ := readSettings(p.Env)
	if len(s.Subscriptions) == 0 {
		return errors.New("CMKGUARD_SUBSCRIPTIONS is not set: name the subscription ids to look at, comma-separated")
	}
	profile, err := cloud.Load(s.Cloud)
	if err != nil {
		return fmt.Errorf("CMKGUARD_CLOUD=%s: %w", s.Cloud, err)
	}
	pol := policy.Default()
	if s.Policy != "" {
		var problem string
		if pol, problem = readPolicy(s.Policy); problem != "" {
			return errors.New(problem)
		}
	}
	l.now, l.limits = profile.Clock(), pol.Limits.Risk
	cred, err := profile.Credential(s.Observer)
	if err != nil {
		return fmt.Errorf("CMKGUARD_OBSERVER_CLIENT_ID: %w", err)
	}
	// No state to share a rate through: this process keeps to it by itself.
	gate := limit.New(memstore.New(l.now).Backend().State, l.now)
	sv, err := survey.Connect(profile.WithGate(gate), cred, s.Subscriptions, l.now)
	if err != nil {
		return err
	}
	l.run = sv.Run()
	return nil
}

func (l *look) report(ctx context.Context, p Process) (findings.Report, error) {
	r := findings.Report{At: l.now().UTC(), Version: p.Version, Complete: true}
	ids := l.named
	if len(ids) == 0 {
		ids, r.Complete, r.Why = l.run.All(ctx)
		if len(ids) == 0 && !r.Complete {
			return r, fmt.Errorf("no cluster could be seen: %s", r.Why)
		}
	}
	bar := newProgress(p.Stderr, len(ids))
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		w := l.run.Around(ctx, l.run.Wiring(ctx, id), survey.Options{Depth: l.depth})
		r.Findings = append(r.Findings, l.judge(w)...)
		r.Clusters++
		bar.step()
	}
	bar.done()
	r.Sort()
	return r, nil
}

func (l *look) judge(w wiring.Wiring) []findings.Finding {
	var out []findings.Finding
	for _, v := range risk.Judge(w, l.limits, l.now(), l.asked) {
		out = append(out, findings.Finding{Verdict: v, Name: w.ID.Name(), Owner: w.Cluster.Value.Tags["owner"]})
	}
	return out
}

// progress is one line on a terminal, rewritten; anywhere else it is nothing.
type progress struct {
	w        io.Writer
	at, all  int
	terminal bool
}

func newProgress(w io.Writer, all int) *progress {
	b := &progress{w: w, all: all}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		b.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return b
}

func (b *progress) step() {
	b.at++
	if b.terminal {
		const width = 30
		n := width * b.at / max(1, b.all)
		_, _ = fmt.Fprintf(b.w, "\r[%s%s] %d of %d clusters", strings.Repeat("#", n), strings.Repeat(".", width-n), b.at, b.all)
	}
}

func (b *progress) done() {
	if b.terminal {
		_, _ = fmt.Fprint(b.w, "\r\x1b[K")
	}
}
