package cluster

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources/v3"

	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/wiring"
)

// properties are those of a cluster that matter here, read and written.
type properties struct {
	ProvisioningState string      `json:"provisioningState,omitempty"`
	ResourceState     string      `json:"resourceState,omitempty"`
	Encryption        *encryption `json:"encryption,omitempty"`
}

type encryption struct {
	CMK *cmk `json:"customerManagedKeyEncryption,omitempty"`
}

type cmk struct {
	Identity *cmkIdentity `json:"keyEncryptionKeyIdentity,omitempty"`
	KeyURL   string       `json:"keyEncryptionKeyUrl,omitempty"`
}

type cmkIdentity struct {
	Type string `json:"identityType,omitempty"`
	ID   string `json:"userAssignedIdentityResourceId,omitempty"`
}

// Parse reads a cluster's JSON as Resource Manager and Resource Graph give it.
// Anything else is an Invalid fault.
func Parse(c azureid.Cloud, raw []byte) (wiring.Cluster, error) {
	var r armresources.GenericResource
	if err := json.Unmarshal(raw, &r); err != nil {
		return wiring.Cluster{}, fault.New(fault.Invalid, "cluster.Parse", "%w", err)
	}
	id, err := azureid.ParseResource(deref(r.ID))
	if err != nil {
		return wiring.Cluster{}, err
	}
	return (&Client{cloud: c}).parse(id, r)
}

func (c *Client) parse(id azureid.Resource, r armresources.GenericResource) (wiring.Cluster, error) {
	const op = "cluster.parse"
	got, err := azureid.ParseResource(deref(r.ID))
	if err != nil {
		return wiring.Cluster{}, err
	}
	if !got.Equal(id) {
		return wiring.Cluster{}, fault.New(fault.Invalid, op, "the answer is about %s", got)
	}
	raw, err := json.Marshal(r.Properties)
	if err != nil {
		return wiring.Cluster{}, fault.New(fault.Invalid, op, "properties: %w", err)
	}
	var p properties
	if err := json.Unmarshal(raw, &p); err != nil {
		return wiring.Cluster{}, fault.New(fault.Invalid, op, "properties: %w", err)
	}
	out := wiring.Cluster{
		ID: got, Name: got.Name(), Location: deref(r.Location), Kind: deref(r.Kind), Tags: tags(r.Tags),
		ProvisioningState: p.ProvisioningState, ResourceState: p.ResourceState, IdentityType: "None",
	}
	if r.SKU != nil {
		out.SKU = deref(r.SKU.Name)
	}
	if out.Kind == "" {
		out.Kind = kindOf(out.SKU)
	}
	if out.CMK, err = c.parseCMK(p.Encryption); err != nil {
		return wiring.Cluster{}, err
	}
	if err := addIdentities(&out, r.Identity); err != nil {
		return wiring.Cluster{}, err
	}
	return out, nil
}

// kindOf tells the kind from the SKU, for API versions that leave kind out:
// only the Enterprise tiers are v1.
func kindOf(sku string) string {
	switch {
	case sku == "":
		return ""
	case strings.HasPrefix(strings.ToLower(sku), "enterprise"):
		return "v1"
	}
	return "v2"
}

// parseCMK returns nil for a Microsoft-managed key: no settings or empty ones.
func (c *Client) parseCMK(e *encryption) (*wiring.CMK, error) {
	if e == nil || e.CMK == nil || e.CMK.KeyURL == "" && (e.CMK.Identity == nil || *e.CMK.Identity == cmkIdentity{}) {
		return nil, nil
	}
	out := &wiring.CMK{KeyURL: e.CMK.KeyURL}
	if i := e.CMK.Identity; i != nil {
		out.IdentityType = i.Type
		if i.ID != "" {
			id, err := azureid.ParseResource(i.ID)
			if err != nil {
				return nil, err
			}
			out.IdentityID = id
		}
	}
	k, err := azureid.ParseKey(out.KeyURL, c.cloud)
	if err != nil {
		out.KeyProblem = err.Error()
		return out, nil //nolint:nilerr // a fact about the cluster: a check judges it
	}
	out.Key = k
	return out, nil
}

func addIdentities(out *wiring.Cluster, i *armresources.Identity) error {
	if i == nil {
		return nil
	}
	if i.Type != nil {
		out.IdentityType = string(*i.Type)
	}
	for raw, v := range i.UserAssignedIdentities {
		id, err := azureid.ParseResource(raw)
		if err != nil {
			return err
		}
		e := wiring.ClusterIdentity{ID: id}
		if v != nil {
			e.PrincipalID, e.ClientID = deref(v.PrincipalID), deref(v.ClientID)
		}
		out.Identities = append(out.Identities, e)
	}
	slices.SortFunc(out.Identities, func(a, b wiring.ClusterIdentity) int { return strings.Compare(a.ID.Key(), b.ID.Key()) })
	return nil
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

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
