package app

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/fault"
	"cmkguard/internal/guard"
	"cmkguard/internal/store/azstore"
	"cmkguard/internal/store/filestore"
)

// openLetters opens where Event Grid leaves what it gave up: the container of the
// storage account, or the folder beside the embedded state.
func openLetters(s Settings, profile cloud.Profile) (guard.LetterBox, error) {
	if s.Storage == nil {
		return filestore.OpenLetters(s.StateDir), nil
	}
	o, err := accountOf(s, profile)
	if err != nil {
		return nil, err
	}
	box, err := azstore.OpenLetters(o)
	if err != nil {
		return nil, err // and no box that is none
	}
	return box, nil
}

// deadletterCommand is about the events that Event Grid gave up.
func deadletterCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "deadletter",
		Short: "List, show, replay or drop what Event Grid gave up and left in cmkguard-deadletter",
		Long: "The sweep takes in by itself what it can read, and says so. What stays here it could not read, or it came since the\n" +
			"last sweep.",
	}
	cmd.AddCommand(letterList(p), letterShow(p), letterReplay(p), letterDrop(p))
	return cmd
}

func letterList(p Process) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "list", Short: "Say what lies there, and why it was not taken in", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withKept(cmd.Context(), p, func(g *guard.Guard) error {
				all := []guard.DeadLetter{}
				err := g.EachDeadLetter(cmd.Context(), func(d guard.DeadLetter) error { all = append(all, d); return nil })
				if err != nil {
					return exitError{exitFailed, err}
				}
				return inForm(p.Stdout, output, all, func(w io.Writer) error { return letterTable(w, all) })
			})
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

func letterTable(out io.Writer, all []guard.DeadLetter) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(out, "no dead letters")
		return err
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tWRITTEN\tEVENTS\tGIVEN UP BECAUSE\tSTAYS BECAUSE")
	for _, d := range all {
		because, stays := "", d.Why
		if len(d.Events) > 0 {
			because = d.Events[0].Reason + ", " + d.Events[0].Outcome
		}
		if stays == "" {
			stays = "(the next sweep takes it in)"
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\n", plain(d.Name), d.Written.UTC().Format(time.RFC3339), len(d.Events), oneLine(because, 80), oneLine(stays, 160))
	}
	return t.Flush()
}

func letterShow(p Process) *cobra.Command {
	var output string
	var raw bool
	cmd := &cobra.Command{
		Use: "show NAME", Short: "Show one whole", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withKept(cmd.Context(), p, func(g *guard.Guard) error {
				d, body, err := g.FindDeadLetter(cmd.Context(), args[0])
				if err != nil {
					return exitError{exitFailed, err}
				}
				if raw {
					_, err := p.Stdout.Write(body)
					return err
				}
				shown := struct {
					guard.DeadLetter
					Body string `json:"body"`
				}{d, string(body)}
				return inForm(p.Stdout, output, shown, func(w io.Writer) error { return showLetter(w, d, body) })
			})
		},
	}
	outputFlag(cmd, &output)
	cmd.Flags().BoolVar(&raw, "raw", false, "only the bytes, for a file or a pipe into cmkguard replay -")
	return cmd
}

func showLetter(out io.Writer, d guard.DeadLetter, body []byte) error {
	fmt.Fprintf(out, "%s\n  written   %s, %d bytes\n", plain(d.Name), d.Written.UTC().Format(time.RFC3339), d.Size)
	for _, e := range d.Events {
		fmt.Fprintf(out, "  event     %s (%s): %s after %d attempts, last answer %s\n", plain(e.ID), plain(e.Type), plain(e.Reason), e.Attempts, plain(e.Outcome))
	}
	if d.Why != "" {
		fmt.Fprintf(out, "  stays     %s\n", oneLine(d.Why, 2000))
	}
	_, err := fmt.Fprintf(out, "\n%s\n", plain(string(body)))
	return err
}

func letterReplay(p Process) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "replay NAME | --all", Short: "Take in now what lies there; exit 3 if something stays", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) == 1) {
				return exitError{exitUsage, fmt.Errorf("want one NAME, or --all")}
			}
			return withKept(cmd.Context(), p, func(g *guard.Guard) error {
				return replayLetters(cmd.Context(), p, g, args)
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "everything that lies there")
	return cmd
}

func replayLetters(ctx context.Context, p Process, g *guard.Guard, names []string) error {
	all := len(names) == 0
	if all {
		if err := g.EachDeadLetter(ctx, func(d guard.DeadLetter) error { names = append(names, d.Name); return nil }); err != nil {
			return exitError{exitFailed, err}
		}
	}
	by, stays := operator(), 0
	for _, name := range names {
		r, err := g.ReplayDeadLetter(ctx, name, by)
		switch {
		case fault.Is(err, fault.Conflict) && all: // somebody else was faster
			continue
		case err != nil:
			return exitError{exitFailed, err}
		case r.Taken:
			fmt.Fprintf(p.Stdout, "%s  taken in\n", plain(name))
		default:
			stays++
			fmt.Fprintf(p.Stdout, "%s  stays: %s\n", plain(name), oneLine(r.Why, 2000))
		}
	}
	fmt.Fprintf(p.Stdout, "%d replayed, %d stay\n", len(names), stays)
	if stays > 0 {
		return exitError{code: exitFound}
	}
	return nil
}

func letterDrop(p Process) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "drop NAME", Short: "Delete one; the journal keeps who did, why, and what its events were", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withKept(cmd.Context(), p, func(g *guard.Guard) error {
				if err := g.DropDeadLetter(cmd.Context(), args[0], operator(), reason); err != nil {
					return exitError{exitFailed, err}
				}
				_, err := fmt.Fprintf(p.Stdout, "%s  dropped\n", plain(args[0]))
				return err
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the record")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}
