package app

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"cmkguard/internal/approval"
	"cmkguard/internal/azureid"
	"cmkguard/internal/guard"
)

func quarantineCommand(p Process) *cobra.Command {
	var reason, to string
	cmd := &cobra.Command{
		Use:   "quarantine KEY --to VAULT/NAME",
		Short: "Ask that the clusters of a compromised key move to a new key in another vault",
		Long: "This asks, as the person whose Entra token is given, and approves nothing: the alert names the plan, which two persons\n" +
			"release. The new key is made there by CMK Guard, the clusters move one at a time, each read back, and whether the old key\n" +
			"is disabled stays a person's to decide.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return asPerson(cmd.Context(), p, func(ctx context.Context, g *guard.Guard, by approval.Person) (approval.Decision, error) {
				k, err := azureid.ParseKey(args[0], g.Cloud)
				if err != nil {
					return approval.Decision{}, err
				}
				vault, name, ok := strings.Cut(to, "/")
				_, suffix, has := strings.Cut(k.Host, ".")
				if !ok || !has || vault == "" || strings.ContainsAny(vault, "./:") {
					return approval.Decision{}, fmt.Errorf("--to %q: want VAULT/NAME of the new key, such as kv-safe/orders", to)
				}
				next, err := azureid.ParseKey("https://"+vault+"."+suffix+"/keys/"+name, g.Cloud)
				if err != nil {
					return approval.Decision{}, err
				}
				return g.AskQuarantine(ctx, k, next, by, reason)
			})
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "vault and name of the new key, which must not exist")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the record: the incident's ticket")
	_ = cmd.MarkFlagRequired("to")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}
