package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"cmkguard/internal/fault"
	"cmkguard/internal/guard"
)

// poisonCommand is about what could not be handled and is kept.
func poisonCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "poison",
		Short: "List, show, replay or drop what could not be handled and was kept: input, and alerts that no attempt delivered",
	}
	cmd.AddCommand(poisonList(p), poisonShow(p), poisonReplay(p), poisonDrop(p))
	return cmd
}

// withKept runs do with the guard of the settings. Its state has to be there: a
// mistyped directory has nothing to show.
func withKept(ctx context.Context, p Process, do func(g *guard.Guard) error) error {
	if s, _, _ := readSettings(p.Env); s.StateDir != "" {
		if _, err := os.Stat(s.StateDir); err != nil {
			return exitError{exitFailed, err}
		}
	}
	w, _, err := commandWorld(ctx, p)
	if err != nil {
		return err
	}
	defer w.close()
	return do(w.guard)
}

func poisonList(p Process) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "list", Short: "Say what is kept and why", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withKept(cmd.Context(), p, func(g *guard.Guard) error {
				all := []guard.Kept{}
				err := g.EachKept(cmd.Context(), func(k guard.Kept) error {
					k.Body = nil // each may be a third of a megabyte
					all = append(all, k)
					return nil
				})
				if err != nil {
					return exitError{exitFailed, err}
				}
				return inForm(p.Stdout, output, all, func(w io.Writer) error { return keptTable(w, all) })
			})
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

func outputFlag(cmd *cobra.Command, output *string) {
	cmd.Flags().StringVarP(output, "output", "o", "table", "table or json")
}

// inForm writes v as indented JSON, or by table.
func inForm(w io.Writer, output string, v any, table func(io.Writer) error) error {
	switch output {
	case "table":
		return table(w)
	case "json":
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	}
	return exitError{exitUsage, fmt.Errorf("--output is %q: want table or json", output)}
}

func keptTable(out io.Writer, all []guard.Kept) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(out, "nothing is kept")
		return err
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tSOURCE\tRECEIVED\tSIZE\tREASON")
	for _, k := range all {
		size := fmt.Sprint(k.Size)
		if k.Cut {
			size += " (cut)"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", k.ID, plain(k.Source), k.Received.UTC().Format(time.RFC3339), size, oneLine(k.Reason, 160))
	}
	return t.Flush()
}

// plain makes text from outside safe for a terminal: what is neither printable nor
// a line's end or a tab is written as its code.
func plain(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n', r == '\t', unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		i += n
	}
	return b.String()
}

func oneLine(s string, limit int) string {
	s = strings.Join(strings.Fields(plain(s)), " ")
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "..."
}

func poisonShow(p Process) *cobra.Command {
	var output string
	var raw bool
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show one whole, as it is kept", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withKept(cmd.Context(), p, func(g *guard.Guard) error {
				k, err := g.FindKept(cmd.Context(), args[0])
				if err != nil {
					return exitError{exitFailed, err}
				}
				if raw {
					_, err := p.Stdout.Write(k.Body)
					return err
				}
				shown := struct {
					guard.Kept
					Body  string `json:"body,omitempty"`
					Bytes []byte `json:"bytes,omitempty"` // base64; where the body is no text
				}{Kept: k}
				if utf8.Valid(k.Body) {
					shown.Body = string(k.Body)
				} else {
					shown.Bytes = k.Body
				}
				return inForm(p.Stdout, output, shown, func(w io.Writer) error { return showKept(w, k) })
			})
		},
	}
	outputFlag(cmd, &output)
	cmd.Flags().BoolVar(&raw, "raw", false, "only the bytes, for a file or a pipe into cmkguard replay -")
	return cmd
}

func showKept(out io.Writer, k guard.Kept) error {
	fmt.Fprintf(out, "%s\n  came by   %s, %s\n  size      %d bytes\n  because   %s\n", k.ID, plain(k.Source), k.Received.UTC().Format(time.RFC3339), k.Size, oneLine(k.Reason, 2000))
	if k.Cut {
		fmt.Fprintf(out, "  cut       only its first %d bytes are kept: a row holds no more\n", len(k.Body))
	}
	if k.Redacted {
		fmt.Fprintln(out, "  redacted  credentials were taken out before it was kept")
	}
	_, err := fmt.Fprintf(out, "\n%s\n", plain(string(k.Body)))
	return err
}

func poisonReplay(p Process) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "replay ID | --all",
		Short: "Take in again what is kept, through the function that it came by; exit 3 if something stays",
		Long: "What can be read now is stored and queued as if it had just come, and kept no more; the running process works on it.\n" +
			"An event that was taken in before, by whichever way, is recognised. What still cannot be read stays, and why is said.\n" +
			"An alert is tried again. To see first what would be done: cmkguard poison show ID --raw | cmkguard replay -",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) == 1) {
				return exitError{exitUsage, fmt.Errorf("want one ID, or --all")}
			}
			return withKept(cmd.Context(), p, func(g *guard.Guard) error {
				return replayKept(cmd.Context(), p, g, args)
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "everything that is kept")
	return cmd
}

func replayKept(ctx context.Context, p Process, g *guard.Guard, ids []string) error {
	all := len(ids) == 0
	if all {
		if err := g.EachKept(ctx, func(k guard.Kept) error { ids = append(ids, k.ID); return nil }); err != nil {
			return exitError{exitFailed, err}
		}
	}
	by, stays := operator(), 0
	for _, id := range ids {
		r, err := g.ReplayKept(ctx, id, by, takeAgain)
		switch {
		case fault.Is(err, fault.Invalid) && all: // somebody else was faster
			continue
		case err != nil:
			return exitError{exitFailed, err}
		case r.Taken:
			fmt.Fprintf(p.Stdout, "%s  taken in\n", id)
		default:
			stays++
			fmt.Fprintf(p.Stdout, "%s  stays: %s\n", id, oneLine(r.Why, 2000))
		}
		for _, part := range r.Left {
			stays++
			fmt.Fprintf(p.Stdout, "%s  stays: a part of the above that cannot be read\n", part)
		}
	}
	fmt.Fprintf(p.Stdout, "%d replayed, %d stay\n", len(ids), stays)
	if stays > 0 {
		return exitError{code: exitFound}
	}
	return nil
}

func poisonDrop(p Process) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "drop ID", Short: "Give up what is kept; the journal keeps who did, why, and its hash", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withKept(cmd.Context(), p, func(g *guard.Guard) error {
				if err := g.DropKept(cmd.Context(), args[0], operator(), reason); err != nil {
					return exitError{exitFailed, err}
				}
				_, err := fmt.Fprintf(p.Stdout, "%s  dropped\n", args[0])
				return err
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the record")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

// operator names who runs the command, as this machine does: it is no proof, and
// the record says so.
func operator() string {
	name := "somebody"
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "an unnamed machine"
	}
	return name + " at " + host + " (as that machine says)"
}
