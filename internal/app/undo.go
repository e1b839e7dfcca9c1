package app

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"cmkguard/internal/approval"
	"cmkguard/internal/guard"
	"cmkguard/internal/plan"
)

// undoCommand shows the plan that takes another back, or asks for it.
func undoCommand(p Process) *cobra.Command {
	var reason string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "undo PLAN",
		Short: "Show how what a plan did can be taken back; with --reason, ask for it as the person whose Entra token is given",
		Long: "The undo is a plan of its own, made from what was stored before the act, and passes every gate. What cannot be taken\n" +
			"back is said step by step. Without --reason it is shown as it would be now, and nothing is stored (exit code 3: it would\n" +
			"run). With --reason it is asked for; that counts as your own approval, and others release it with cmkguard approve.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason != "" {
				return askUndo(cmd.Context(), p, args[0], reason)
			}
			w, _, err := commandWorld(cmd.Context(), p)
			if err != nil {
				return err
			}
			defer w.close()
			h, err := w.guard.PreviewUndo(cmd.Context(), args[0])
			if err != nil {
				return exitError{exitFailed, err}
			}
			if err := showPlan(p.Stdout, h, asJSON); err != nil {
				return exitError{exitFailed, err}
			}
			if plan.Verdict(h.Rulings) == plan.Allow {
				return exitError{code: exitFound}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "ask for it, and why, for the record")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON lines")
	return cmd
}

// askUndo asks for the undo: with state in a storage account through the running app,
// which seals what people decide.
func askUndo(ctx context.Context, p Process, id, reason string) error {
	if s, _, _ := readSettings(p.Env); s.Storage != nil {
		return decideThere(ctx, p, s, id, "undo", reason)
	}
	var asked guard.Held
	return asPerson(ctx, p, func(ctx context.Context, g *guard.Guard, by approval.Person) (approval.Decision, error) {
		var err error
		if asked, err = g.Undo(ctx, id, by, reason); err != nil {
			return approval.Decision{}, err
		}
		fmt.Fprintf(p.Stdout, "plan %s takes back what plan %s did; others release it: cmkguard approve %s --reason TEXT\n", asked.Plan.ID, id, asked.Plan.ID)
		return approval.Decision{Kind: approval.Approve, Expires: g.Now().Add(g.Policy.Approvals.ValidFor).UTC().Truncate(time.Second)}, nil
	})
}
