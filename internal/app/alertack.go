package app

import (
	"fmt"

	"github.com/spf13/cobra"
)

// ackCommand says that a person works on an incident.
func ackCommand(p Process) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "ack INCIDENT",
		Short: "Say that you work on an incident: nobody is reminded or called further",
		Long: "INCIDENT is what alerts show as incident: CHECK/SUBJECT-PARTITION. It stays open until it is read back as fixed; if it gets\n" +
			"worse, it counts as not acknowledged again.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			check, partition, ok := incidentName(args[0])
			if !ok {
				return exitError{exitUsage, fmt.Errorf("%q is no incident: want CHECK/SUBJECT-PARTITION as alerts show it", args[0])}
			}
			w, s, err := commandWorld(cmd.Context(), p)
			if err != nil {
				return err
			}
			defer w.close()
			by, err := whoAsks(cmd.Context(), p, w, s)
			if err != nil {
				return exitError{exitFailed, err}
			}
			i, err := w.guard.Acknowledge(cmd.Context(), partition, check, by, reason)
			if err != nil {
				return exitError{exitFailed, err}
			}
			_, err = fmt.Fprintf(p.Stdout, "%s of %s acknowledged by %s; it is open since %s\n", check, i.Subject, i.Acked.By, i.Opened.Format("2006-01-02 15:04 UTC"))
			return err
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "what you do about it, for the record")
	return cmd
}
