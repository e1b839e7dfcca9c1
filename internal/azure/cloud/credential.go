package cloud

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"cmkguard/internal/fault"
)

// Credential returns the credential of the user-assigned identity with the
// client id, or of the environment (azidentity's default chain) when it is
// empty, or the profile's static token. It gives tokens for this cloud's
// audiences only; its errors are Denied, or Transient where asking again can
// help: no call was made either way.
func (p Profile) Credential(clientID string) (azcore.TokenCredential, error) {
	const op = "cloud.Credential"
	if p.Token != "" {
		return guarded{p, static(p.Token)}, nil
	}
	o := p.authOptions(policy.RetryOptions{})
	if clientID != "" {
		c, err := azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{
			ClientOptions: o, ID: azidentity.ClientID(clientID),
		})
		if err != nil {
			return nil, fault.Wrap(fault.Denied, op, err)
		}
		return guarded{p, c}, nil
	}
	c, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: o})
	if err != nil {
		return nil, fault.Wrap(fault.Denied, op, err)
	}
	return guarded{p, c}, nil
}

// Person returns the credential of whoever is signed in at this machine (az
// login), or the profile's static token. It is for proving who a person is, not
// for calling Azure: the audience is the product's own.
func (p Profile) Person() (azcore.TokenCredential, error) {
	if p.Token != "" {
		return static(p.Token), nil
	}
	c, err := azidentity.NewAzureCLICredential(nil)
	if err != nil {
		return nil, fault.Wrap(fault.Denied, "cloud.Person", err)
	}
	return c, nil
}

// static is the test token. Load lets it through only where every endpoint is
// on this machine.
type static string

// GetToken implements azcore.TokenCredential.
func (s static) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: string(s), ExpiresOn: time.Unix(1<<33, 0)}, nil
}

// guarded refuses audiences of other clouds: a challenge names the audience,
// and a challenge is whatever a host answers.
type guarded struct {
	p    Profile
	next azcore.TokenCredential
}

// GetToken implements azcore.TokenCredential.
func (g guarded) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	const op = "cloud.GetToken"
	if len(o.Scopes) == 0 {
		return azcore.AccessToken{}, fault.New(fault.Denied, op, "no scope was asked for")
	}
	for _, s := range o.Scopes {
		if !g.p.isAudience(s) {
			return azcore.AccessToken{}, fault.New(fault.Denied, op, "refused a token for %q: not an audience of cloud %q", s, g.p.Name)
		}
	}
	t, err := g.next.GetToken(ctx, o)
	if err != nil {
		return azcore.AccessToken{}, &fault.Error{Op: op, Kind: tokenKind(err), Code: "NoToken", Err: err}
	}
	return t, nil
}

func (p Profile) isAudience(scope string) bool {
	want := trimAudience(strings.TrimSuffix(scope, "/.default")) // Resource Manager's scope has two slashes
	for _, a := range [...]string{p.ARMAudience, p.VaultAudience, p.GridAudience} {
		if want == trimAudience(a) {
			return true
		}
	}
	for _, s := range p.HSMSuffixes { // "https://managedhsm.azure.net"
		if want == "https://"+strings.TrimPrefix(s, ".") {
			return true
		}
	}
	return false
}

func trimAudience(a string) string { return strings.ToLower(strings.TrimRight(a, "/")) }

// tokenKind is Denied where the identity service answered and refused.
func tokenKind(err error) fault.Kind {
	var auth *azidentity.AuthenticationFailedError
	if errors.As(err, &auth) && auth.RawResponse != nil {
		if s := auth.RawResponse.StatusCode; s >= http.StatusInternalServerError || s == http.StatusTooManyRequests {
			return fault.Transient
		}
		return fault.Denied
	}
	if fault.TimedOut(err) {
		return fault.Transient
	}
	return fault.Denied
}

// ObjectID returns the object id, in lower case, of whoever the credential's tokens
// are of: the claim oid of one for Resource Manager (learn.microsoft.com
// entra/identity-platform/access-token-claims-reference). The token is our own, so
// that nothing of it needs to be verified; it is not kept.
func (p Profile) ObjectID(ctx context.Context, cred azcore.TokenCredential) (string, error) {
	const op = "cloud.ObjectID"
	t, err := cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{strings.TrimRight(p.ARMAudience, "/") + "/.default"}})
	if err != nil {
		return "", err
	}
	parts := strings.Split(t.Token, ".")
	if len(parts) != 3 {
		return "", fault.New(fault.Invalid, op, "the token is no JWT, so that its owner cannot be told")
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", fault.New(fault.Invalid, op, "the token's claims are not base64")
	}
	var claims struct {
		OID string `json:"oid"`
	}
	if json.Unmarshal(raw, &claims) != nil || claims.OID == "" {
		return "", fault.New(fault.Invalid, op, "the token names no object id")
	}
	return strings.ToLower(claims.OID), nil
}
