// Package entra proves who somebody is by a Microsoft Entra access token, checked
// by ourselves: signature by the tenant's published keys, issuer, audience,
// validity, tenant, app role, and that it is a person's and not an application's
// (learn.microsoft.com, "Access token claims reference").
//
// It decides nothing about what the person may approve. A token is never logged
// or stored; errors name what is wrong with it and not what is in it.
package entra

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"cmkguard/internal/approval"
	"cmkguard/internal/fault"
)

// Role is the app role that a token must carry, to be defined in the app registration
// and assigned to the people who may decide.
const Role = "CMKGuard.Approver"

// Options say which tokens are believed. All are required.
type Options struct {
	Authority string // https://login.microsoftonline.com/ of the cloud
	Tenant    string // directory id
	Audience  string // client id, or its api:// form
	HTTP      *http.Client
	Now       func() time.Time
}

// Verifier checks tokens. It is safe for concurrent use.
type Verifier struct {
	o    Options
	keys oidc.KeySet
}

// New returns a verifier; a missing setting is an Invalid fault that names it.
func New(o Options) (*Verifier, error) {
	const op = "entra.New"
	switch {
	case o.Tenant == "" || strings.ContainsAny(o.Tenant, "/ "):
		return nil, fault.New(fault.Invalid, op, "CMKGUARD_APPROVAL_TENANT is not set: want the directory id of the people who decide")
	case o.Audience == "":
		return nil, fault.New(fault.Invalid, op, "CMKGUARD_APPROVAL_AUDIENCE is not set: want the client id of the app registration whose role %s they hold", Role)
	case o.HTTP == nil || o.Now == nil || o.Authority == "":
		return nil, fault.New(fault.Invalid, op, "an authority, a client and a clock are needed")
	}
	o.Authority = strings.TrimRight(o.Authority, "/")
	ctx := oidc.ClientContext(context.Background(), o.HTTP)
	return &Verifier{o: o, keys: oidc.NewRemoteKeySet(ctx, o.Authority+"/"+o.Tenant+"/discovery/v2.0/keys")}, nil
}

// claims are what is read of a token, by their documented names.
type claims struct {
	Object string   `json:"oid"`
	Tenant string   `json:"tid"`
	Name   string   `json:"preferred_username"`
	UPN    string   `json:"upn"`
	Roles  []string `json:"roles"`
	Scopes string   `json:"scp"`   // present in tokens of people only
	Kind   string   `json:"idtyp"` // "app" in tokens of applications
	NotYet float64  `json:"nbf"`
}

// Person returns who the token proves. A token that proves nobody is a Denied fault.
func (v *Verifier) Person(ctx context.Context, token string) (approval.Person, error) {
	const op = "entra.Person"
	refuse := func(format string, args ...any) (approval.Person, error) {
		return approval.Person{}, fault.New(fault.Denied, op, "the token proves nobody: "+format, args...)
	}
	t, err := v.verify(ctx, token)
	if err != nil {
		return refuse("%w", err)
	}
	var c claims
	if err := t.Claims(&c); err != nil {
		return refuse("its claims cannot be read")
	}
	audiences := []string{v.o.Audience, "api://" + v.o.Audience}
	switch now := v.o.Now(); {
	case !slices.ContainsFunc(t.Audience, func(a string) bool { return slices.Contains(audiences, a) }):
		return refuse("it is not for %s", v.o.Audience)
	case !strings.EqualFold(c.Tenant, v.o.Tenant):
		return refuse("it is of another directory")
	case now.Add(5 * time.Minute).Before(time.Unix(int64(c.NotYet), 0)):
		return refuse("it is not valid yet")
	case c.Kind == "app" || c.Scopes == "":
		return refuse("it is an application's, not a person's")
	case !slices.Contains(c.Roles, Role):
		return refuse("the person does not hold the app role %s", Role)
	case c.Object == "":
		return refuse("it has no object id")
	}
	p := approval.Person{Object: strings.ToLower(c.Object), Tenant: strings.ToLower(c.Tenant), Name: c.Name}
	if p.Name == "" {
		p.Name = c.UPN
	}
	return p, nil
}

// verify checks signature, issuer and expiry. Entra issues access tokens of two
// versions with two issuers; both name the tenant.
func (v *Verifier) verify(ctx context.Context, token string) (*oidc.IDToken, error) {
	config := &oidc.Config{SkipClientIDCheck: true, Now: v.o.Now, SupportedSigningAlgs: []string{oidc.RS256}}
	t, err := oidc.NewVerifier(v.o.Authority+"/"+v.o.Tenant+"/v2.0", v.keys, config).Verify(ctx, token)
	if err == nil {
		return t, nil
	}
	if old, oldErr := oidc.NewVerifier("https://sts.windows.net/"+v.o.Tenant+"/", v.keys, config).Verify(ctx, token); oldErr == nil {
		return old, nil
	}
	return nil, err
}
