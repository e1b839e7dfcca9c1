package cluster

import (
	"context"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources/v3"

	"cmkguard/internal/azure/azfault"
	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/wiring"
)

// Attach adds the identity that the cluster's encryption names to the cluster,
// as just read, with one PATCH of identity alone, and returns the operation's
// resume token as Rewire does. It attaches no other identity, and leaves none
// out.
func (c *Client) Attach(ctx context.Context, cl wiring.Cluster, id azureid.Resource, requestID string) (resumeToken string, err error) {
	const op = "arm.PatchClusterIdentity"
	if cl.CMK == nil || !cl.CMK.IdentityID.Equal(id) || id.Type() != azureid.TypeIdentity {
		return "", fault.New(fault.Conflict, op, "%s: %s is not the identity of its key", cl.Name, id)
	}
	all := map[string]*armresources.IdentityUserAssignedIdentitiesValue{id.String(): {}}
	for _, i := range cl.Identities {
		if !i.ID.Equal(id) {
			all[i.ID.String()] = &armresources.IdentityUserAssignedIdentitiesValue{}
		}
	}
	typ := armresources.ResourceIdentityTypeUserAssigned
	if strings.Contains(strings.ToLower(cl.IdentityType), "systemassigned") {
		typ = armresources.ResourceIdentityTypeSystemAssignedUserAssigned
	}
	ctx = policy.WithHTTPHeader(ctx, http.Header{"X-Ms-Client-Request-Id": {requestID}})
	body := armresources.GenericResource{Identity: &armresources.Identity{Type: &typ, UserAssignedIdentities: all}}
	poller, err := c.write.BeginUpdateByID(ctx, path(cl.ID), c.version, body, nil)
	if err != nil {
		return "", azfault.Write(op, err)
	}
	if poller.Done() {
		return "", nil
	}
	if resumeToken, err = poller.ResumeToken(); err != nil {
		return "", fault.New(fault.Unknown, op, "accepted, but the operation cannot be followed: %w", err)
	}
	return resumeToken, nil
}
