package access

import (
	"context"
	"maps"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/authorization/armauthorization/v2"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources/v3"

	"cmkguard/internal/azure/azfault"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
)

// vaultVersion is the API version of Microsoft.KeyVault/vaults that is spoken.
const vaultVersion = "2026-02-01"

// Writer gives back what was taken from a key's chain outside of the key: a
// grant, the way through a firewall, a deleted vault. Each method sends one
// request without retries. It can take nothing away.
type Writer struct {
	*Client
	once  *arm.ClientOptions
	put   *armauthorization.RoleAssignmentsClient
	read  *armresources.Client
	write *armresources.Client
}

// NewWriter returns a writer that acts as cred.
func NewWriter(p cloud.Profile, cred azcore.TokenCredential, c *Client) (*Writer, error) {
	const op = "access.NewWriter"
	w := &Writer{Client: c, once: p.ARMOptions(cloud.NoRetry())}
	var err error
	if w.put, err = armauthorization.NewRoleAssignmentsClient("", cred, p.ARMOptions(cloud.NoRetry())); err != nil {
		return nil, fault.Wrap(fault.Invalid, op, err)
	}
	if w.read, err = armresources.NewClient("", cred, p.ARMOptions(cloud.ReadRetry())); err != nil {
		return nil, fault.Wrap(fault.Invalid, op, err)
	}
	if w.write, err = armresources.NewClient("", cred, p.ARMOptions(cloud.NoRetry())); err != nil {
		return nil, fault.Wrap(fault.Invalid, op, err)
	}
	return w, nil
}

// Granted reports whether the named role assignment is there.
func (w *Writer) Granted(ctx context.Context, scope, name string) (bool, error) {
	_, err := w.roles.Get(ctx, scope, name, nil)
	err = azfault.Read("arm.GetRoleAssignment", err)
	if azfault.NotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// Grant assigns a role at a scope to a service principal (Role Assignments -
// Create; action Microsoft.Authorization/roleAssignments/write). An assignment
// of the same role under another name is a Conflict fault.
func (w *Writer) Grant(ctx context.Context, scope, name, role, principalID, requestID string) error {
	s, err := azureid.ParseResource(scope)
	if err != nil {
		return err
	}
	definition := "/subscriptions/" + s.Subscription() + "/providers/Microsoft.Authorization/roleDefinitions/" + role
	kind := armauthorization.PrincipalTypeServicePrincipal
	_, err = w.put.Create(named(ctx, requestID), scope, name, armauthorization.RoleAssignmentCreateParameters{
		Properties: &armauthorization.RoleAssignmentProperties{RoleDefinitionID: &definition, PrincipalID: &principalID, PrincipalType: &kind},
	}, nil)
	return azfault.Write("arm.CreateRoleAssignment", err)
}

// OpenBypass lets trusted services through a vault's firewall and leaves its
// other rules as they are: they are read and sent back, because a PATCH puts
// networkAcls in place as a whole.
func (w *Writer) OpenBypass(ctx context.Context, vault azureid.Resource, requestID string) error {
	got, err := w.read.GetByID(ctx, vault.String()[1:], vaultVersion, nil)
	if err != nil {
		return azfault.Read("arm.GetVault", err)
	}
	props, _ := got.Properties.(map[string]any)
	acls, _ := props["networkAcls"].(map[string]any)
	next := map[string]any{"defaultAction": "Deny"}
	maps.Copy(next, acls)
	next["bypass"] = "AzureServices"
	return w.patchVault(ctx, vault, map[string]any{"networkAcls": next}, requestID)
}

// ProtectPurge switches a vault's purge protection on, for ever.
func (w *Writer) ProtectPurge(ctx context.Context, vault azureid.Resource, requestID string) error {
	return w.patchVault(ctx, vault, map[string]any{"enablePurgeProtection": true}, requestID)
}

func (w *Writer) patchVault(ctx context.Context, vault azureid.Resource, props map[string]any, requestID string) error {
	if vault.Type() != azureid.TypeVault {
		return fault.New(fault.Invalid, "access.patchVault", "%s is no vault", vault)
	}
	_, err := w.write.BeginUpdateByID(named(ctx, requestID), vault.String()[1:], vaultVersion, armresources.GenericResource{Properties: props}, nil)
	return azfault.Write("arm.PatchVault", err)
}

// RecoverVault brings a soft-deleted vault back (Vaults - Create Or Update with
// createMode recover: all other properties are taken from before). Its role
// assignments and event subscriptions do not come back.
func (w *Writer) RecoverVault(ctx context.Context, vault azureid.Resource, location, tenantID, requestID string) error {
	_, err := w.write.BeginCreateOrUpdateByID(named(ctx, requestID), vault.String()[1:], vaultVersion, armresources.GenericResource{
		Location:   &location,
		Properties: map[string]any{"createMode": "recover", "tenantId": tenantID, "sku": map[string]any{"family": "A", "name": "standard"}},
	}, nil)
	return azfault.Write("arm.RecoverVault", err)
}

func named(ctx context.Context, requestID string) context.Context {
	return policy.WithHTTPHeader(ctx, http.Header{"X-Ms-Client-Request-Id": {requestID}})
}
