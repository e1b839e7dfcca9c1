package app

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"cmkguard/internal/journal"
	"cmkguard/internal/policy"
)

func auditCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: "Verify and show the journal"}
	cmd.AddCommand(verifyCommand(p), exportCommand(p), lossesCommand(p))
	return cmd
}

func verifyCommand(p Process) *cobra.Command {
	var state, key, known string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check every entry against the signed checkpoints; exit 1 and name what was changed",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return verify(cmd.Context(), p, state, key, known)
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "directory of the embedded state (default: CMKGUARD_STATE)")
	cmd.Flags().StringVar(&key, "key", "", "verifier key as logged at start; without it the key beside the state is used, which whoever holds the state could have replaced")
	cmd.Flags().StringVar(&known, "checkpoint", "", "file with a checkpoint that you kept elsewhere: finds entries cut off the end")
	return cmd
}

func verify(ctx context.Context, p Process, state, key, known string) error {
	st, err := openState(ctx, p, state)
	if err != nil {
		return err
	}
	defer func() { _ = st.close() }()
	if key == "" {
		if key, err = readJournalKey(st.settings); err != nil {
			return exitError{exitFailed, err}
		}
	}
	v, err := journal.NewVerifier(key)
	if err != nil {
		return exitError{exitUsage, fmt.Errorf("--key: %w", err)}
	}
	opts := journal.VerifyOptions{}
	if known != "" {
		if opts.Known, err = os.ReadFile(known); err != nil {
			return exitError{exitUsage, fmt.Errorf("--checkpoint: %w", err)}
		}
	}
	r, err := journal.Verify(ctx, st.Log, st.State, v, opts)
	if err != nil {
		return exitError{exitFailed, err}
	}
	fmt.Fprintf(p.Stdout, "entries %d, checkpoints %d, unsealed %d\n", r.Size, r.Checkpoints, r.Unsealed)
	for _, pr := range r.Problems {
		fmt.Fprintf(p.Stdout, "PROBLEM entry %d: %s\n", pr.Entry, pr.What)
	}
	for _, l := range r.Limits {
		fmt.Fprintln(p.Stdout, "cannot be proved:", l)
	}
	if len(r.Problems) > 0 {
		return exitError{exitFailed, fmt.Errorf("the journal does not verify: %d problems", len(r.Problems))}
	}
	fmt.Fprintln(p.Stdout, "the journal verifies")
	return nil
}

func exportCommand(p Process) *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the sealed entries as JSON lines",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, err := openState(cmd.Context(), p, state)
			if err != nil {
				return err
			}
			defer func() { _ = st.close() }()
			enc := json.NewEncoder(p.Stdout)
			enc.SetEscapeHTML(false)
			return journal.Read(cmd.Context(), st.Log, 0, func(_ int64, e journal.Entry) error { return enc.Encode(e) })
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "directory of the embedded state (default: CMKGUARD_STATE)")
	return cmd
}

func policyCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{Use: "policy", Short: "Work with policy files"}
	cmd.AddCommand(&cobra.Command{
		Use:   "check FILE",
		Short: "Say everything that is wrong with a policy file, by line",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			raw, err := os.ReadFile(args[0])
			if err != nil {
				return exitError{exitUsage, err}
			}
			pol, err := parsePolicy(args[0], raw)
			if err != nil {
				return exitError{exitFailed, err}
			}
			fmt.Fprintf(p.Stdout, "%s is right (sha256 %s)\n", args[0], pol.Hash)
			for _, w := range pol.Warnings() {
				fmt.Fprintln(p.Stdout, "warning:", w)
			}
			return nil
		},
	})
	cmd.AddCommand(profileCommand(p), recipeCommand(p))
	return cmd
}

// profileCommand prints a policy that ships, to be kept and changed.
func profileCommand(p Process) *cobra.Command {
	return &cobra.Command{
		Use:   "profile [NAME]",
		Short: "List the policies that ship for a kind of user, or print one to start from",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				_, err := fmt.Fprintln(p.Stdout, strings.Join(policy.Profiles(), "\n"))
				return err
			}
			text, ok := policy.Profile(args[0])
			if !ok {
				return exitError{exitUsage, fmt.Errorf("there is no profile %q: want %s", args[0], strings.Join(policy.Profiles(), ", "))}
			}
			_, err := p.Stdout.Write(text)
			return err
		},
	}
}

// recipeCommand prints what a webhook's recipe sends, to be read or changed.
func recipeCommand(p Process) *cobra.Command {
	return &cobra.Command{
		Use:   "recipe [NAME]",
		Short: "List the recipes of webhooks, or print one: what it sends, and the receiver's limits with their sources",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				_, err := fmt.Fprintln(p.Stdout, strings.Join(policy.Recipes(), "\n"))
				return err
			}
			text, ok := policy.Recipe(args[0])
			if !ok {
				return exitError{exitUsage, fmt.Errorf("there is no recipe %q: want %s", args[0], strings.Join(policy.Recipes(), ", "))}
			}
			_, err := fmt.Fprint(p.Stdout, text)
			return err
		},
	}
}
