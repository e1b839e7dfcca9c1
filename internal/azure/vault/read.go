package vault

import (
	"context"
	"math/big"
	"slices"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/wiring"
)

// maxPages bounds a list whose answers keep naming a next page; a key has at
// most a few hundred versions.
const maxPages = 200

// Versions lists the key's versions, oldest first. The list answers whatever
// the state of a version, so it is the source for enabled and the dates.
// Absent means that the vault has no such key (it may be soft-deleted).
func (c *Client) Versions(ctx context.Context, k azureid.Key) wiring.Fact[[]wiring.KeyVersion] {
	call, at := "keyvault GET "+k.Base().String()+"/versions", c.now()
	cl, err := c.reader(k)
	if err != nil {
		return failed[[]wiring.KeyVersion](call, at, err)
	}
	var out []wiring.KeyVersion
	pager := cl.NewListKeyPropertiesVersionsPager(k.Name, nil)
	for page := 0; pager.More(); page++ {
		if page == maxPages {
			return wiring.Failed[[]wiring.KeyVersion](call, at, "the list does not end")
		}
		resp, err := pager.NextPage(ctx)
		if err != nil {
			return failed[[]wiring.KeyVersion](call, at, err)
		}
		for _, p := range resp.Value {
			v, err := c.version(k, p)
			if err != nil {
				return failed[[]wiring.KeyVersion](call, at, err)
			}
			out = append(out, v)
		}
	}
	if len(out) == 0 { // an existing key has a version; an empty list proves nothing
		return wiring.Failed[[]wiring.KeyVersion](call, at, "the list of versions is empty")
	}
	slices.SortFunc(out, func(a, b wiring.KeyVersion) int {
		if d := a.Created.Compare(b.Created); d != 0 {
			return d
		}
		if a.Key.Version < b.Key.Version {
			return -1
		}
		return 1
	})
	return wiring.Read(out, call, at)
}

func (c *Client) version(k azureid.Key, p *azkeys.KeyProperties) (wiring.KeyVersion, error) {
	const op = "vault.version"
	if p == nil || p.Attributes == nil || p.Attributes.Enabled == nil || p.Attributes.Created == nil {
		return wiring.KeyVersion{}, fault.New(fault.Invalid, op, "a version of %s has no attributes", k.ID())
	}
	key, err := c.own(k, p.KID)
	if err != nil {
		return wiring.KeyVersion{}, err
	}
	if key.Version == "" {
		return wiring.KeyVersion{}, fault.New(fault.Invalid, op, "an entry of %s names no version", k.ID())
	}
	a := p.Attributes
	return wiring.KeyVersion{
		Key: key, Enabled: *a.Enabled, Created: a.Created.UTC(), Updated: deref(a.Updated).UTC(),
		NotBefore: utc(a.NotBefore), Expires: utc(a.Expires),
		RecoveryLevel: deref(a.RecoveryLevel), RetentionDays: int(deref(a.RecoverableDays)), Tags: tags(p.Tags),
	}, nil
}

// Bundle reads the public part of the version that k names, or of the current
// version if it names none.
func (c *Client) Bundle(ctx context.Context, k azureid.Key) wiring.Fact[wiring.KeyBundle] {
	call, at := "keyvault GET "+k.String(), c.now()
	cl, err := c.reader(k)
	if err != nil {
		return failed[wiring.KeyBundle](call, at, err)
	}
	resp, err := cl.GetKey(ctx, k.Name, k.Version, nil)
	if err != nil {
		return failed[wiring.KeyBundle](call, at, err)
	}
	j := resp.Key
	if j == nil || j.Kty == nil || resp.Attributes == nil || resp.Attributes.Enabled == nil {
		return wiring.Failed[wiring.KeyBundle](call, at, "the answer has no key type or no attributes")
	}
	key, err := c.own(k, j.KID)
	if err != nil {
		return failed[wiring.KeyBundle](call, at, err)
	}
	if k.Version != "" && !key.Equal(k) {
		return wiring.Failed[wiring.KeyBundle](call, at, "the answer is about version "+key.Version)
	}
	b := wiring.KeyBundle{
		Key: key, Type: string(*j.Kty), Bits: new(big.Int).SetBytes(j.N).BitLen(),
		Managed: deref(resp.Managed), Enabled: *resp.Attributes.Enabled, Exportable: deref(resp.Attributes.Exportable),
	}
	for _, o := range j.KeyOps {
		if o != nil {
			b.Ops = append(b.Ops, string(*o))
		}
	}
	return wiring.Read(b, call, at)
}

// Deleted looks for the key among the soft-deleted ones: Known is bad news,
// Absent means that it is not deleted (or that nothing is left of it).
func (c *Client) Deleted(ctx context.Context, k azureid.Key) wiring.Fact[wiring.DeletedKey] {
	call, at := "keyvault GET "+k.VaultURL()+"deletedkeys/"+k.Name, c.now()
	cl, err := c.reader(k)
	if err != nil {
		return failed[wiring.DeletedKey](call, at, err)
	}
	resp, err := cl.GetDeletedKey(ctx, k.Name, nil)
	if err != nil {
		return failed[wiring.DeletedKey](call, at, err)
	}
	return wiring.Read(wiring.DeletedKey{
		Key: k.Base(), DeletedAt: deref(resp.DeletedDate).UTC(), PurgeAt: deref(resp.ScheduledPurgeDate).UTC(), Tags: tags(resp.Tags),
	}, call, at)
}

// Rotation reads the key's rotation policy.
func (c *Client) Rotation(ctx context.Context, k azureid.Key) wiring.Fact[wiring.RotationPolicy] {
	call, at := "keyvault GET "+k.Base().String()+"/rotationpolicy", c.now()
	cl, err := c.reader(k)
	if err != nil {
		return failed[wiring.RotationPolicy](call, at, err)
	}
	resp, err := cl.GetKeyRotationPolicy(ctx, k.Name, nil)
	if err != nil {
		return failed[wiring.RotationPolicy](call, at, err)
	}
	out := wiring.RotationPolicy{}
	if resp.Attributes != nil {
		out.ExpiryTime = deref(resp.Attributes.ExpiryTime)
	}
	for _, a := range resp.LifetimeActions {
		if a == nil || a.Action == nil || a.Action.Type == nil {
			return wiring.Failed[wiring.RotationPolicy](call, at, "a lifetime action has no type")
		}
		act := wiring.RotationAction{Type: string(*a.Action.Type)}
		if t := a.Trigger; t != nil {
			act.TimeAfterCreate, act.TimeBeforeExpiry = deref(t.TimeAfterCreate), deref(t.TimeBeforeExpiry)
		}
		out.Actions = append(out.Actions, act)
	}
	return wiring.Read(out, call, at)
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
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
