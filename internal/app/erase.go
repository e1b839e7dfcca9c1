package app

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cmkguard/internal/approval"
	"cmkguard/internal/azureid"
	"cmkguard/internal/guard"
	"cmkguard/internal/wiring"
)

func eraseCommand(p Process) *cobra.Command {
	var reason string
	var certificate bool
	cmd := &cobra.Command{
		Use:   "erase KEY",
		Short: "Record that a key is to be erased for good (two persons); --certificate shows where its erasure stands",
		Long: "With two persons' answers nothing rescues the key any more. CMK Guard never deletes or purges: its owner deletes the\n" +
			"key, Key Vault purges it at the scheduled date, and the certificate says so.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if certificate {
				return certify(cmd.Context(), p, args[0])
			}
			return asPerson(cmd.Context(), p, func(ctx context.Context, g *guard.Guard, by approval.Person) (approval.Decision, error) {
				k, err := azureid.ParseKey(args[0], g.Cloud)
				if err != nil {
					return approval.Decision{}, err
				}
				return g.Erase(ctx, k, by, reason)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the record: the ticket")
	cmd.Flags().BoolVar(&certificate, "certificate", false, "show the certificate; changes nothing")
	return cmd
}

// Certificate is what can be proved about a key's erasure at a moment.
type Certificate struct {
	Schema     int                 `json:"schema"`
	Key        string              `json:"key"`
	At         time.Time           `json:"at"`
	State      string              `json:"state"` // not-decided, live, deleted, gone, unknown
	Means      string              `json:"means"`
	Decisions  []approval.Decision `json:"decisions"`
	Versions   []string            `json:"versions,omitempty"` // of the key now, or when its erasure was decided
	DeletedAt  *time.Time          `json:"deletedAt,omitempty"`
	PurgeAt    *time.Time          `json:"purgeAt,omitempty"` // scheduled by Key Vault
	Evidence   []string            `json:"evidence"`
	Dependents []string            `json:"dependents"` // clusters that still name the key
}

func certify(ctx context.Context, p Process, text string) error {
	w, _, err := commandWorld(ctx, p)
	if err != nil {
		return err
	}
	defer w.close()
	k, err := azureid.ParseKey(text, w.guard.Cloud)
	if err != nil {
		return exitError{exitUsage, err}
	}
	standing, decisions, err := w.guard.Erasure(ctx, k.Base())
	if err != nil {
		return exitError{exitFailed, err}
	}
	c := Certificate{Schema: 1, Key: k.ID(), At: w.now().UTC(), Decisions: decisions, Dependents: []string{}}
	run := w.guard.Survey()
	for _, cl := range run.Consumers(ctx, k.Base()).Clusters {
		c.Dependents = append(c.Dependents, cl.ID.String())
	}
	c.judge(w.reader.Versions(ctx, k.Base()), w.reader.Deleted(ctx, k.Base()), standing.Approved)
	enc := json.NewEncoder(p.Stdout)
	enc.SetIndent("", "  ")
	if err := enc.Encode(c); err != nil {
		return err
	}
	if c.State != "gone" && c.State != "deleted" {
		return exitError{exitFound, fmt.Errorf("not erased: %s", c.Means)}
	}
	return nil
}

func (c *Certificate) judge(live wiring.Fact[[]wiring.KeyVersion], deleted wiring.Fact[wiring.DeletedKey], decided bool) {
	c.Evidence = []string{saw(live.Call, live.At, string(live.State), live.Why), saw(deleted.Call, deleted.At, string(deleted.State), deleted.Why)}
	for _, v := range live.Value {
		c.Versions = append(c.Versions, v.Key.Version)
	}
	for _, d := range c.Decisions {
		if d.Versions != "" {
			c.Versions = append(c.Versions, strings.Split(d.Versions, ",")...)
		}
	}
	slices.Sort(c.Versions)
	c.Versions = slices.Compact(c.Versions)
	switch {
	case !decided:
		c.State, c.Means = "not-decided", "two persons have not decided to erase this key"
	case live.OK():
		c.State, c.Means = "live", "decided, and the key is still there: its owner deletes it"
	case deleted.OK():
		at, purge := deleted.Value.DeletedAt, deleted.Value.PurgeAt
		c.State, c.Means, c.DeletedAt = "deleted", "the key is soft-deleted and nothing of ours recovers it; whoever may recover keys still can until the purge", &at
		if !purge.IsZero() {
			c.PurgeAt = &purge
		}
	case live.State == wiring.Absent && deleted.State == wiring.Absent:
		c.State, c.Means = "gone", "the key is neither live nor deleted: it was purged, and what it encrypted cannot be read. A backup of the key taken before is outside of what this shows"
	default:
		c.State, c.Means = "unknown", "the vault could not be read"
	}
}

func saw(call string, at time.Time, state, why string) string {
	s := call + " at " + at.UTC().Format(time.RFC3339) + ": " + state
	if why != "" {
		s += " (" + why + ")"
	}
	return s
}
