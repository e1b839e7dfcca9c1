// Package eventgrid publishes alerts to an Event Grid topic as CloudEvents, for
// others to subscribe to. It knows no SDK client and no credential:
// internal/azure/grid is its Publisher.
package eventgrid

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/messaging"

	"cmkguard/internal/alert"
	"cmkguard/internal/canonical"
	"cmkguard/internal/fault"
)

// EventType is the CloudEvents type of an alert.
const EventType = "CmkGuard.Alert"

// Publisher publishes events; its errors are classified.
type Publisher interface {
	Publish(ctx context.Context, events []messaging.CloudEvent) error
}

// Channel publishes to one topic. It is safe for concurrent use if its
// Publisher is.
type Channel struct {
	pub Publisher
	now func() time.Time
}

var (
	_ alert.Channel  = (*Channel)(nil)
	_ alert.Renderer = (*Channel)(nil)
)

// New returns a Channel.
func New(p Publisher, now func() time.Time) *Channel { return &Channel{pub: p, now: now} }

// Send implements alert.Channel; the event's id is the alert's.
func (c *Channel) Send(ctx context.Context, a alert.Alert) (string, error) {
	events, err := c.events(a)
	if err != nil {
		return "", err
	}
	if err := c.pub.Publish(ctx, events); err != nil {
		return "", throttled(err)
	}
	return a.ID, nil
}

// throttled marks a 429 as the dispatcher wants it.
func throttled(err error) error {
	var re *azcore.ResponseError
	var f *fault.Error
	if errors.As(err, &re) && re.StatusCode == http.StatusTooManyRequests && errors.As(err, &f) {
		marked := *f
		marked.Code = alert.CodeRate
		return &marked
	}
	return err
}

// events are the alert and, where Azure lacks it, the fact; they go in one request, so
// that both arrive or none.
func (c *Channel) events(a alert.Alert) ([]messaging.CloudEvent, error) {
	raw, err := canonical.JSON(a)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "eventgrid.Send", err)
	}
	at := a.At.UTC() // the same at every attempt
	if a.At.IsZero() {
		at = c.now().UTC()
	}
	ev, err := messaging.NewCloudEvent("cmkguard", EventType, json.RawMessage(raw), &messaging.CloudEventOptions{Subject: &a.Subject, Time: &at})
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "eventgrid.Send", err)
	}
	ev.ID = a.ID // receivers take an id once
	if a.Event == "" {
		return []messaging.CloudEvent{ev}, nil
	}
	fact, err := factOf(a, at)
	return []messaging.CloudEvent{ev, fact}, err
}

// Render implements alert.Renderer.
func (c *Channel) Render(a alert.Alert) (alert.Rendered, error) {
	events, err := c.events(a)
	if err != nil {
		return alert.Rendered{}, err
	}
	body, err := json.Marshal(events)
	return alert.Rendered{Media: "application/cloudevents-batch+json", Body: body, Text: alert.Render(a, a.At)}, err
}

// factOf is the event that Azure lacks, in the words of Key Vault's own events: data.Id
// is the key's URL. It is a hint: whoever takes it reads the live state.
func factOf(a alert.Alert, at time.Time) (messaging.CloudEvent, error) {
	clusters := make([]string, 0, len(a.Impact))
	for _, i := range a.Impact {
		clusters = append(clusters, i.Cluster)
	}
	raw, err := canonical.JSON(map[string]any{
		"Id": a.Key, "subject": a.Subject, "check": a.Check, "since": a.Since.UTC(), "recoverableUntil": a.By, "clusters": clusters,
	})
	if err != nil {
		return messaging.CloudEvent{}, fault.Wrap(fault.Invalid, "eventgrid.factOf", err)
	}
	ev, err := messaging.NewCloudEvent("cmkguard", a.Event, json.RawMessage(raw), &messaging.CloudEventOptions{Subject: &a.Key, Time: &at})
	if err != nil {
		return ev, fault.Wrap(fault.Invalid, "eventgrid.factOf", err)
	}
	ev.ID = a.ID + "-fact"
	return ev, nil
}
