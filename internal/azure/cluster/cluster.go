// Package cluster reads Redis Enterprise clusters (Microsoft.Cache/
// redisEnterprise: Azure Managed Redis and Azure Cache for Redis Enterprise)
// and points one at another version of the key that it already uses.
//
// It goes through the generic resources client, because the typed client that
// knows encryption changes its types with every major version. It can neither
// add nor remove a customer-managed key, nor name another key.
package cluster

import (
	"context"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources/v3"

	"cmkguard/internal/azure/azfault"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/wiring"
)

// APIVersion is the stable version that is spoken unless WithAPIVersion says
// otherwise.
const APIVersion = "2025-07-01"

// Client reads and rewires clusters. It is safe for concurrent use.
type Client struct {
	cloud   azureid.Cloud
	now     func() time.Time
	version string
	read    *armresources.Client
	write   *armresources.Client // the same without retries
}

// New returns a client that acts as cred.
func New(p cloud.Profile, cred azcore.TokenCredential, now func() time.Time) (*Client, error) {
	const op = "cluster.New"
	if cred == nil || now == nil {
		return nil, fault.New(fault.Invalid, op, "a credential and a clock are needed")
	}
	read, err := armresources.NewClient("", cred, p.ARMOptions(cloud.ReadRetry()))
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, op, err)
	}
	write, err := armresources.NewClient("", cred, p.ARMOptions(cloud.NoRetry()))
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, op, err)
	}
	return &Client{cloud: p.Cloud, now: now, version: APIVersion, read: read, write: write}, nil
}

// WithAPIVersion returns a client that speaks another version.
func (c *Client) WithAPIVersion(v string) *Client {
	out := *c
	out.version = v
	return &out
}

// Get reads the cluster.
func (c *Client) Get(ctx context.Context, id azureid.Resource) wiring.Fact[wiring.Cluster] {
	call, at := "arm GET "+id.String(), c.now()
	if id.Type() != azureid.TypeRedisEnterprise {
		return wiring.Failed[wiring.Cluster](call, at, "not a "+azureid.TypeRedisEnterprise+" id")
	}
	resp, err := c.read.GetByID(ctx, path(id), c.version, nil)
	if err != nil {
		err = azfault.Read("arm.GetCluster", err)
		if azfault.NotFound(err) {
			return wiring.NotThere[wiring.Cluster](call, at, err.Error())
		}
		return wiring.Failed[wiring.Cluster](call, at, err.Error())
	}
	out, err := c.parse(id, resp.GenericResource)
	if err != nil {
		return wiring.Failed[wiring.Cluster](call, at, err.Error())
	}
	return wiring.Read(out, call, at)
}

// path is the id as the generic client wants it: without the first slash.
func path(id azureid.Resource) string { return id.String()[1:] }
