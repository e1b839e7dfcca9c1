package graph

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"cmkguard/internal/azure/azfault"
	"cmkguard/internal/fault"
)

// readAction is the right without which a cluster is missing from every list.
const readAction = "Microsoft.Cache/redisEnterprise/read"

// permission is one block of Microsoft.Authorization/permissions.
type permission struct {
	Actions    []string `json:"actions"`
	NotActions []string `json:"notActions"`
}

// Sight reports what may hide clusters of the subscription from us: that it does
// not answer us, that it is not enabled, that our own permissions do not hold
// Microsoft.Cache/redisEnterprise/read there. lack is that in words, "" if nothing
// does; then a list that lacks something proves that it is not there. An error
// says that it could not be told: asking again may help.
func (c *Client) Sight(ctx context.Context, subscription string) (lack string, err error) {
	base := "/subscriptions/" + url.PathEscape(subscription)
	var sub struct {
		State string `json:"state"`
	}
	if err := c.get(ctx, base+"?api-version=2022-12-01", &sub); err != nil {
		return refused("it could not be read: ", err)
	}
	if sub.State != "" && !strings.EqualFold(sub.State, "Enabled") {
		return "its state is " + sub.State, nil
	}
	all, err := c.permissions(ctx, subscription)
	switch {
	case err != nil:
		return refused("our permissions could not be read: ", err)
	case !allowed(all, readAction):
		return "our permissions do not hold " + readAction, nil
	}
	return "", nil
}

// refused tells a clear no, which is a lack (403; and 404, which is how a
// subscription that we may not see answers), from what may pass.
func refused(what string, err error) (lack string, _ error) {
	if fault.Is(err, fault.Denied) || fault.Is(err, fault.Invalid) {
		return what + err.Error(), nil
	}
	return "", fmt.Errorf("%s%w", what, err)
}

// permissions lists our own permissions in the subscription.
func (c *Client) permissions(ctx context.Context, subscription string) (all []permission, err error) {
	next := "/subscriptions/" + url.PathEscape(subscription) + "/providers/Microsoft.Authorization/permissions?api-version=2022-04-01"
	for page := 0; next != ""; page++ {
		var answer struct {
			Value    []permission `json:"value"`
			NextLink string       `json:"nextLink"`
		}
		if page == maxPages {
			return nil, fault.New(fault.Invalid, "arm.permissions", "the list of our permissions does not end")
		}
		if err := c.get(ctx, next, &answer); err != nil {
			return nil, err
		}
		all, next = append(all, answer.Value...), answer.NextLink
	}
	return all, nil
}

// get reads one document of Resource Manager; ref is a path or a full URL.
func (c *Client) get(ctx context.Context, ref string, out any) error {
	const op = "arm.Get"
	if strings.HasPrefix(ref, "/") {
		ref = strings.TrimRight(c.arm.Endpoint(), "/") + ref
	}
	req, err := runtime.NewRequest(ctx, http.MethodGet, ref)
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

// allowed reports whether a block gives the action; notActions subtract inside
// their own block only.
func allowed(blocks []permission, action string) bool {
	for _, b := range blocks {
		if matchAny(b.Actions, action) && !matchAny(b.NotActions, action) {
			return true
		}
	}
	return false
}

func matchAny(patterns []string, action string) bool {
	for _, p := range patterns {
		if match(strings.ToLower(p), strings.ToLower(action)) {
			return true
		}
	}
	return false
}

// match compares with * as any run of characters, slashes included. Each part
// between two stars is taken at its first place, so that no pattern costs more than
// the text is long: a role may hold as many stars as its maker likes.
func match(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	s, ok := strings.CutPrefix(s, parts[0])
	last := parts[len(parts)-1]
	if !ok || !strings.HasSuffix(s, last) {
		return false
	}
	s = strings.TrimSuffix(s, last)
	for _, part := range parts[1 : len(parts)-1] {
		at := strings.Index(s, part)
		if at < 0 {
			return false
		}
		s = s[at+len(part):]
	}
	return true
}
