package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/user"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"cmkguard/internal/alert/hold"
	"cmkguard/internal/policy"
	"cmkguard/internal/risk"
)

func silenceCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{Use: "silence", Short: "Keep alerts from people for a while: add, list, expire"}
	cmd.AddCommand(silenceAddCommand(p), silenceListCommand(p), silenceExpireCommand(p))
	return cmd
}

// silenceFlags are the flags of silence add as they were given.
type silenceFlags struct {
	owner, reason, min, until                                        string
	forHow                                                           time.Duration
	severities, families, checks, subscriptions, tags, vaults, lives []string
	subjects                                                         []string
}

func silenceAddCommand(p Process) *cobra.Command {
	var f silenceFlags
	cmd := &cobra.Command{
		Use:   "add",
		Short: "Hold matching alerts until a time; what is still wrong then is told then",
		Long: "Every flag that is given must match; * in a pattern stands for any text. Critical alerts are silenced only for a subject\n" +
			"or a vault that is named whole. A silence ends after 30 days at most, and its end is told. Problems are worked on and\n" +
			"recorded as before.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, s, err := commandWorld(cmd.Context(), p)
			if err != nil {
				return err
			}
			defer w.close()
			asked, err := f.silence(w.now())
			if err != nil {
				return exitError{exitUsage, err}
			}
			by, err := whoAsks(cmd.Context(), p, w, s)
			if err != nil {
				return exitError{exitFailed, err}
			}
			got, err := w.guard.Silence(cmd.Context(), asked, by)
			if err != nil {
				return exitError{exitFailed, err}
			}
			_, err = fmt.Fprintf(p.Stdout, "%s until %s, added by %s\n", got, got.Until.Format(time.RFC3339), got.By)
			return err
		},
	}
	f.define(cmd)
	return cmd
}

// define adds the flags to the command.
func (f *silenceFlags) define(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.owner, "owner", "", "who answers for it")
	fl.StringVar(&f.reason, "reason", "", "why, such as a change number")
	fl.DurationVar(&f.forHow, "for", 0, "how long, such as 4h")
	fl.StringVar(&f.until, "until", "", "or until when: 2026-09-21T22:00:00+02:00")
	fl.StringVar(&f.min, "min-severity", "", "alerts of at least this severity")
	fl.StringSliceVar(&f.severities, "severity", nil, "alerts of these severities")
	fl.StringSliceVar(&f.families, "family", nil, "alerts of checks of these families")
	fl.StringSliceVar(&f.checks, "check", nil, "alerts of these checks, such as CMK-05*")
	fl.StringSliceVar(&f.subscriptions, "subscription", nil, "alerts that hit these subscriptions")
	fl.StringSliceVar(&f.tags, "tag", nil, "alerts that hit a cluster with these tags: NAME=PATTERN")
	fl.StringSliceVar(&f.vaults, "vault", nil, "alerts about these vaults")
	fl.StringSliceVar(&f.subjects, "subject", nil, "alerts about these subjects: a name, an ARM id, HOST/KEY")
	fl.StringSliceVar(&f.lives, "lifecycle", nil, "alerts in these states: trigger, update, notice")
}

// silence reads the flags.
func (f silenceFlags) silence(now time.Time) (hold.Silence, error) {
	s := hold.Silence{Owner: f.owner, Reason: f.reason, Until: now.Add(f.forHow)}
	if (f.forHow == 0) == (f.until == "") {
		return s, fmt.Errorf("want either --for or --until")
	}
	if f.until != "" {
		var err error
		if s.Until, err = time.Parse(time.RFC3339, f.until); err != nil {
			return s, fmt.Errorf("--until %q: want 2026-09-21T22:00:00+02:00", f.until)
		}
	}
	s.Match = policy.AlertMatch{MinSeverity: risk.Severity(f.min), Families: f.families, Checks: f.checks, Subscriptions: f.subscriptions, Vaults: f.vaults, Subjects: f.subjects, Lifecycle: f.lives}
	for _, sev := range f.severities {
		s.Match.Severities = append(s.Match.Severities, risk.Severity(sev))
	}
	for _, t := range f.tags {
		name, pattern, ok := strings.Cut(t, "=")
		if !ok || name == "" || pattern == "" {
			return s, fmt.Errorf("--tag %q: want NAME=PATTERN", t)
		}
		if s.Match.Tags == nil {
			s.Match.Tags = map[string]string{}
		}
		s.Match.Tags[name] = pattern
	}
	return s, s.Match.Check()
}

// whoAsks says who runs the command: the person whose Entra token proves it, where
// approvers are configured; whoever holds the state otherwise, which proves nothing
// more, and says so.
func whoAsks(ctx context.Context, p Process, w *world, s Settings) (string, error) {
	if s.Approvals.Tenant != "" {
		who, err := whoDecides(ctx, p, w.profile, s)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%s (object id %s)", who.Name, who.Object), nil
	}
	name := "uid " + fmt.Sprint(os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return "the holder of the state (" + name + ", not proved)", nil
}

func silenceListCommand(p Process) *cobra.Command {
	var state string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show the silences that hold, and what each has kept back",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, err := openState(cmd.Context(), p, state)
			if err != nil {
				return err
			}
			defer func() { _ = st.close() }()
			all, err := hold.Silences(cmd.Context(), st.State)
			if err != nil {
				return exitError{exitFailed, err}
			}
			slices.SortFunc(all, func(a, b hold.Silence) int { return a.Until.Compare(b.Until) })
			return listSilences(cmd.Context(), p.Stdout, st, all, asJSON)
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "directory of the embedded state (default: CMKGUARD_STATE)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON lines")
	return cmd
}

func listSilences(ctx context.Context, out io.Writer, st *opened, all []hold.Silence, asJSON bool) error {
	tw := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	if !asJSON {
		fmt.Fprintln(tw, "ID\tUNTIL\tOWNER\tREASON\tKEPT BACK\tMATCHES")
	}
	for _, s := range all {
		hid, err := s.Hid(ctx, st.State)
		if err != nil {
			return exitError{exitFailed, err}
		}
		if asJSON {
			err = json.NewEncoder(out).Encode(map[string]any{"silence": s, "hidden": hid})
		} else {
			match, _ := json.Marshal(s.Match)
			_, err = fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%d\t%s\n", s.ID, s.Until.Format(time.RFC3339), s.Owner, s.Reason, hid.Count, match)
		}
		if err != nil {
			return err
		}
	}
	return tw.Flush()
}

func silenceExpireCommand(p Process) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "expire ID",
		Short: "End a silence now; what is still wrong is told",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			w, s, err := commandWorld(cmd.Context(), p)
			if err != nil {
				return err
			}
			defer w.close()
			by, err := whoAsks(cmd.Context(), p, w, s)
			if err != nil {
				return exitError{exitFailed, err}
			}
			got, err := w.guard.Unsilence(cmd.Context(), args[0], by, reason)
			if err != nil {
				return exitError{exitFailed, err}
			}
			_, err = fmt.Fprintf(p.Stdout, "%s ended by %s\n", got, by)
			return err
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the record")
	return cmd
}
