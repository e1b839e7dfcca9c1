package app

import (
	"fmt"
	"net/http"
	"net/url"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/templates"
	"cmkguard/internal/alert/webhook"
	"cmkguard/internal/fault"
	"cmkguard/internal/policy"
	"cmkguard/internal/risk"
)

// hook makes a webhook whose requests are the policy's or a recipe's.
func (m *channelMaker) hook(c policy.Channel, secret string) (alert.Channel, error) {
	prove, err := m.prove(c, secret)
	if err != nil {
		return nil, err
	}
	o := webhook.CallsOptions{URL: c.URL, With: c.Hook.With, Prove: prove, ID: c.Hook.ID, Now: m.clock()}
	if f := c.Hook.Find; f.Path != "" {
		o.Find = webhook.Find{List: f.List, ID: f.ID, Lags: f.Lags}
		if o.Find.Path, err = templates.Parse(templates.Path(), f.Path); err != nil {
			return nil, fmt.Errorf("find.path: %w", err)
		}
	}
	for _, r := range c.Hook.Requests {
		made := webhook.Request{On: r.On, MinSeverity: risk.Severity(r.MinSeverity), When: r.When, Method: r.Method}
		if r.Path != "" {
			if made.Path, err = templates.Parse(templates.Path(), r.Path); err != nil {
				return nil, fmt.Errorf("path: %w", err)
			}
		}
		if made.Body, err = templates.Parse(templates.Body(), r.Body); err != nil {
			return nil, fmt.Errorf("body: %w", err)
		}
		o.Requests = append(o.Requests, made)
	}
	return webhook.NewCalls(o)
}

func (m *channelMaker) prove(c policy.Channel, secret string) (webhook.Prove, error) {
	switch c.Hook.Auth {
	case policy.AuthBasic:
		return webhook.Basic(c.User, secret), nil
	case policy.AuthBearer:
		return webhook.Header("Authorization", "Bearer "+secret), nil
	case policy.AuthGenieKey:
		return webhook.Header("Authorization", "GenieKey "+secret), nil
	case policy.AuthHeader:
		return webhook.Header(http.CanonicalHeaderKey(c.Hook.Header), secret), nil
	case policy.AuthNone:
		return webhook.Nobody, nil
	case policy.AuthIdentity:
		return m.identity(c)
	case policy.AuthSignature, "":
		return webhook.Signature(secret)
	}
	return nil, fault.New(fault.Invalid, "app.prove", "auth %q is not one that this build has", c.Hook.Auth)
}

// identity gives tokens of the observer identity for the channel's audience. The
// policy's reader has refused audiences that would open anything of ours to the
// receiver; a static test token leaves this machine for nobody.
func (m *channelMaker) identity(c policy.Channel) (webhook.Prove, error) {
	if u, err := url.Parse(c.URL); m.profile.Token != "" && (err != nil || !isThisMachine(u.Hostname())) {
		return nil, fault.New(fault.Invalid, "app.identity", "the cloud profile's test token is for this machine only")
	}
	give, err := m.profile.Outside(m.settings.Observer, c.Hook.Audience)
	if err != nil {
		return nil, err
	}
	return webhook.Token(give), nil
}

func isThisMachine(host string) bool {
	return host == "127.0.0.1" || host == "::1" || host == "localhost"
}
