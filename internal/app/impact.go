package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"cmkguard/internal/azure/survey"
	"cmkguard/internal/azureid"
	"cmkguard/internal/findings"
	"cmkguard/internal/impact"
	"cmkguard/internal/wiring"
)

// impactCommand answers what breaks if something that clusters stand on is lost.
func impactCommand(p Process) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "impact KEY-URL | VAULT-URL | ARM-ID",
		Short: "Say what breaks if a key, key version, vault, identity or role assignment is lost; exit 0 only if it is proved that nobody is hurt, 3 otherwise",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return tellImpact(cmd.Context(), p, args[0], output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table, json")
	return cmd
}

func tellImpact(ctx context.Context, p Process, subject, output string) error {
	if output != "table" && output != "json" {
		return exitError{exitUsage, fmt.Errorf("--output is %q: want table or json", output)}
	}
	l := &look{depth: survey.DepthSweep}
	if err := l.connect(p); err != nil {
		return exitError{exitUsage, err}
	}
	t, err := l.target(subject)
	if err != nil {
		return exitError{exitUsage, err}
	}
	r, err := l.impact(ctx, subject, t)
	if err != nil {
		return exitError{exitFailed, err}
	}
	if err := writeImpact(p.Stdout, output, r); err != nil {
		return exitError{exitFailed, err}
	}
	if !r.Nobody() {
		return exitError{code: exitFound}
	}
	return nil
}

// target is what would be lost, and who stands on it.
type target struct {
	loss      impact.Loss
	consumers func(ctx context.Context) (consumers, error)
}

type consumers struct {
	clusters []azureid.Resource
	others   []impact.Other
	gaps     []string // why there may be more
}

func (c *consumers) gap(complete bool, why string) {
	if !complete {
		c.gaps = append(c.gaps, why)
	}
}

// target reads what a person names: a key or vault by its URL, everything else by
// its ARM id.
func (l *look) target(subject string) (target, error) {
	if strings.HasPrefix(subject, "/") {
		id, err := azureid.ParseResource(subject)
		if err != nil {
			return target{}, err
		}
		switch id.Type() {
		case azureid.TypeVault:
			return target{impact.Vault, func(ctx context.Context) (consumers, error) { return l.ofVault(ctx, id) }}, nil
		case azureid.TypeIdentity:
			return target{impact.Identity, func(ctx context.Context) (consumers, error) { return l.ofIdentity(ctx, id) }}, nil
		case azureid.TypeRoleAssignment:
			return target{impact.Assignment(id.String()), func(ctx context.Context) (consumers, error) { return l.ofAssignment(ctx, id) }}, nil
		}
		return target{}, fmt.Errorf("%q is of type %s: want a vault, a user-assigned identity or a role assignment", subject, id.Type())
	}
	host := strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(subject, "https://"), "/"))
	if !strings.Contains(host, "/") && l.cloud.CheckVaultHost(host) == nil {
		return target{impact.Vault, func(ctx context.Context) (consumers, error) { return l.ofHost(ctx, host) }}, nil
	}
	k, err := azureid.ParseKey(subject, l.cloud)
	if err != nil {
		return target{}, fmt.Errorf("%w: want https://VAULT/keys/NAME, https://VAULT/keys/NAME/VERSION, https://VAULT, or an ARM id", err)
	}
	loss := impact.Loss(impact.Key)
	if k.Version != "" {
		loss = impact.Version(k)
	}
	return target{loss, func(ctx context.Context) (consumers, error) { return l.ofKey(ctx, k) }}, nil
}

func (l *look) ofKey(ctx context.Context, k azureid.Key) (consumers, error) {
	var out consumers
	found := l.run.Consumers(ctx, k)
	out.gap(found.Complete, found.Why)
	for _, c := range found.Clusters {
		if impact.Consumer(c, k) {
			out.clusters = append(out.clusters, c.ID)
		}
	}
	l.others(ctx, &out, k.Host, k.Name)
	return out, nil
}

