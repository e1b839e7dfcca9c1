// Package access reads who may use a key and through which vault: the vault's
// settings, the managed identity, and Azure RBAC at the key's own scope.
//
// It judges nothing: it does not expand groups, evaluate conditions or decide
// whether a grant is enough. It needs Reader on what it reads, with
// Microsoft.Authorization/*/read for the last three.
package access

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/authorization/armauthorization/v2"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/keyvault/armkeyvault/v2"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/msi/armmsi"

	"cmkguard/internal/azure/azfault"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/wiring"
)

// Client reads vaults, identities and role assignments. It is safe for
// concurrent use.
type Client struct {
	cred  azcore.TokenCredential
	now   func() time.Time
	opts  *arm.ClientOptions
	roles *armauthorization.RoleAssignmentsClient
	defs  *armauthorization.RoleDefinitionsClient
	deny  *armauthorization.DenyAssignmentsClient
}

// New returns a client that acts as cred.
func New(p cloud.Profile, cred azcore.TokenCredential, now func() time.Time) (*Client, error) {
	const op = "access.New"
	if cred == nil || now == nil {
		return nil, fault.New(fault.Invalid, op, "a credential and a clock are needed")
	}
	c := &Client{cred: cred, now: now, opts: p.ARMOptions(cloud.ReadRetry())}
	var err error
	if c.roles, err = armauthorization.NewRoleAssignmentsClient("", cred, c.opts); err != nil {
		return nil, fault.Wrap(fault.Invalid, op, err)
	}
	if c.defs, err = armauthorization.NewRoleDefinitionsClient(cred, c.opts); err != nil {
		return nil, fault.Wrap(fault.Invalid, op, err)
	}
	if c.deny, err = armauthorization.NewDenyAssignmentsClient("", cred, c.opts); err != nil {
		return nil, fault.Wrap(fault.Invalid, op, err)
	}
	return c, nil
}

// Vault reads the vault (API 2026-02-01). A setting that the resource leaves
// out is off: purge protection, RBAC authorization.
func (c *Client) Vault(ctx context.Context, id azureid.Resource) wiring.Fact[wiring.Vault] {
	call, at := "arm GET "+id.String(), c.now()
	if id.Type() != azureid.TypeVault {
		return wiring.Failed[wiring.Vault](call, at, "not a "+azureid.TypeVault+" id")
	}
	vaults, err := armkeyvault.NewVaultsClient(id.Subscription(), c.cred, c.opts)
	if err != nil {
		return failed[wiring.Vault](call, at, err)
	}
	resp, err := vaults.Get(ctx, id.ResourceGroup(), id.Name(), nil)
	if err != nil {
		return failed[wiring.Vault](call, at, err)
	}
	out, err := parseVault(id, resp.Vault)
	if err != nil {
		return failed[wiring.Vault](call, at, err)
	}
	return wiring.Read(out, call, at)
}

// ParseVault reads a vault's JSON as Resource Manager and Resource Graph give
// it. Anything else is an Invalid fault.
func ParseVault(raw []byte) (wiring.Vault, error) {
	var v armkeyvault.Vault
	if err := json.Unmarshal(raw, &v); err != nil {
		return wiring.Vault{}, fault.New(fault.Invalid, "access.ParseVault", "%w", err)
	}
	id, err := azureid.ParseResource(deref(v.ID))
	if err != nil {
		return wiring.Vault{}, err
	}
	return parseVault(id, v)
}

func parseVault(id azureid.Resource, v armkeyvault.Vault) (wiring.Vault, error) {
	const op = "access.parseVault"
	p := v.Properties
	if p == nil || p.VaultURI == nil {
		return wiring.Vault{}, fault.New(fault.Invalid, op, "the answer has no properties or no vaultUri")
	}
	u, err := url.Parse(*p.VaultURI)
	if err != nil || u.Hostname() == "" {
		return wiring.Vault{}, fault.New(fault.Invalid, op, "vaultUri %q is not a URL", *p.VaultURI)
	}
	out := wiring.Vault{
		ID: id, Name: id.Name(), Host: strings.ToLower(u.Hostname()), Location: deref(v.Location), TenantID: deref(p.TenantID),
		// Soft delete is always on for vaults whose resource does not say
		// otherwise (Key Vault soft-delete overview: it cannot be turned off).
		SoftDelete:      p.EnableSoftDelete == nil || *p.EnableSoftDelete,
		PurgeProtection: deref(p.EnablePurgeProtection), RBAC: deref(p.EnableRbacAuthorization),
		RetentionDays: int(deref(p.SoftDeleteRetentionInDays)), PublicNetworkAccess: deref(p.PublicNetworkAccess), Tags: tags(v.Tags),
	}
	if p.SKU != nil {
		out.SKU = string(deref(p.SKU.Name))
	}
	if n := p.NetworkACLs; n != nil {
		out.Bypass, out.DefaultAction = string(deref(n.Bypass)), string(deref(n.DefaultAction))
	}
	for _, a := range p.AccessPolicies {
		if a == nil {
			continue
		}
		e := wiring.AccessPolicy{TenantID: deref(a.TenantID), ObjectID: deref(a.ObjectID), ApplicationID: deref(a.ApplicationID)}
		if a.Permissions != nil {
			e.Keys = texts(a.Permissions.Keys)
		}
		out.Policies = append(out.Policies, e)
	}
	return out, nil
}

// Identity reads a user-assigned managed identity.
func (c *Client) Identity(ctx context.Context, id azureid.Resource) wiring.Fact[wiring.Identity] {
	call, at := "arm GET "+id.String(), c.now()
	if id.Type() != azureid.TypeIdentity {
		return wiring.Failed[wiring.Identity](call, at, "not a "+azureid.TypeIdentity+" id")
	}
	ids, err := armmsi.NewUserAssignedIdentitiesClient(id.Subscription(), c.cred, c.opts)
	if err != nil {
		return failed[wiring.Identity](call, at, err)
	}
	resp, err := ids.Get(ctx, id.ResourceGroup(), id.Name(), nil)
	if err != nil {
		return failed[wiring.Identity](call, at, err)
	}
	p := resp.Properties
	if p == nil || deref(p.PrincipalID) == "" {
		return wiring.Failed[wiring.Identity](call, at, "the answer has no principal id")
	}
	return wiring.Read(wiring.Identity{
		ID: id, PrincipalID: deref(p.PrincipalID), ClientID: deref(p.ClientID), TenantID: deref(p.TenantID),
	}, call, at)
}

// failed makes a fact of an error: absent when the service said so.
func failed[T any](call string, at time.Time, err error) wiring.Fact[T] {
	err = azfault.Read("arm", err)
	if azfault.NotFound(err) {
		return wiring.NotThere[T](call, at, err.Error())
	}
	return wiring.Failed[T](call, at, err.Error())
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func texts[T ~string](list []*T) []string {
	out := make([]string, 0, len(list))
	for _, s := range list {
		if s != nil {
			out = append(out, string(*s))
		}
	}
	return out
}

func tags(m map[string]*string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[k] = deref(v)
	}
	return out
}
