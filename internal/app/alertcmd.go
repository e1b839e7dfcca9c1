package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/examples"
	"cmkguard/internal/alert/route"
	"cmkguard/internal/fault"
	"cmkguard/internal/policy"
	"cmkguard/internal/store"
)

func alertCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{Use: "alert", Short: "Explain, acknowledge and prove alerts"}
	cmd.AddCommand(renderCommand(p), testCommand(p), routeCommand(p), ackCommand(p))
	return cmd
}

// routeCommand explains where an alert goes.
func routeCommand(p Process) *cobra.Command {
	var state, file, at string
	cmd := &cobra.Command{
		Use:   "route INCIDENT|EXAMPLE|FILE",
		Short: "Say route by route where an alert goes, and why",
		Long: "INCIDENT is what alerts show as incident: CHECK/SUBJECT-PARTITION. EXAMPLE names a kind of alert, such as key-deleted.\n" +
			"FILE holds an alert as JSON, as webhooks get it in data. " +
			"Nothing is sent.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, _, _ := readSettings(p.Env)
			if file != "" {
				s.Policy = file
			}
			pol, problem := readPolicy(s.Policy)
			if problem != "" {
				return exitError{exitFailed, errors.New(problem)}
			}
			now := time.Now()
			if at != "" {
				var err error
				if now, err = time.Parse(time.RFC3339, at); err != nil {
					return exitError{exitUsage, fmt.Errorf("--at %q: want 2026-09-21T22:00:00+02:00", at)}
				}
			}
			a, told, err := alertNamed(cmd.Context(), p, state, args[0])
			if err != nil {
				return err
			}
			return explain(p.Stdout, pol, a, told, now)
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "directory of the embedded state (default: CMKGUARD_STATE)")
	cmd.Flags().StringVar(&file, "policy", "", "policy file (default: CMKGUARD_POLICY)")
	cmd.Flags().StringVar(&at, "at", "", "as of this time, for routes with hours (default: now)")
	return cmd
}

// explain prints what each route says, and where the alert goes in the end.
func explain(out io.Writer, pol *policy.Policy, a alert.Alert, told []string, now time.Time) error {
	c := route.Decide(pol, a, told, now)
	f := route.Facts(a)
	fmt.Fprintf(out, "%s\n  %s, family %s, vault %s, %s\n", alert.Head(a), a.Lifecycle, f.Family, orDefault(a.Vault, "none"), a.Subject)
	for _, r := range c.Routes {
		says := "takes it"
		if r.Miss != "" {
			says = "does not: " + r.Miss
		}
		fmt.Fprintf(out, "%s -> %s\n  %s\n", r.Where, strings.Join(r.Channels, ", "), says)
	}
	if c.Note != "" {
		fmt.Fprintln(out, c.Note)
	}
	for _, t := range c.Targets {
		fmt.Fprintf(out, "goes to %s: %s\n", t.Channel, t.Why)
		if g, ok := route.Group(pol, a, t.Channel); ok && alert.MayWait(a) {
			fmt.Fprintf(out, "  with others of %s: %s after the first, and then every %s\n", g.Name, g.Wait, g.Every)
		}
		if s, ok := pol.Storm(t.Channel); ok {
			fmt.Fprintf(out, "  as part of a storm: beyond %d messages within %s\n", s.More, s.Within)
		}
		if len(t.Fallback) > 0 {
			fmt.Fprintf(out, "  while it cannot be reached: %s\n", strings.Join(t.Fallback, ", "))
		}
	}
	for _, r := range c.Repeat {
		fmt.Fprintf(out, "until somebody acknowledges it: %s again every %s\n", r.Channel, r.Every)
	}
	for _, e := range c.Escalate {
		fmt.Fprintf(out, "until somebody acknowledges it: after %s also %s\n", e.After, strings.Join(e.Channels, ", "))
	}
	if len(c.Targets) == 0 {
		fmt.Fprintln(out, "goes to nobody: only the journal shows it")
	}
	return nil
}

// alertNamed finds the alert that a person means, and who was told of its problem
// before.
func alertNamed(ctx context.Context, p Process, state, name string) (a alert.Alert, told []string, err error) {
	raw, err := os.ReadFile(name)
	if err == nil {
		if err := json.Unmarshal(raw, &a); err != nil {
			return a, nil, exitError{exitUsage, fmt.Errorf("%s is no alert as JSON: %w", name, err)}
		}
		return a, nil, nil
	}
	if e, ok := examples.Find(name, examples.At()); ok {
		return e.Alert, nil, nil
	}
	check, partition, ok := incidentName(name)
	if !ok {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%q is neither an incident, an example nor a file: want CHECK/SUBJECT-PARTITION as alerts show it, the name of a kind of alert such as key-deleted, or a file with an alert as JSON", name)
		}
		return a, nil, exitError{exitUsage, err}
	}
	st, err := openState(ctx, p, state)
	if err != nil {
		return a, nil, err
	}
	defer func() { _ = st.close() }()
	return lastAlert(ctx, st.State, check, partition)
}

// incidentName takes a name apart that alerts show: their dedup key, with or
// without what stands before it.
func incidentName(s string) (check, partition string, ok bool) {
	check, partition, ok = strings.Cut(strings.TrimPrefix(s, alert.KeyPrefix), "/")
	return check, partition, ok && store.CheckKey("app.incidentName", partition) == nil && store.CheckKey("app.incidentName", check) == nil
}

// lastAlert is the newest that was made of the incident, and the channels that it
// was for.
func lastAlert(ctx context.Context, state store.State, check, partition string) (a alert.Alert, told []string, err error) {
	ns, err := alert.Outbox(ctx, state, partition)
	if err != nil {
		return a, nil, exitError{exitFailed, err}
	}
	for _, n := range ns {
		if n.Alert.DedupKey != alert.KeyPrefix+check+"/"+partition || n.Alert.Lifecycle == alert.Acknowledge {
			continue
		}
		if n.Alert.ID != a.ID {
			a, told = n.Alert, nil
		}
		told = append(told, n.Channel)
	}
	if a.ID == "" {
		return a, nil, exitError{exitFailed, fault.New(fault.Invalid, "app.lastAlert", "no alert of %s/%s is kept: they are for a week after they were sent", check, partition)}
	}
	a.Notes = nil // of its way then
	if a.Lifecycle == alert.Trigger {
		told = nil // it was the first: its channels are what is asked for
	}
	return a, told, nil
}
