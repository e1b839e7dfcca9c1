package vault

import (
	"context"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"cmkguard/internal/azure/azfault"
	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/wiring"
)

// Recover brings the soft-deleted key k back, with all of its versions
// (RecoverDeletedKey; data action keys/recover/action). One request is sent. The
// key answers a while after it was accepted.
func (c *Client) Recover(ctx context.Context, k azureid.Key, requestID string) error {
	cl, err := c.client(k, c.writers, c.write)
	if err != nil {
		return err
	}
	_, err = cl.RecoverDeletedKey(named(ctx, requestID), k.Name, nil)
	return azfault.Write("keyvault.RecoverDeletedKey", err)
}

// Enable enables one version of a key and changes nothing else of it (UpdateKey;
// data action keys/update/action). There is no way here to disable one.
func (c *Client) Enable(ctx context.Context, k azureid.Key, requestID string) error {
	on := true
	return c.update(ctx, k, azkeys.UpdateKeyParameters{KeyAttributes: &azkeys.KeyAttributes{Enabled: &on}}, requestID)
}

// Permit sets a version's permitted operations to ops, which must hold wrapKey
// and unwrapKey (UpdateKey; data action keys/update/action).
func (c *Client) Permit(ctx context.Context, k azureid.Key, ops []string, requestID string) error {
	var p azkeys.UpdateKeyParameters
	need := map[string]bool{"wrapKey": true, "unwrapKey": true}
	for _, op := range ops {
		delete(need, op)
		v := azkeys.KeyOperation(op)
		p.KeyOps = append(p.KeyOps, &v)
	}
	if len(need) > 0 {
		return fault.New(fault.Invalid, "vault.Permit", "wrapKey and unwrapKey are not both among %v", ops)
	}
	return c.update(ctx, k, p, requestID)
}

func (c *Client) update(ctx context.Context, k azureid.Key, p azkeys.UpdateKeyParameters, requestID string) error {
	if k.Version == "" {
		return fault.New(fault.Invalid, "vault.update", "%s names no version", k.ID())
	}
	cl, err := c.client(k, c.writers, c.write)
	if err != nil {
		return err
	}
	_, err = cl.UpdateKey(named(ctx, requestID), k.Name, k.Version, p, nil)
	return azfault.Write("keyvault.UpdateKey", err)
}

func named(ctx context.Context, requestID string) context.Context {
	return policy.WithHTTPHeader(ctx, http.Header{"X-Ms-Client-Request-Id": {requestID}})
}

// SetRotation replaces the key's rotation policy (UpdateKeyRotationPolicy; data
// action keyrotationpolicies/write). One request is sent. No action at all gives the
// key the service's default back (learn.microsoft.com, KeyRotationPolicyProperties).
func (c *Client) SetRotation(ctx context.Context, k azureid.Key, p wiring.RotationPolicy, requestID string) error {
	out := azkeys.KeyRotationPolicy{
		Attributes:      &azkeys.KeyRotationPolicyAttributes{ExpiryTime: orNil(p.ExpiryTime)},
		LifetimeActions: make([]*azkeys.LifetimeAction, 0, len(p.Actions)),
	}
	for _, a := range p.Actions {
		typ := azkeys.KeyRotationPolicyAction(a.Type)
		out.LifetimeActions = append(out.LifetimeActions, &azkeys.LifetimeAction{
			Action:  &azkeys.LifetimeActionType{Type: &typ},
			Trigger: &azkeys.LifetimeActionTrigger{TimeAfterCreate: orNil(a.TimeAfterCreate), TimeBeforeExpiry: orNil(a.TimeBeforeExpiry)},
		})
	}
	cl, err := c.client(k, c.writers, c.write)
	if err != nil {
		return err
	}
	_, err = cl.UpdateKeyRotationPolicy(named(ctx, requestID), k.Name, out, nil)
	return azfault.Write("keyvault.UpdateKeyRotationPolicy", err)
}

// Create makes a key of the type and size that may wrap and unwrap and nothing else
// (CreateKey; data action keys/create/action). One request is sent; of a key that is
// there it would make a new version: list the versions before.
func (c *Client) Create(ctx context.Context, k azureid.Key, typ string, bits int, requestID string) error {
	cl, err := c.client(k, c.writers, c.write)
	if err != nil {
		return err
	}
	kty, size := azkeys.KeyType(typ), int32(bits) //nolint:gosec // 2048 to 8192
	wrap, unwrap := azkeys.KeyOperationWrapKey, azkeys.KeyOperationUnwrapKey
	_, err = cl.CreateKey(named(ctx, requestID), k.Name, azkeys.CreateKeyParameters{
		Kty: &kty, KeySize: &size, KeyOps: []*azkeys.KeyOperation{&wrap, &unwrap},
	}, nil)
	return azfault.Write("keyvault.CreateKey", err)
}

func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
