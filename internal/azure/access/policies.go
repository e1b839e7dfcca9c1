package access

import (
	"context"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/keyvault/armkeyvault/v2"

	"cmkguard/internal/azure/azfault"
	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
)

// AddAccess adds key permissions to the vault's access policy of an object (Vaults -
// Update Access Policy, operation add; action
// Microsoft.KeyVault/vaults/accessPolicies/write). There is no way here to replace or
// remove an entry.
//
// What add does with an object that has an entry is not documented ("access policy to
// merge into the vault", armkeyvault): so what the entry holds, secrets and
// certificates too, is read and sent along.
func (w *Writer) AddAccess(ctx context.Context, vault azureid.Resource, objectID string, keys []string, requestID string) error {
	const op = "arm.AddAccessPolicy"
	if vault.Type() != azureid.TypeVault || objectID == "" {
		return fault.New(fault.Invalid, op, "%s is no vault, or nobody is named", vault)
	}
	reads, err := armkeyvault.NewVaultsClient(vault.Subscription(), w.cred, w.opts)
	if err != nil {
		return fault.Wrap(fault.Invalid, op, err)
	}
	got, err := reads.Get(ctx, vault.ResourceGroup(), vault.Name(), nil)
	if err != nil {
		return azfault.Read("arm.GetVault", err)
	}
	if got.Properties == nil || got.Properties.TenantID == nil {
		return fault.New(fault.Transient, op, "the answer has no tenant")
	}
	writes, err := armkeyvault.NewVaultsClient(vault.Subscription(), w.cred, w.once)
	if err != nil {
		return fault.Wrap(fault.Invalid, op, err)
	}
	entry := entryOf(got.Properties, objectID)
	for _, k := range keys {
		p := armkeyvault.KeyPermissions(k)
		if !slices.ContainsFunc(entry.Permissions.Keys, func(o *armkeyvault.KeyPermissions) bool { return strings.EqualFold(string(deref(o)), k) }) {
			entry.Permissions.Keys = append(entry.Permissions.Keys, &p)
		}
	}
	_, err = writes.UpdateAccessPolicy(named(ctx, requestID), vault.ResourceGroup(), vault.Name(), armkeyvault.AccessPolicyUpdateKindAdd,
		armkeyvault.VaultAccessPolicyParameters{Properties: &armkeyvault.VaultAccessPolicyProperties{AccessPolicies: []*armkeyvault.AccessPolicyEntry{entry}}}, nil)
	return azfault.Write(op, err)
}

// entryOf is the object's own entry as it is, or an empty one of the vault's tenant.
func entryOf(p *armkeyvault.VaultProperties, objectID string) *armkeyvault.AccessPolicyEntry {
	for _, e := range p.AccessPolicies {
		if e != nil && strings.EqualFold(deref(e.ObjectID), objectID) && deref(e.ApplicationID) == "" && strings.EqualFold(deref(e.TenantID), *p.TenantID) {
			if e.Permissions == nil {
				e.Permissions = &armkeyvault.Permissions{}
			}
			return e
		}
	}
	return &armkeyvault.AccessPolicyEntry{TenantID: p.TenantID, ObjectID: &objectID, Permissions: &armkeyvault.Permissions{}}
}
