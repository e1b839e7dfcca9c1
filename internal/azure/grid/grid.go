// Package grid publishes CloudEvents to an Event Grid topic. It is the one
// place that knows the publisher's SDK.
//
// Publishing is at least once: a fault of kind Unknown means that the events
// may have arrived, and their ids let receivers tell.
package grid

import (
	"context"
	"io"
	"net/http"
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
	options := p.ClientOptions(cloud.ReadRetry())
	options.Transport = bounded{options.Transport}
	c, err := azeventgrid.NewClient(endpoint, scoped{cred, strings.TrimRight(p.GridAudience, "/") + "/.default"},
		&azeventgrid.ClientOptions{ClientOptions: options})
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

// maxAnswer is what is read of an answer: the SDK reads all of it, and a topic has
// nothing to say but no.
const maxAnswer = 64 << 10

type bounded struct{ next policy.Transporter }

// Do implements policy.Transporter.
func (b bounded) Do(r *http.Request) (*http.Response, error) {
	resp, err := b.next.Do(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
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