func (l *look) ofHost(ctx context.Context, host string) (consumers, error) {
	v := l.run.VaultByHost(ctx, host)
	if v.OK() {
		return l.ofVault(ctx, v.Value.ID)
	}
	// A vault that cannot be seen still has the clusters that name it.
	var out consumers
	found, complete, why := l.run.ClustersOfHost(ctx, host)
	out.gap(complete, why)
	out.add(found)
	l.others(ctx, &out, host, "")
	return out, nil
}

func (l *look) ofVault(ctx context.Context, id azureid.Resource) (consumers, error) {
	var out consumers
	found, complete, why := l.run.ClustersOfVault(ctx, id)
	out.gap(complete, why)
	out.add(found)
	host := strings.ToLower(id.Name()) + l.cloud.VaultSuffixes[0]
	if len(found) > 0 {
		host = found[0].CMK.Key.Host
	}
	l.others(ctx, &out, host, "")
	return out, nil
}

func (c *consumers) add(found []wiring.Cluster) {
	for _, one := range found {
		c.clusters = append(c.clusters, one.ID)
	}
}

func (l *look) ofIdentity(ctx context.Context, id azureid.Resource) (consumers, error) {
	var out consumers
	clusters, others, complete, why := l.run.ClustersOfIdentity(ctx, id)
	out.gap(complete, why)
	out.clusters = clusters
	for _, o := range others {
		out.others = append(out.others, impact.Other{ID: o.String(), Type: o.Type(), How: "the identity is attached to it"})
	}
	return out, nil
}

func (l *look) ofAssignment(ctx context.Context, id azureid.Resource) (consumers, error) {
	var out consumers
	a := l.run.Assignment(ctx, id)
	if !a.OK() {
		return out, fmt.Errorf("the role assignment %s: %s", id, a.Why)
	}
	clusters, complete, why := l.run.ClustersUnder(ctx, a.Value)
	out.gap(complete, why)
	out.clusters = clusters
	return out, nil
}

func (l *look) others(ctx context.Context, out *consumers, host, key string) {
	how := "its settings name the vault"
	if key != "" {
		how = "its settings name the key"
	}
	f := l.run.Others(ctx, host, key)
	out.gap(f.OK(), f.Why)
	for _, m := range f.Value {
		out.others = append(out.others, impact.Other{ID: m.ID.String(), Type: m.ID.Type(), How: how})
	}
}

func (l *look) impact(ctx context.Context, subject string, t target) (impact.Report, error) {
	r := impact.Report{Subject: subject, At: l.now().UTC(), Effects: []impact.Effect{}, Others: []impact.Other{}}
	found, err := t.consumers(ctx)
	if err != nil {
		return r, err
	}
	var ws []wiring.Wiring
	for _, id := range found.clusters {
		w := l.run.Around(ctx, l.run.Wiring(ctx, id), survey.Options{Depth: survey.DepthSweep})
		ws = append(ws, w)
		r.Effects = append(r.Effects, impact.Judge(w, t.loss, l.limits, l.now()))
	}
	r.Others = append(r.Others, found.others...)
	r.Complete, r.Why = len(found.gaps) == 0, strings.Join(found.gaps, "; ")
	r.Recover = impact.Recovery(ws, l.now())
	r.Sort()
	return r, nil
}

func writeImpact(w io.Writer, output string, r impact.Report) error {
	if output == "json" {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(r.Effects) > 0 {
		fmt.Fprintln(tw, "ANSWER\tCLUSTER\tKIND\tOWNER\tTAGS\tWHAT")
	}
	for _, e := range r.Effects {
		what := e.Why
		if e.Breaks != "" {
			what = e.Check + ": " + e.Breaks
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\n", e.Answer, findings.Plain(e.Name), e.Kind, findings.Plain(e.Owner), findings.Plain(tagList(e.Tags)), findings.Plain(what))
	}
	for _, o := range r.Others {
		fmt.Fprintf(tw, "stands on it\t%s\t%s\t\t\t%s\n", findings.Plain(o.ID), o.Type, o.How)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%s\n%s\n", findings.Plain(r.Summary()), findings.Plain(r.Recover))
	return err
}

func tagList(tags map[string]string) string {
	var out []string
	for k, v := range tags {
		if !strings.EqualFold(k, "owner") {
			out = append(out, k+"="+v)
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}
