package app

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"cmkguard/internal/alert"
	alertgrid "cmkguard/internal/alert/eventgrid"
	"cmkguard/internal/alert/examples"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/policy"
)

// renderCommand shows what a channel would send. It needs no secret and sends nothing.
func renderCommand(p Process) *cobra.Command {
	var channel, example, file string
	var text bool
	cmd := &cobra.Command{
		Use:   "render --channel CHANNEL --example EXAMPLE",
		Short: "Show what a channel would send of an example: the exact payload, or with --text what a person sees",
		Long: "CHANNEL is the name of one in the policy, or a kind: " + strings.Join(policy.Kinds(), ", ") + ",\n" +
			"or a webhook's recipe: " + strings.Join(policy.Recipes(), ", ") + ".\n" +
			"--example list names the examples. Secrets are shown as zeros. Nothing is sent.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if example == "list" {
				return listExamples(p.Stdout)
			}
			e, ok := examples.Find(example, examples.At())
			if !ok {
				return exitError{exitUsage, fmt.Errorf("--example %q: there is none; --example list names them", example)}
			}
			r, err := renderer(p, channel, file)
			if err != nil {
				return err
			}
			return render(p.Stdout, r, e.Alert, text)
		},
	}
	cmd.Flags().StringVar(&channel, "channel", "", "name of a channel in the policy, or a kind")
	cmd.Flags().StringVar(&example, "example", "key-deleted", "name of an example, or list")
	cmd.Flags().StringVar(&file, "policy", "", "policy file (default: CMKGUARD_POLICY)")
	cmd.Flags().BoolVar(&text, "text", false, "what a person sees, in place of the payload")
	return cmd
}

func listExamples(out io.Writer) error {
	for _, e := range examples.All(examples.At()) {
		if _, err := fmt.Fprintf(out, "%-22s %s\n", e.Name, e.Says); err != nil {
			return err
		}
	}
	return nil
}

// renderer makes the channel that was asked for, with secrets that are none.
func renderer(p Process, name, file string) (alert.Renderer, error) {
	s, _, _ := readSettings(p.Env)
	if file != "" {
		s.Policy = file
	}
	pol, problem := readPolicy(s.Policy)
	if problem != "" {
		return nil, exitError{exitFailed, errors.New(problem)}
	}
	c, err := channelNamed(pol, name)
	if err != nil {
		return nil, exitError{exitUsage, err}
	}
	profile, err := cloud.Load("public")
	if err != nil {
		return nil, err
	}
	if c.Kind == "eventgrid" {
		return alertgrid.New(nil, examples.At), nil // nothing is published
	}
	p.Env, p.Stdout = func(string) string { return zeros(c) }, io.Discard
	m := channelMaker{process: p, profile: profile, now: examples.At}
	ch, err := m.worded(pol, c)
	if err != nil {
		return nil, exitError{exitFailed, fmt.Errorf("%s:%d: channel %s: %w", pol.File, c.Line, c.Name, err)}
	}
	r, ok := ch.(alert.Renderer)
	if !ok {
		return nil, exitError{exitFailed, fmt.Errorf("channel %s cannot be shown", name)}
	}
	return r, nil
}

// channelNamed is the policy's channel of the name, or one of the kind as it would be
// by default.
func channelNamed(pol *policy.Policy, name string) (policy.Channel, error) {
	for _, c := range pol.Channels {
		if c.Name == name {
			return c, nil
		}
	}
	if slices.Contains(policy.Recipes(), name) {
		return policy.Sample(name), nil
	}
	if !slices.Contains(policy.Kinds(), name) {
		return policy.Channel{}, fmt.Errorf("--channel %q is neither a channel of the policy nor a kind nor a recipe: want %s, %s", name,
			strings.Join(policy.Kinds(), ", "), strings.Join(policy.Recipes(), ", "))
	}
	c := policy.Channel{Name: name, Kind: name, SecretRef: "NONE"}
	switch name {
	case "webhook", "alertmanager":
		c.URL = "https://" + name + ".example.com"
	case "eventgrid":
		c.URL = "https://topic.westeurope-1.eventgrid.azure.net/api/events"
	case "email":
		c.Server, c.From, c.To = "smtp.example.com:587", "CMK Guard <cmkguard@example.com>", []string{"oncall@example.com"}
	}
	return c, nil
}

// zeros is a secret in the form that the channel wants, which opens nothing.
func zeros(c policy.Channel) string {
	switch {
	case c.Kind == "webhook" && (c.Hook.Auth == "" || c.Hook.Auth == policy.AuthSignature):
		return "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 32))
	case c.Kind == "slack" && c.Target != "":
		return "xoxb-0"
	case c.Kind == "slack" || c.Kind == "teams":
		return "https://" + c.Kind + ".example.com/0"
	}
	return strings.Repeat("0", 32)
}

// render prints JSON indented, so that a person and a diff can read it.
func render(out io.Writer, r alert.Renderer, a alert.Alert, text bool) error {
	got, err := r.Render(a)
	if err != nil {
		return exitError{exitFailed, err}
	}
	if text {
		_, err = fmt.Fprintln(out, strings.TrimSpace(got.Text))
		return err
	}
	_, err = fmt.Fprintln(out, strings.TrimSpace(string(pretty(got))))
	return err
}

func pretty(r alert.Rendered) []byte {
	if !strings.Contains(r.Media, "json") {
		return r.Body
	}
	var b bytes.Buffer
	if json.Indent(&b, r.Body, "", "  ") != nil {
		return r.Body
	}
	return b.Bytes()
}
