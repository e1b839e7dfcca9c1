package app

import (
	"context"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/alertmanager"
	"cmkguard/internal/alert/console"
	"cmkguard/internal/alert/email"
	alertgrid "cmkguard/internal/alert/eventgrid"
	"cmkguard/internal/alert/pagerduty"
	"cmkguard/internal/alert/slack"
	"cmkguard/internal/alert/teams"
	"cmkguard/internal/alert/webhook"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/azure/grid"
	"cmkguard/internal/fault"
	"cmkguard/internal/policy"
	"cmkguard/internal/store"
)

// channelMaker makes the channels that a policy names.
type channelMaker struct {
	process  Process
	profile  cloud.Profile
	settings Settings
	state    store.State      // nil: what is open elsewhere is not kept
	now      func() time.Time // nil: the profile's
}

// all makes every channel that it can, and says why it cannot make the others.
func (m *channelMaker) all(pol *policy.Policy) (map[string]alert.Channel, []string) {
	out := map[string]alert.Channel{}
	var problems []string
	for _, c := range pol.Channels {
		ch, err := m.worded(pol, c)
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s:%d: channel %s: %v", pol.File, c.Line, c.Name, err))
			continue
		}
		out[c.Name] = ch
	}
	return out, problems
}

// worded makes one channel with the policy's words.
func (m *channelMaker) worded(pol *policy.Policy, c policy.Channel) (alert.Channel, error) {
	ch, err := m.one(c)
	if err != nil {
		return nil, err
	}
	return worded(ch, wordsOf(pol, c.Kind)), nil
}

func (m *channelMaker) one(c policy.Channel) (alert.Channel, error) {
	secret := ""
	if c.SecretRef != "" {
		if secret = m.process.Env(c.SecretRef); secret == "" {
			return nil, fmt.Errorf("setting %s (secretRef) is not set", c.SecretRef)
		}
	}
	now := m.clock()
	switch c.Kind {
	case "console":
		return console.New(m.process.Stdout, false, now), nil
	case "alertmanager":
		return alertmanager.New(alertmanager.Options{Name: c.Name, URL: c.URL, User: c.User, Secret: secret, State: m.state, Now: now})
	case "email":
		return email.New(email.Options{
			Server: c.Server, Implicit: c.TLS == "implicit" || c.TLS == "" && email.ImplicitTLS(c.Server),
			User: c.User, Password: secret, From: c.From, To: c.To, Now: now,
		})
	case "eventgrid":
		return m.grid(c)
	case "webhook":
		if len(c.Hook.Requests) > 0 {
			return m.hook(c, secret)
		}
		return secretChannel(c, secret, now)
	case "pagerduty", "slack", "teams":
		return secretChannel(c, secret, now)
	}
	return nil, fault.New(fault.Invalid, "app.channelMaker", "kind %q is not one that this build has", c.Kind)
}

func (m *channelMaker) clock() func() time.Time {
	if m.now != nil {
		return m.now
	}
	return m.profile.Clock()
}

func (m *channelMaker) grid(c policy.Channel) (alert.Channel, error) {
	cred, err := m.profile.Credential(m.settings.Observer)
	if err != nil {
		return nil, err
	}
	pub, err := grid.New(m.profile, c.URL, cred)
	if err != nil {
		return nil, err
	}
	return alertgrid.New(pub, m.profile.Clock()), nil
}

// secretChannel builds the channels that are nothing without a secret.
func secretChannel(c policy.Channel, secret string, now func() time.Time) (alert.Channel, error) {
	switch {
	case secret == "":
		return nil, fmt.Errorf("has no secretRef: NAME of the setting that holds its secret")
	case c.Kind == "pagerduty" && c.URL != "":
		return pagerduty.New(c.URL, secret, now)
	case c.Kind == "pagerduty":
		return pagerduty.New(c.Region, secret, now)
	case c.Kind == "slack" && c.Target != "":
		return slack.NewBot(c.URL, secret, c.Target, now)
	case c.Kind == "slack":
		return slack.NewWebhook(secret, now)
	case c.Kind == "teams":
		return teams.New(secret, now)
	}
	return webhook.New(c.URL, secret, now)
}

// refreshTime is how long what is open at receivers that forget may take to be sent
// again: a sweep has other things to do.
const refreshTime = 20 * time.Second

// refresher sends again what is open at the receivers that take silence for the end.
// What goes wrong is logged: the next sweep does it again.
func refresher(channels map[string]alert.Channel, log zerolog.Logger) func(context.Context) {
	type refreshes interface {
		Refresh(ctx context.Context) error
	}
	of := map[string]refreshes{}
	for name, c := range channels {
		if r, ok := c.(refreshes); ok {
			of[name] = r
		}
	}
	if len(of) == 0 {
		return nil
	}
	return func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, refreshTime)
		defer cancel()
		for name, r := range of {
			if err := r.Refresh(ctx); err != nil {
				log.Warn().Str("channel", name).Err(err).Msg("what is open there could not be sent again")
			}
		}
	}
}
