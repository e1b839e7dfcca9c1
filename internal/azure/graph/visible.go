package graph

import (
	"context"
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

// Visible reports whether every cluster of the subscriptions is one that the
// caller can see: each subscription answers, and the caller's own permissions
// there hold Microsoft.Cache/redisEnterprise/read. When that cannot be
// verified the answer is false, with the reason: then a list that lacks
// something proves nothing.
func (c *Client) Visible(ctx context.Context, subscriptions []string) (complete bool, why string) {
	if len(subscriptions) == 0 {
		return false, "no subscription is configured"
	}
	for _, s := range subscriptions {
		if why := c.visible(ctx, s); why != "" {
			return false, "subscription " + s + ": " + why
		}
	}
	return true, ""
}

// visible returns why the subscription's clusters may be hidden, or "".
func (c *Client) visible(ctx context.Context, subscription string) string {
	base := "/subscriptions/" + url.PathEscape(subscription)
	var sub struct {
		State string `json:"state"`
	}
	if err := c.get(ctx, base+"?api-version=2022-12-01", &sub); err != nil {
		return "it could not be read: " + err.Error()
	}
	if sub.State != "" && !strings.EqualFold(sub.State, "Enabled") {
		return "its state is " + sub.State
	}
	all, why := c.permissions(ctx, subscription)
	switch {
	case why != "":
		return why
	case !allowed(all, readAction):
		return "our permissions do not hold " + readAction
	}
	return ""
}

// permissions lists our own permissions in the subscription, or says why it
// cannot.
func (c *Client) permissions(ctx context.Context, subscription string) (all []permission, why string) {
	next := "/subscriptions/" + url.PathEscape(subscription) + "/providers/Microsoft.Authorization/permissions?api-version=2022-04-01"
	for page := 0; next != ""; page++ {
		var answer struct {
			Value    []permission `json:"value"`
			NextLink string       `json:"nextLink"`
		}
		if page == maxPages {
			return nil, "the list of our permissions does not end"
		}
		if err := c.get(ctx, next, &answer); err != nil {
			return nil, "our permissions could not be read: " + err.Error()
		}
		all, next = append(all, answer.Value...), answer.NextLink
	}
	return all, ""
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
