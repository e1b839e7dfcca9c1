// Package grid publishes CloudEvents to an Event Grid topic. It is the one
// place that knows the publisher's SDK.
//
// Publishing is at least once: a fault of kind Unknown means that the events
// may have arrived, and their ids let receivers tell.
package grid

import (
	"context"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/messaging"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/eventgrid/azeventgrid"

	"cmkguard/internal/azure/azfault"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/fault"
)

// Publisher publishes to one topic. It is safe for concurrent use.
type Publisher struct{ client *azeventgrid.Client }

// New returns a publisher to the topic's endpoint,
// https://TOPIC.REGION.eventgrid.azure.net/api/events, that acts as cred (the
// role is EventGrid Data Sender). An endpoint outside the cloud is Invalid.
func New(p cloud.Profile, endpoint string, cred azcore.TokenCredential) (*Publisher, error) {
	const op = "grid.New"
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, fault.New(fault.Invalid, op, "topic endpoint: %w", err)
	}
	if err := p.CheckHost(u); err != nil {
		return nil, err
	}
	if cred == nil {
		return nil, fault.New(fault.Invalid, op, "a credential is needed")
	}
	c, err := azeventgrid.NewClient(endpoint, scoped{cred, strings.TrimRight(p.GridAudience, "/") + "/.default"},
		&azeventgrid.ClientOptions{ClientOptions: p.ClientOptions(cloud.ReadRetry())})
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, op, err)
	}
	return &Publisher{client: c}, nil
}

// Publish sends the events in one request; none of them is taken or all are.
func (p *Publisher) Publish(ctx context.Context, events []messaging.CloudEvent) error {
	if len(events) == 0 {
		return nil
	}
	_, err := p.client.PublishCloudEvents(ctx, events, nil)
	return azfault.Write("eventgrid.Publish", err)
}

// scoped asks for the cloud's own audience: the SDK names the public cloud's.
type scoped struct {
	next  azcore.TokenCredential
	scope string
}

// GetToken implements azcore.TokenCredential.
func (s scoped) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	o.Scopes = []string{s.scope}
	return s.next.GetToken(ctx, o)
}
