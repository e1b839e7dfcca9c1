// Package ears gives back what tells us of a vault: the diagnostic setting that
// sends its audit log, and the event subscription that sends its events. Each write is one request without retries, made of what is
// there and what was lost.
//
// It judges nothing and removes nothing.
package ears

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources/v3"

	"cmkguard/internal/azure/azfault"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/wiring"
)

// diagVersion is the API version of Microsoft.Insights/diagnosticSettings, whose
// only stable one lacks category groups.
const diagVersion = "2021-05-01-preview"

// Client reads and writes ears. It is safe for concurrent use.
type Client struct {
	now   func() time.Time
	read  *armresources.Client
	write *armresources.Client
}

// New returns a client that acts as cred.
func New(p cloud.Profile, cred azcore.TokenCredential, now func() time.Time) (*Client, error) {
	const op = "ears.New"
	if cred == nil || now == nil {
		return nil, fault.New(fault.Invalid, op, "a credential and a clock are needed")
	}
	c := &Client{now: now}
	var err error
	if c.read, err = armresources.NewClient("", cred, p.ARMOptions(cloud.ReadRetry())); err != nil {
		return nil, fault.Wrap(fault.Invalid, op, err)
	}
	if c.write, err = armresources.NewClient("", cred, p.ARMOptions(cloud.NoRetry())); err != nil {
		return nil, fault.Wrap(fault.Invalid, op, err)
	}
	return c, nil
}

// properties reads a resource's properties; Absent if the service says so.
func (c *Client) properties(ctx context.Context, id, version string) wiring.Fact[map[string]any] {
	call, at := "arm GET "+id, c.now()
	got, err := c.read.GetByID(ctx, id[1:], version, nil)
	if err = azfault.Read("arm.Get", err); err != nil {
		if azfault.NotFound(err) {
			return wiring.NotThere[map[string]any](call, at, err.Error())
		}
		return wiring.Failed[map[string]any](call, at, err.Error())
	}
	props, ok := got.Properties.(map[string]any)
	if !ok {
		return wiring.Failed[map[string]any](call, at, "the answer has no properties")
	}
	return wiring.Read(props, call, at)
}

func (c *Client) put(ctx context.Context, id, version string, body armresources.GenericResource, requestID string) error {
	ctx = policy.WithHTTPHeader(ctx, http.Header{"X-Ms-Client-Request-Id": {requestID}})
	_, err := c.write.BeginCreateOrUpdateByID(ctx, id[1:], version, body, nil)
	return azfault.Write("arm.Put", err)
}

func settingID(vault azureid.Resource, name string) string {
	return vault.String() + "/providers/Microsoft.Insights/diagnosticSettings/" + name
}

// Sends reports whether the vault's diagnostic setting of the name sends the audit
// log to every destination of the sink.
func (c *Client) Sends(ctx context.Context, vault azureid.Resource, name string, to wiring.Sink) wiring.Fact[bool] {
	f := c.properties(ctx, settingID(vault, name), diagVersion)
	switch {
	case f.State == wiring.Absent:
		return wiring.Read(false, f.Call, f.At)
	case !f.OK():
		return wiring.Failed[bool](f.Call, f.At, f.Why)
	}
	sends := slices.ContainsFunc(entries(f.Value), func(e map[string]any) bool { return e["enabled"] == true && audits(e) })
	for name, want := range destinations(to) {
		have, _ := f.Value[name].(string)
		sends = sends && strings.EqualFold(have, want)
	}
	return wiring.Read(sends, f.Call, f.At)
}

// SendAudit makes the vault's diagnostic setting of the name send the audit log to
// the sink (Diagnostic Settings - Create Or Update; action
// Microsoft.Insights/diagnosticSettings/write). What the setting holds beside that
// is read and sent back, because a PUT puts it in place as a whole.
func (c *Client) SendAudit(ctx context.Context, vault azureid.Resource, name string, to wiring.Sink, requestID string) error {
	f := c.properties(ctx, settingID(vault, name), diagVersion)
	props := f.Value
	switch {
	case f.State == wiring.Absent:
		props = map[string]any{}
	case !f.OK():
		return fault.New(fault.Transient, "ears.SendAudit", "%s", f.Why)
	}
	props["logs"] = withAudit(entries(props))
	for name, id := range destinations(to) {
		props[name] = id
	}
	err := c.put(ctx, settingID(vault, name), diagVersion, armresources.GenericResource{Properties: props}, requestID)
	if fault.Is(err, fault.Conflict) { // a place that is taken, or five settings: waiting does not mend it
		return &fault.Error{Op: "ears.SendAudit", Kind: fault.Invalid, Code: fault.CodeOf(err), Err: err}
	}
	return err
}

func destinations(to wiring.Sink) map[string]string {
	out := map[string]string{}
	for name, id := range map[string]string{
		"workspaceId": to.Workspace, "eventHubAuthorizationRuleId": to.HubRule, "eventHubName": to.Hub, "storageAccountId": to.Storage,
	} {
		if id != "" {
			out[name] = id
		}
	}
	return out
}

func entries(props map[string]any) []map[string]any {
	list, _ := props["logs"].([]any)
	out := make([]map[string]any, 0, len(list))
	for _, e := range list {
		if m, ok := e.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// audits reports whether the entry's category or group holds the audit log of a
// vault: AuditEvent is in the groups audit and allLogs.
func audits(e map[string]any) bool {
	category, _ := e["category"].(string)
	group, _ := e["categoryGroup"].(string)
	return strings.EqualFold(category, "AuditEvent") || strings.EqualFold(group, "audit") || strings.EqualFold(group, "allLogs")
}

// withAudit enables the audit log among the entries. Groups and categories cannot
// stand in one setting (learn.microsoft.com azure-monitor/platform/diagnostic-settings).
func withAudit(list []map[string]any) []map[string]any {
	for _, e := range list {
		if audits(e) {
			e["enabled"] = true
			return list
		}
	}
	grouped := slices.ContainsFunc(list, func(e map[string]any) bool { g, _ := e["categoryGroup"].(string); return g != "" })
	if grouped {
		return append(list, map[string]any{"categoryGroup": "audit", "enabled": true})
	}
	return append(list, map[string]any{"category": "AuditEvent", "enabled": true})
}
