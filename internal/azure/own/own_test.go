package own_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/azure/own"
	"cmkguard/internal/azureid"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/wiring"
)

const (
	observer   = "99999999-0000-0000-0000-000000000001"
	remediator = "99999999-0000-0000-0000-000000000002"
	client     = "88888888-0000-0000-0000-000000000002"
	custom     = "77777777-0000-0000-0000-000000000001"
)

type token struct {
	text string
	err  error
}

func (t token) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: t.text, ExpiresOn: time.Now().Add(time.Hour)}, t.err
}

type estate struct {
	sim    *azuresim.Sim
	sample azuresim.Sample
	read   func(...own.Identity) []wiring.OwnIdentity
}

func newEstate(t *testing.T) estate {
	t.Helper()
	sim := azuresim.New(azuresim.Options{})
	e := estate{sim: sim, sample: sim.AddSample("v1", 24*time.Hour)}
	srv, err := sim.Serve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	path, err := srv.WriteProfile(t.TempDir(), e.sample.Token)
	if err != nil {
		t.Fatal(err)
	}
	p, err := cloud.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	cred, err := p.Credential("")
	if err != nil {
		t.Fatal(err)
	}
	e.read = func(ids ...own.Identity) []wiring.OwnIdentity {
		r, err := own.New(p, cred, ids, []string{e.sample.Subscription}, sim.Clock().Now)
		if err != nil {
			t.Fatal(err)
		}
		return r.Own(context.Background())
	}
	return e
}

func TestWhatOurIdentitiesWereGiven(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	subscription := "/subscriptions/" + e.sample.Subscription
	e.sim.AddRole(azuresim.RoleDefinition{ID: custom, Name: "CMK Guard Observer", Actions: []string{"*/read"}, NotActions: []string{"Microsoft.Secret/read"}, DataActions: []string{"Microsoft.KeyVault/vaults/keys/read"}})
	e.sim.Assign(subscription, custom, observer)
	e.sim.Assign(e.sample.Vault.String()+"/keys/kek", azuresim.RoleCryptoUser, observer) // below the subscription
	e.sim.Assign(e.sample.Vault.String(), azuresim.RoleCryptoOfficer, remediator)
	byPolicy := azureid.MustResource(e.sample.Scope + "Microsoft.KeyVault/vaults/kv-old")
	e.sim.AddVault(azuresim.Vault{ID: byPolicy, Location: "westeurope", Policies: []azuresim.AccessPolicy{
		{TenantID: "t", ObjectID: strings.ToUpper(observer), Keys: []string{"get", "purge"}}, {TenantID: "t", ObjectID: remediator, Keys: []string{"rotate"}}}})
	e.sim.AddIdentity(azuresim.Identity{ID: azureid.MustResource(e.sample.Scope + "Microsoft.ManagedIdentity/userAssignedIdentities/id-remediator"), PrincipalID: remediator, ClientID: client})
	got := e.read(
		own.Identity{Role: "observer", Credential: token{text: e.sim.SignIn(observer, "arm", nil)}},
		own.Identity{Role: "remediator", ClientID: strings.ToUpper(client), Credential: token{text: "opaque"}},
	)
	if len(got) != 2 || got[0].Object.Value != observer || got[1].Object.Value != remediator || !strings.Contains(got[1].Object.Call, "by client id") {
		t.Fatalf("%+v", got)
	}
	if o := got[0]; !o.Grants.OK() || len(o.Grants.Value) != 2 || !o.Policies.OK() || len(o.Policies.Value) != 1 || !slices.Equal(o.Policies.Value[0].Keys, []string{"get", "purge"}) {
		t.Errorf("%+v", o)
	}
	at := slices.IndexFunc(got[0].Grants.Value, func(g wiring.OwnGrant) bool { return g.Role.Value.Name == "CMK Guard Observer" })
	if at < 0 || !slices.Equal(got[0].Grants.Value[at].Role.Value.Permissions[0].Actions, []string{"*/read"}) || len(got[0].Grants.Value[at].Role.Value.Permissions[0].NotActions) != 1 {
		t.Errorf("%+v", got[0].Grants.Value)
	}
	if r := got[1]; len(r.Grants.Value) != 1 || r.Grants.Value[0].Role.Value.Name != "Key Vault Crypto Officer" || len(r.Policies.Value) != 1 {
		t.Errorf("%+v", r)
	}
}

// What cannot be read is said to be so, and never looks like nothing.
func TestWhatCannotBeReadIsUnreadable(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	for name, c := range map[string]struct {
		id   own.Identity
		want string
	}{
		"an opaque token":          {own.Identity{Role: "observer", Credential: token{text: "opaque"}}, "is no JWT"},
		"a token without a claim":  {own.Identity{Role: "observer", Credential: token{text: e.sim.SignIn(observer, "arm", map[string]any{"oid": nil})}}, "names no object id"},
		"a claim that is no GUID":  {own.Identity{Role: "observer", Credential: token{text: e.sim.SignIn(observer, "arm", map[string]any{"oid": "' or 1"})}}, "is no GUID"},
		"no token, nobody's id":    {own.Identity{Role: "remediator", ClientID: client, Credential: token{err: errors.New("refused by IMDS")}}, "no identity with this client id"},
		"no token, and its reason": {own.Identity{Role: "remediator", ClientID: client, Credential: token{err: errors.New("refused by IMDS")}}, "refused by IMDS"},
	} {
		got := e.read(c.id)[0]
		if got.Object.OK() || !strings.Contains(got.Object.Why, c.want) || got.Grants.State != wiring.NotRead {
			t.Errorf("%s: %+v", name, got)
		}
	}
	known := own.Identity{Role: "observer", Credential: token{text: e.sim.SignIn(observer, "arm", nil)}}
	e.sim.Assign(e.sample.Vault.String(), "66666666-0000-0000-0000-000000000000", observer) // of a role that is gone
	if got := e.read(known)[0]; !got.Grants.OK() || got.Grants.Value[0].Role.State != wiring.Absent {
		t.Errorf("%+v", got.Grants)
	}
	refuse := func(path string) {
		e.sim.ClearFaults()
		e.sim.Inject(azuresim.Fault{Path: path, Times: 9, Mode: azuresim.Refuse, Status: 403, Code: "AuthorizationFailed"})
	}
	refuse("/subscriptions/*/providers/Microsoft.Authorization/roleAssignments")
	if got := e.read(known)[0]; got.Grants.State != wiring.Unreadable || !got.Policies.OK() {
		t.Errorf("%+v", got)
	}
	refuse("/providers/Microsoft.ResourceGraph/resources")
	if got := e.read(known)[0]; got.Policies.State != wiring.Unreadable || !got.Grants.OK() {
		t.Errorf("%+v", got)
	}
}
