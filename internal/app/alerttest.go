package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/examples"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/journal"
	"cmkguard/internal/policy"
	"cmkguard/internal/store"
)

// testTime is how long one message of a test may take: as long as an alert may.
const testTime = 10 * time.Second

// testCommand proves channels by sending through them.
func testCommand(p Process) *cobra.Command {
	var channel, file string
	cmd := &cobra.Command{
		Use:   "test [--channel NAME]",
		Short: "Send a marked test through the real channels and print each receipt; exit 1 if one failed",
		Long: "The message is marked [TEST] and has a key of its own; a second one resolves it at once, so that nothing stays open.\n" +
			"With CMKGUARD_STATE the receipts go into the journal, too.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, done, err := newAlertTest(cmd.Context(), p, file)
			if err != nil {
				return err
			}
			defer done()
			return t.run(cmd.Context(), channel)
		},
	}
	cmd.Flags().StringVar(&channel, "channel", "", "name of one channel of the policy (default: all)")
	cmd.Flags().StringVar(&file, "policy", "", "policy file (default: CMKGUARD_POLICY)")
	return cmd
}

// alertTest is one run of the command.
type alertTest struct {
	process Process
	policy  *policy.Policy
	make    channelMaker
	rec     *journal.Recorder // nil: no state is configured
}

func newAlertTest(ctx context.Context, p Process, file string) (*alertTest, func(), error) {
	s, _, _ := readSettings(p.Env)
	if file != "" {
		s.Policy = file
	}
	pol, problem := readPolicy(s.Policy)
	if problem != "" {
		return nil, nil, exitError{exitFailed, errors.New(problem)}
	}
	profile, err := cloud.Load(s.Cloud)
	if err != nil {
		return nil, nil, exitError{exitUsage, fmt.Errorf("CMKGUARD_CLOUD=%s: %w", s.Cloud, err)}
	}
	t := &alertTest{process: p, policy: pol, make: channelMaker{process: p, profile: profile, settings: s}}
	if p.Env("CMKGUARD_STATE") == "" {
		return t, func() {}, nil
	}
	st, err := openState(ctx, p, "")
	if err != nil {
		return nil, nil, err
	}
	t.make.state, t.rec = st.State, journal.NewRecorder(st.State, p.Version, profile.Clock())
	return t, func() { _ = st.close() }, nil
}

func (t *alertTest) run(ctx context.Context, only string) error {
	failed, seen := 0, 0
	for _, c := range t.policy.Channels {
		if only != "" && c.Name != only {
			continue
		}
		seen++
		line, err := t.prove(ctx, c)
		if err != nil {
			failed++
		}
		fmt.Fprintln(t.process.Stdout, line)
		if err := t.record(ctx, line); err != nil {
			return exitError{exitFailed, fmt.Errorf("the receipt could not be recorded: %w", err)}
		}
	}
	switch {
	case seen == 0:
		return exitError{exitUsage, fmt.Errorf("--channel %q: the policy has no such channel", only)}
	case failed > 0:
		return exitError{exitFailed, fmt.Errorf("%d of %d channels failed", failed, seen)}
	}
	return nil
}

// prove sends the test and its end, and returns the receipt.
func (t *alertTest) prove(ctx context.Context, c policy.Channel) (string, error) {
	name := c.Name + " (" + c.Kind + ")"
	ch, err := t.make.worded(t.policy, c)
	if err != nil {
		return fmt.Sprintf("%s: FAILED, cannot be made: %v", name, err), err
	}
	now := t.make.clock()
	began := now()
	a := examples.Test("test-"+uuid.NewString(), began.UTC())
	id, err := sendWithin(ctx, ch, a)
	if err == nil {
		end := a
		end.ID, end.Lifecycle, end.Title = a.ID+"-end", alert.Resolve, alert.Fixed+a.Title
		if _, err = sendWithin(ctx, ch, end); err != nil {
			err = fmt.Errorf("the test arrived (id %s) and is still open there, its end did not: %w", id, err)
		}
	}
	took := now().Sub(began).Round(time.Millisecond)
	if err != nil {
		class := alert.ClassOf(err)
		return fmt.Sprintf("%s: FAILED in %s, %s: %v; %s", name, took, class, err, mend(class, c)), err
	}
	return fmt.Sprintf("%s: sent and resolved in %s, id %s", name, took, id), nil
}

func sendWithin(ctx context.Context, ch alert.Channel, a alert.Alert) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, testTime)
	defer cancel()
	return ch.Send(ctx, a)
}

// mend says what to look at.
func mend(class alert.Class, c policy.Channel) string {
	switch class {
	case alert.ClassAuth:
		if c.SecretRef != "" {
			return "look at the setting " + c.SecretRef + ": the receiver does not take what it holds"
		}
		return "look at the roles of the observer identity"
	case alert.ClassRate:
		return "the receiver throttles: try again later, or lower the channel's rate"
	case alert.ClassServer:
		return "the receiver is not well, or asks to wait: try again later"
	case alert.ClassPayload:
		return "the receiver will never take this: look at the channel's url and fields, and at templates of your own"
	case alert.ClassNetwork:
		return "nothing answered: look at the name, the firewall and the way there"
	}
	return "look at the channel's fields"
}

// record keeps the receipt in the journal, where there is one.
func (t *alertTest) record(ctx context.Context, line string) error {
	if t.rec == nil {
		return nil
	}
	const partition, subject = "self", "scope:cmkguard"
	return t.rec.Commit(ctx, partition, []journal.Entry{{
		Kind: journal.KindReceipt, Subject: subject, Ref: store.Name("test", line), Text: alert.Clean("test of "+strings.TrimSpace(line), 1000),
	}})
}
