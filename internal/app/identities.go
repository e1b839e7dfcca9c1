package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/spf13/cobra"

	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/azure/own"
	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/guard"
	"cmkguard/internal/remedy/rewire"
	"cmkguard/internal/remedy/rotate"
	"cmkguard/internal/self"
	"cmkguard/internal/wiring"
)

const noRemediator = "no remediator is configured (CMKGUARD_REMEDIATOR_CLIENT_ID), so nothing can write"

// ownRights reads what the identities of the settings were given.
func ownRights(p cloud.Profile, observer, remediator azcore.TokenCredential, s Settings, now func() time.Time) (guard.OwnRights, error) {
	ids := []own.Identity{{Role: "observer", ClientID: s.Observer, Credential: observer}}
	if s.Remediator != "" {
		ids = append(ids, own.Identity{Role: "remediator", ClientID: s.Remediator, Credential: remediator})
	}
	return own.New(p, observer, ids, s.Subscriptions, now)
}

// keysToRead and clustersToRead stand where there is no remediator: they read as the
// observer, and whatever would write is refused before it is sent, by no gate's leave.
type keysToRead struct{ rotate.Vault }

// Rotate implements rotate.Vault.
func (keysToRead) Rotate(context.Context, azureid.Key, string) (azureid.Key, error) {
	return azureid.Key{}, fault.New(fault.Denied, "app.Rotate", noRemediator)
}

type clustersToRead struct{ rewire.Clusters }

// Rewire implements rewire.Clusters.
func (clustersToRead) Rewire(context.Context, wiring.Cluster, azureid.Key, string) (string, error) {
	return "", fault.New(fault.Denied, "app.Rewire", noRemediator)
}

func identitiesCommand(p Process) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "identities",
		Short: "Show what our own identities may do beyond what they need; exit 3 if there is anything",
		Long: "The observer needs to read; the remediator needs what the remedies take that the policy lets act (docs/remedies.md). Role\n" +
			"assignments at, above and below the watched subscriptions are compared, and the access policies of the vaults there.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, s, err := commandWorld(cmd.Context(), p)
			if err != nil {
				return err
			}
			defer w.close()
			if w.guard.Watch.Rights == nil {
				return exitError{exitFailed, fmt.Errorf("our own rights cannot be read: %s", w.guard.Observe)}
			}
			all := w.guard.Holdings(cmd.Context())
			if err := showHoldings(p.Stdout, all, s, asJSON); err != nil {
				return exitError{exitFailed, err}
			}
			for _, h := range all {
				if len(h.Excess) > 0 || guard.SameIdentity(all) {
					return exitError{code: exitFound}
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON lines")
	return cmd
}

func showHoldings(out io.Writer, all []self.Holding, s Settings, asJSON bool) error {
	for _, h := range all {
		if asJSON {
			if err := json.NewEncoder(out).Encode(h); err != nil {
				return err
			}
			continue
		}
		object := h.Object.Value
		if !h.Object.OK() {
			object = "unknown"
		}
		fmt.Fprintf(out, "%s  client id %s, object id %s\n", h.Role, orDefault(h.ClientID, "not set"), object)
		for _, e := range h.Excess {
			fmt.Fprintf(out, "  %-8s  %s  (%s at %s)\n", e.Severity, e.What, e.By, e.Scope)
		}
		switch {
		case h.Unknown != "":
			fmt.Fprintf(out, "  unknown   %s\n", h.Unknown)
		case len(h.Excess) == 0:
			fmt.Fprintf(out, "  may do nothing beyond what it needs (%d role assignments)\n", len(h.Grants.Value))
		}
	}
	if asJSON {
		return nil
	}
	if guard.SameIdentity(all) {
		fmt.Fprintln(out, "observer and remediator are one identity: whoever reads as it may write as it")
	}
	if s.Remediator == "" {
		fmt.Fprintln(out, noRemediator)
	}
	return nil
}
