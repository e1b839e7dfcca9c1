package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/guard"
)

func healthCommand(p Process) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Say whether our own work gets done, from state alone; exit 1 with the reasons if not",
		Long: "For probes: it calls nobody and changes nothing. Exit code 1: the state cannot be read, no sweep got to its end lately,\n" +
			"or work is not worked off. Open incidents about ourselves that a restart would not mend are shown and do not fail it.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h := readHealth(cmd.Context(), p)
			show := showHealth
			if asJSON {
				show = func(w io.Writer, h guard.Health) error { return json.NewEncoder(w).Encode(h) }
			}
			if err := show(p.Stdout, h); err != nil {
				return exitError{exitFailed, err}
			}
			if !h.Healthy {
				return exitError{code: exitFailed}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as one line of JSON")
	return cmd
}

// readHealth never fails: what cannot be read is a reason.
func readHealth(ctx context.Context, p Process) guard.Health {
	now := time.Now
	ill := func(err error) guard.Health {
		return guard.Health{At: now().UTC(), Reasons: []string{"state: " + err.Error()}, Open: []guard.Ailment{}}
	}
	st, err := openState(ctx, p, "")
	if err != nil {
		return ill(err)
	}
	defer func() { _ = st.close() }()
	if profile, err := cloud.Load(st.settings.Cloud); err == nil {
		now = profile.Clock()
	}
	h, err := (&guard.Guard{State: st.State, Now: now, Watch: guard.Watch{Subscriptions: st.settings.Subscriptions}}).Health(ctx)
	if err != nil {
		return ill(err)
	}
	return h
}

func showHealth(w io.Writer, h guard.Health) error {
	if h.Healthy {
		if _, err := fmt.Fprintf(w, "healthy: the last sweep ended at %s and took %d ms\n", h.Sweep.At.Format(time.RFC3339), h.Sweep.Took); err != nil {
			return err
		}
	}
	for _, r := range h.Reasons {
		if _, err := fmt.Fprintln(w, "UNHEALTHY", r); err != nil {
			return err
		}
	}
	for _, a := range h.Open {
		if _, err := fmt.Fprintf(w, "open since %s: %s %s (%s): %s\n", a.Since.Format(time.RFC3339), a.Check, a.Title, a.Severity, a.Why); err != nil {
			return err
		}
	}
	return nil
}
