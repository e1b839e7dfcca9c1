package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"cmkguard/internal/azureid"
	"cmkguard/internal/drill"
	"cmkguard/internal/guard"
)

func drillCommand(p Process) *cobra.Command {
	var all, asJSON bool
	var cluster string
	cmd := &cobra.Command{
		Use:   "drill [SCENARIO]",
		Short: "Run a marked exercise through the real path, the last step simulated; without a scenario, list them",
		Long: "The live wiring of one real cluster is read and one fault laid over it: nothing of Azure is written to. Alerts go through\n" +
			"the real channels, marked [DRILL]; incidents and plans of an exercise are kept apart from real ones. The result is an\n" +
			"entry in the journal. Exit code 1: an exercise did not get through.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			names, target, err := drillsAsked(args, all, cluster)
			if err != nil {
				return exitError{exitUsage, err}
			}
			if len(names) == 0 {
				return listDrills(p.Stdout)
			}
			return runDrills(cmd.Context(), p, names, target, asJSON)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "run every scenario")
	cmd.Flags().StringVar(&cluster, "cluster", "", "ARM id of the cluster whose wiring is read; without it another one each day")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON lines")
	return cmd
}

func runDrills(ctx context.Context, p Process, names []string, target azureid.Resource, asJSON bool) error {
	w, _, err := commandWorld(ctx, p)
	if err != nil {
		return err
	}
	defer w.close()
	failed := 0
	for _, name := range names {
		r, err := w.guard.Drill(ctx, name, target)
		if err != nil {
			return exitError{exitFailed, err}
		}
		if !r.Passed {
			failed++
		}
		if err := showDrill(p.Stdout, r, asJSON); err != nil {
			return exitError{exitFailed, err}
		}
	}
	if failed > 0 {
		return exitError{exitFailed, fmt.Errorf("%d of %d exercises did not get through", failed, len(names))}
	}
	return nil
}

func drillsAsked(args []string, all bool, cluster string) (names []string, target azureid.Resource, err error) {
	if all && len(args) > 0 {
		return nil, target, fmt.Errorf("want one SCENARIO or --all")
	}
	for _, s := range drill.Scenarios() {
		if all || len(args) == 1 && args[0] == s.Name {
			names = append(names, s.Name)
		}
	}
	if len(args) == 1 && len(names) == 0 {
		return nil, target, fmt.Errorf("%q is no exercise: cmkguard drill lists them", args[0])
	}
	if cluster != "" {
		if target, err = azureid.ParseResource(cluster); err != nil || target.Type() != azureid.TypeRedisEnterprise {
			return nil, target, fmt.Errorf("--cluster: %q is not the ARM id of a redisEnterprise cluster", cluster)
		}
	}
	return names, target, nil
}

func listDrills(out io.Writer) error {
	for _, s := range drill.Scenarios() {
		if _, err := fmt.Fprintf(out, "%-15s %s\n", s.Name, s.About); err != nil {
			return err
		}
	}
	return nil
}

func showDrill(out io.Writer, r guard.DrillResult, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(r)
	}
	verdict := map[bool]string{true: "got through", false: "did not get through"}[r.Passed]
	fmt.Fprintf(out, "drill %s %s (%s)\n", r.Scenario, verdict, r.ID)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, s := range r.Stages {
		mark := map[bool]string{true: "reached", false: "MISSED"}[s.Reached]
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", s.Name, mark, s.At.Format(time.RFC3339), s.Text)
	}
	for _, c := range r.Receipts {
		fmt.Fprintf(t, "  receipt\t%s\t%s\t%s %s\n", c.State, c.Channel, c.Alert, c.Why)
	}
	return t.Flush()
}
