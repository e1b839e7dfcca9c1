package app

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"cmkguard/internal/azureid"
	"cmkguard/internal/event"
	"cmkguard/internal/incident"
	"cmkguard/internal/store"
)

// stateCommand shows what is stored about one subject: its incidents, plans
// with what each gate said, sagas and deliveries.
func stateCommand(p Process) *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use:   "show SUBJECT",
		Short: "Show incidents, plans, sagas and deliveries of a key URL or an ARM id, as JSON lines",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			st, err := openState(cmd.Context(), p, state)
			if err != nil {
				return err
			}
			defer func() { _ = st.close() }()
			partition, err := partitionOf(args[0])
			if err != nil {
				return exitError{exitUsage, err}
			}
			return show(cmd.Context(), p, st.State, partition)
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "directory of the embedded state (default: CMKGUARD_STATE)")
	return cmd
}

func partitionOf(subject string) (string, error) {
	if strings.HasPrefix(subject, "https://") {
		for _, c := range []azureid.Cloud{azureid.Public(), azureid.USGov(), azureid.China()} {
			if k, err := azureid.ParseKey(subject, c); err == nil {
				return incident.Partition(event.Subject{Kind: event.SubjectKey, ID: k.ID()}), nil
			}
		}
		return "", fmt.Errorf("%q is not a key URL of a known cloud: want https://VAULT.vault.azure.net/keys/NAME", subject)
	}
	r, err := azureid.ParseResource(subject)
	if err != nil {
		return "", err
	}
	kind := event.SubjectCluster
	if r.Type() == azureid.TypeVault {
		kind = event.SubjectVault
	}
	return incident.Partition(event.Subject{Kind: kind, ID: r.Key()}), nil
}

// show leaves out intents: they hold resume tokens.
func show(ctx context.Context, p Process, state store.State, partition string) error {
	rows, err := state.Scan(ctx, partition, "", "", 1000)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(p.Stdout)
	enc.SetEscapeHTML(false)
	shown := 0
	for _, row := range rows {
		kind, _, _ := strings.Cut(row.Key, "~")
		switch kind {
		case "incident", "plan", "saga", "outbox":
			shown++
			if err := enc.Encode(map[string]any{"row": row.Key, "value": json.RawMessage(row.Value)}); err != nil {
				return err
			}
		}
	}
	if shown == 0 {
		return exitError{exitFailed, fmt.Errorf("nothing is stored about this subject")}
	}
	return nil
}
