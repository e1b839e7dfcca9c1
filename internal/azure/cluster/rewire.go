package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources/v3"

	"cmkguard/internal/azure/azfault"
	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/wiring"
)

// Rewire points c, as just read, at another version of its key with one PATCH
// of identity and encryption alone, and returns the operation's resume token,
// or "" if it finished at once. requestID goes as x-ms-client-request-id. A
// fault of kind Unknown means that the operation may be under way: read the
// cluster before anything else.
func (c *Client) Rewire(ctx context.Context, cl wiring.Cluster, to azureid.Key, requestID string) (resumeToken string, err error) {
	if cl.CMK != nil && !to.SameKey(cl.CMK.Key) {
		return "", fault.New(fault.Invalid, "cluster.Rewire", "%s: the target %s is not its key %s", cl.Name, to.ID(), cl.CMK.Key.ID())
	}
	return c.move(ctx, cl, to, requestID)
}

// Move is Rewire to another key in another vault, from the key that is given and
// no other: for a key that people called compromised.
func (c *Client) Move(ctx context.Context, cl wiring.Cluster, from, to azureid.Key, requestID string) (resumeToken string, err error) {
	if cl.CMK == nil || !cl.CMK.Key.SameKey(from) || strings.EqualFold(from.Host, to.Host) {
		return "", fault.New(fault.Conflict, "cluster.Move", "%s does not use %s, or %s is in the same vault", cl.Name, from.ID(), to.ID())
	}
	return c.move(ctx, cl, to, requestID)
}

func (c *Client) move(ctx context.Context, cl wiring.Cluster, to azureid.Key, requestID string) (resumeToken string, err error) {
	const op = "arm.PatchCluster"
	body, err := c.patch(cl, to)
	if err != nil {
		return "", err
	}
	ctx = policy.WithHTTPHeader(ctx, http.Header{"X-Ms-Client-Request-Id": {requestID}})
	poller, err := c.write.BeginUpdateByID(ctx, path(cl.ID), c.version, body, nil)
	if err != nil {
		return "", azfault.Write(op, err)
	}
	if poller.Done() { // finished or failed at once; the state is read back by the caller
		return "", nil
	}
	token, err := poller.ResumeToken()
	if err != nil {
		return "", fault.New(fault.Unknown, op, "accepted, but the operation cannot be followed: %w", err)
	}
	return token, nil
}

// patch refuses to give a cluster its first key, and whatever its identity could not
// use.
func (c *Client) patch(cl wiring.Cluster, to azureid.Key) (armresources.GenericResource, error) {
	const op = "cluster.patch"
	refuse := func(k fault.Kind, why string) (armresources.GenericResource, error) {
		return armresources.GenericResource{}, fault.New(k, op, "%s: %s", cl.Name, why)
	}
	switch {
	case cl.ID.Type() != azureid.TypeRedisEnterprise:
		return refuse(fault.Invalid, "not a "+azureid.TypeRedisEnterprise+" id")
	case cl.CMK == nil:
		return refuse(fault.Conflict, "it has no customer-managed key, and is never given one")
	case to.Version == "":
		return refuse(fault.Invalid, "the target names no version; the service wants versioned URLs only")
	case !strings.EqualFold(cl.CMK.IdentityType, "userAssignedIdentity") || cl.CMK.IdentityID.IsZero():
		return refuse(fault.Conflict, "its key is not read by a user-assigned identity")
	case !attached(cl, cl.CMK.IdentityID):
		return refuse(fault.Conflict, "the identity of its key is not attached to it")
	}
	if err := c.cloud.CheckVaultHost(to.Host); err != nil {
		return armresources.GenericResource{}, err
	}
	// How the service merges the map is not documented, so the whole current
	// map goes along: an identity that is left out might be detached.
	all := make(map[string]*armresources.IdentityUserAssignedIdentitiesValue, len(cl.Identities))
	for _, i := range cl.Identities {
		all[i.ID.String()] = &armresources.IdentityUserAssignedIdentitiesValue{}
	}
	typ := armresources.ResourceIdentityType(cl.IdentityType)
	return armresources.GenericResource{
		Identity: &armresources.Identity{Type: &typ, UserAssignedIdentities: all},
		Properties: properties{Encryption: &encryption{CMK: &cmk{
			Identity: &cmkIdentity{Type: cl.CMK.IdentityType, ID: cl.CMK.IdentityID.String()},
			KeyURL:   to.String(),
		}}},
	}, nil
}

func attached(cl wiring.Cluster, id azureid.Resource) bool {
	for _, i := range cl.Identities {
		if i.ID.Equal(id) {
			return true
		}
	}
	return false
}

// Poll asks the operation once. A failed operation is a Conflict fault with
// the service's message; any other error says that the answer could not be
// had, and nothing of the operation. Done says nothing of resourceState: read
// the cluster.
func (c *Client) Poll(ctx context.Context, resumeToken string) (done bool, err error) {
	const op = "arm.PollOperation"
	if resumeToken == "" { // without one the client below would send the PATCH itself
		return false, fault.New(fault.Invalid, op, "no resume token")
	}
	poller, err := c.write.BeginUpdateByID(ctx, "", c.version, armresources.GenericResource{},
		&armresources.ClientBeginUpdateByIDOptions{ResumeToken: resumeToken})
	if err != nil {
		return false, fault.New(fault.Invalid, op, "not a resume token of an update: %w", err)
	}
	if _, err := poller.Poll(ctx); err != nil { //nolint:bodyclose // the SDK reads and closes it
		return false, azfault.Read(op, err)
	}
	if !poller.Done() {
		return false, nil
	}
	if _, err := poller.Result(ctx); err != nil {
		return false, ended(op, err)
	}
	return true, nil
}

// ended classifies the error of a finished operation: an error out of an
// answer that was itself fine is the operation's own.
func ended(op string, err error) error {
	out := azfault.Read(op, err)
	var re *azcore.ResponseError
	if errors.As(err, &re) && re.StatusCode < http.StatusMultipleChoices {
		return &fault.Error{Op: op, Kind: fault.Conflict, Code: fault.CodeOf(out), Err: fmt.Errorf("the operation failed: %w", errors.Unwrap(out))}
	}
	return out
}
