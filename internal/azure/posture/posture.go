// Package posture reads what stands around a chain and costs calls of its own:
// databases, a vault's contents, diagnostic settings, metrics and event
// subscriptions, a subscription's locks, deleted vaults and Defender plan. All by
// GET on Azure Resource Manager; Reader is enough.
//
// It judges nothing and reads no key, secret or log.
package posture

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"cmkguard/internal/azure/azfault"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/fault"
	"cmkguard/internal/wiring"
)

// maxPages bounds a list whose answers keep naming a next page.
const maxPages = 200

// Client reads postures. It is safe for concurrent use.
type Client struct {
	now func() time.Time
	arm *arm.Client
}

// New returns a client that acts as cred.
func New(p cloud.Profile, cred azcore.TokenCredential, now func() time.Time) (*Client, error) {
	const op = "posture.New"
	if cred == nil || now == nil {
		return nil, fault.New(fault.Invalid, op, "a credential and a clock are needed")
	}
	a, err := arm.NewClient("cmkguard/posture", "v1.0.0", cred, p.ARMOptions(cloud.ReadRetry()))
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, op, err)
	}
	return &Client{now: now, arm: a}, nil
}

// get reads one document; path is a Resource Manager path with its query.
func (c *Client) get(ctx context.Context, path string, out any) error {
	const op = "arm.Get"
	req, err := runtime.NewRequest(ctx, http.MethodGet, strings.TrimRight(c.arm.Endpoint(), "/")+path)
	if err != nil {
		return fault.Wrap(fault.Invalid, op, err)
	}
	req.Raw().Header.Set("Accept", "application/json")
	resp, err := c.arm.Pipeline().Do(req) //nolint:bodyclose // the SDK's pipeline has read and closed it
	if err != nil {
		return azfault.Read(op, err)
	}
	if !runtime.HasStatusCode(resp, http.StatusOK) {
		return azfault.Read(op, runtime.NewResponseError(resp))
	}
	return azfault.Read(op, runtime.UnmarshalAsJSON(resp, out))
}

// list reads every page of a list. An answer without a "value" is no empty list.
func list[T any](ctx context.Context, c *Client, path string) ([]T, error) {
	const op = "arm.List"
	out := []T{}
	for range maxPages {
		var page struct {
			Value    *[]T   `json:"value"`
			NextLink string `json:"nextLink"`
		}
		if err := c.get(ctx, path, &page); err != nil {
			return nil, err
		}
		if page.Value == nil {
			return nil, fault.New(fault.Invalid, op, "the answer is no list")
		}
		out = append(out, *page.Value...)
		if page.NextLink == "" {
			return out, nil
		}
		next, err := c.next(page.NextLink)
		if err != nil {
			return nil, err
		}
		path = next
	}
	return nil, fault.New(fault.Invalid, op, "the list does not end")
}

// next returns a next link's path. A link to another host is refused: our token
// would go there.
func (c *Client) next(link string) (string, error) {
	u, err := url.Parse(link)
	if err != nil {
		return "", fault.Wrap(fault.Invalid, "arm.List", err)
	}
	own, err := url.Parse(c.arm.Endpoint())
	if err != nil || !strings.EqualFold(u.Host, own.Host) || u.Scheme != own.Scheme {
		return "", fault.New(fault.Invalid, "arm.List", "the next page lies elsewhere: %s", u.Host)
	}
	return u.RequestURI(), nil
}

// read makes a fact of a call: Absent where the service says that it is not there.
func read[T any](c *Client, path string, f func() (T, error)) wiring.Fact[T] {
	call, at := "arm GET "+strings.SplitN(path, "?", 2)[0], c.now()
	v, err := f()
	switch {
	case err == nil:
		return wiring.Read(v, call, at)
	case azfault.NotFound(err):
		return wiring.NotThere[T](call, at, err.Error())
	}
	return wiring.Failed[T](call, at, err.Error())
}
