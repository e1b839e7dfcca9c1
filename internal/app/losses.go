package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/guard"
	"cmkguard/internal/loss"
)

func lossesCommand(p Process) *cobra.Command {
	var state, day string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "losses",
		Short: "Show a day's account: what was expected of each source, handled, late and lost; exit 3 if there are gaps",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return losses(cmd.Context(), p, state, day, asJSON)
		},
	}
	cmd.Flags().StringVar(&day, "day", "", "the day, 2006-01-02 in UTC (default: the newest that is closed, or today so far)")
	cmd.Flags().StringVar(&state, "state", "", "directory of the embedded state (default: CMKGUARD_STATE)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "the statement as one line of JSON, as the journal has it")
	return cmd
}

func losses(ctx context.Context, p Process, state, day string, asJSON bool) error {
	if _, err := time.Parse(time.DateOnly, day); day != "" && err != nil {
		return exitError{exitUsage, fmt.Errorf("--day %q: want 2006-01-02", day)}
	}
	st, err := openState(ctx, p, state)
	if err != nil {
		return err
	}
	defer func() { _ = st.close() }()
	g := &guard.Guard{State: st.State, Now: clockOf(st.settings)}
	s, ok, err := statementOf(ctx, g, day)
	switch {
	case err != nil:
		return exitError{exitFailed, err}
	case !ok:
		return exitError{exitFailed, fmt.Errorf("nothing is known of %s: it was before CMK Guard watched, or it is to come", orDefault(day, "today"))}
	}
	if asJSON {
		if err := json.NewEncoder(p.Stdout).Encode(s); err != nil {
			return err
		}
	} else if err := printStatement(p.Stdout, s); err != nil {
		return err
	}
	if n := s.Gaps(); n > 0 {
		return exitError{exitFound, fmt.Errorf("%d gaps on %s", n, s.Date)}
	}
	return nil
}

// clockOf is the cloud's clock; where the cloud cannot be loaded, this machine's.
func clockOf(s Settings) func() time.Time {
	profile, err := cloud.Load(s.Cloud)
	if err != nil {
		return time.Now
	}
	return profile.Clock()
}

// statementOf returns the day's statement, or that of the newest day that is closed
// by now, or of today so far.
func statementOf(ctx context.Context, g *guard.Guard, day string) (loss.Statement, bool, error) {
	if day != "" {
		return g.Losses(ctx, day)
	}
	today := g.Now().UTC()
	if s, ok, err := g.Losses(ctx, today.AddDate(0, 0, -2).Format(time.DateOnly)); err != nil || ok && !s.Closed.IsZero() {
		return s, ok, err
	}
	return g.Losses(ctx, today.Format(time.DateOnly))
}

func printStatement(out io.Writer, s loss.Statement) error {
	when := "so far: it is closed " + loss.Grace.String() + " after its end"
	if !s.Closed.IsZero() {
		when = "closed " + s.Closed.Format(time.RFC3339)
	}
	fmt.Fprintf(out, "losses of %s (%s)\n", s.Date, when)
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "source\texpected\thandled\tlate\tworst\tlost\twaiting")
	for _, a := range s.Accounts {
		expected, lost := fmt.Sprint(a.Expected), fmt.Sprint(len(a.Lost))
		if a.Unknown != "" { // what nobody witnesses is not "0 lost"
			expected, lost = "unknown", atLeast(len(a.Lost))
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%s\t%d\n", a.Source, expected, a.Handled, a.Late, time.Duration(a.Worst)*time.Second, lost, len(a.Waiting))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, a := range s.Accounts {
		if a.Unknown != "" {
			fmt.Fprintf(out, "%s: not known: %s\n", a.Source, a.Unknown)
		}
		for _, g := range a.Lost {
			fmt.Fprintf(out, "LOST by %s: %s\n", a.Source, g)
		}
		for _, g := range a.Waiting {
			fmt.Fprintf(out, "WAITING, taken by %s and not worked on: %s\n", a.Source, g)
		}
	}
	for _, f := range s.Found {
		fmt.Fprintf(out, "FOUND only by a sweep at %s: %s %s %s: %s\n", f.At.Format(time.RFC3339), f.Check, f.Change, f.Subject, f.Why)
	}
	_, err := fmt.Fprintln(out, "the log is a claim: whoever may send to its hub could have made it up")
	return err
}

// atLeast is how many are known to be lost, where more may be.
func atLeast(n int) string {
	if n == 0 {
		return "unknown"
	}
	return fmt.Sprintf("%d or more", n)
}
