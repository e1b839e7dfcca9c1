package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"cmkguard/internal/approval"
	"cmkguard/internal/azureid"
	"cmkguard/internal/guard"
	"cmkguard/internal/plan"
)

// commandWorld builds the guard for one command at a terminal.
func commandWorld(ctx context.Context, p Process) (*world, Settings, error) {
	s, fatal, problems := readSettings(p.Env)
	if len(fatal) > 0 {
		return nil, s, exitError{exitUsage, fmt.Errorf("%s", strings.Join(fatal, "; "))}
	}
	s.Patience = patience
	w, err := build(ctx, s, problems, p, zerolog.New(io.Discard))
	if err != nil {
		return nil, s, exitError{exitFailed, err}
	}
	return w, s, nil
}

func planCommand(p Process) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "plan [ID]",
		Short: "Show what would be done now, over everything, and what holds it; with an id, one plan call by call",
		Long: "Without an id every key in use is looked at, live; nothing is changed or stored. Exit code 3: there are steps that\n" +
			"would run. With an id the stored plan is shown: its calls, what it reads back, its undo, and what each gate said.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			w, _, err := commandWorld(cmd.Context(), p)
			if err != nil {
				return err
			}
			defer w.close()
			if len(args) == 1 {
				h, err := w.guard.Find(cmd.Context(), args[0])
				if err != nil {
					return exitError{exitFailed, err}
				}
				return showPlan(p.Stdout, h, asJSON)
			}
			return planAll(cmd.Context(), p.Stdout, w.guard, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON lines")
	return cmd
}

func planAll(ctx context.Context, out io.Writer, g *guard.Guard, asJSON bool) error {
	list, why, err := g.Preview(ctx)
	if err != nil {
		return exitError{exitFailed, err}
	}
	runs := 0
	for _, h := range list {
		if err := showPlan(out, h, asJSON); err != nil {
			return err
		}
		if plan.Verdict(h.Rulings) == plan.Allow {
			runs++
		}
	}
	if !asJSON {
		fmt.Fprintf(out, "%d plans, %d of them would run now\n", len(list), runs)
		if why != "" {
			fmt.Fprintln(out, "not everything could be seen:", why)
		}
	}
	if runs > 0 {
		return exitError{code: exitFound}
	}
	return nil
}

func showPlan(out io.Writer, h guard.Held, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		return enc.Encode(h)
	}
	pl := h.Plan
	fmt.Fprintf(out, "plan %s\n  %s for %s, key %s\n  sha256 %s\n", pl.ID, pl.Remedy, pl.Subject, pl.Key, h.SHA256)
	for i, s := range pl.Steps {
		fmt.Fprintf(out, "  step %d  %s\n          from %s to %s\n", i+1, s.Call, s.From, s.To)
		for _, name := range slices.Sorted(maps.Keys(s.Args)) {
			fmt.Fprintf(out, "          with %s: %s\n", name, s.Args[name])
		}
		fmt.Fprintf(out, "          read back: %s\n          undo: %s\n", s.ReadBack, s.Undo)
	}
	for _, r := range pl.Refused {
		fmt.Fprintf(out, "  not undone: %s\n", r)
	}
	for _, c := range pl.Consumers {
		fmt.Fprintf(out, "  touches %s (%s, owner %s)\n", c.Cluster, c.Kind, orDefault(c.Owner, "none named"))
	}
	for _, r := range h.Rulings {
		fmt.Fprintf(out, "  %-7s %s: %s\n", r.Answer, r.Gate, r.Reason)
	}
	if len(h.Causes) > 0 {
		fmt.Fprintf(out, "  said to have caused it (by events and logs): %s\n", strings.Join(h.Causes, ", "))
	}
	_, err := fmt.Fprintln(out)
	return err
}

// decideCommand is approve and deny.
func decideCommand(p Process, kind approval.Kind) *cobra.Command {
	var reason, standing, key string
	var days int
	cmd := &cobra.Command{
		Use:   string(kind) + " PLAN",
		Short: map[approval.Kind]string{approval.Approve: "Release a held plan, as the person whose Entra token is given", approval.Deny: "Refuse a held plan"}[kind],
		Long: "Who decides is proved by a Microsoft Entra token with the app role of approvers: the one in CMKGUARD_APPROVER_TOKEN, or\n" +
			"that of your own sign-in (az login). The decision is bound to the plan as it stands, and void when its facts change.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (standing != "") {
				return exitError{exitUsage, fmt.Errorf("want one PLAN id, or --standing REMEDY with --key")}
			}
			if s, _, _ := readSettings(p.Env); standing == "" && s.Storage != nil {
				return decideThere(cmd.Context(), p, s, args[0], kind, reason)
			}
			return asPerson(cmd.Context(), p, func(ctx context.Context, g *guard.Guard, by approval.Person) (approval.Decision, error) {
				if standing == "" {
					return g.Decide(ctx, args[0], kind, by, reason)
				}
				k, err := azureid.ParseKey(key, g.Cloud)
				if err != nil {
					return approval.Decision{}, err
				}
				return g.Stand(ctx, standing, k, by, time.Duration(days)*24*time.Hour, reason)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the record")
	_ = cmd.MarkFlagRequired("reason")
	if kind == approval.Approve {
		cmd.Flags().StringVar(&standing, "standing", "", "let this remedy run by itself for --key; needs two persons")
		cmd.Flags().StringVar(&key, "key", "", "key URL of a standing approval")
		cmd.Flags().IntVar(&days, "days", 30, "how long a standing approval holds, 1 to 90")
	}
	return cmd
}

func asPerson(ctx context.Context, p Process, do func(context.Context, *guard.Guard, approval.Person) (approval.Decision, error)) error {
	w, s, err := commandWorld(ctx, p)
	if err != nil {
		return err
	}
	defer w.close()
	by, err := whoDecides(ctx, p, w.profile, s)
	if err != nil {
		return exitError{exitFailed, err}
	}
	d, err := do(ctx, w.guard, by)
	if err != nil {
		return exitError{exitFailed, err}
	}
	fmt.Fprintf(p.Stdout, "%s by %s (object id %s), counts until %s\n", d.Kind, by.Name, by.Object, d.Expires.Format(time.RFC3339))
	return nil
}
